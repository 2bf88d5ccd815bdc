"""Serve one H.264 MP4 (or .h264) file over RTSP; run by the system's Python, which has GStreamer.

Usage: rtsp_serve.py FILE PORT METHOD [USER PASSWORD], METHOD one of none, basic, digest.

Prints ``listening PORT`` once clients can connect. Each client has its own session: it gets the
file from its start, at the pace of the file's time stamps, and then the stream's end.
"""

import sys

# `config-interval` repeats the parameter sets, so that a client may join at any key frame. Set on
# the payloader it would end a frame too early where the encoder made several slices of it.
_PIPELINE = (
    '( filesrc location="{path}" {demux} ! h264parse config-interval=-1 '
    "! rtph264pay name=pay0 pt=96 )"
)
_DEMUX = {True: "! video/x-h264,framerate=25/1", False: "! qtdemux ! queue"}


def main() -> None:
    """Run the server."""
    path, port, method, *account = sys.argv[1:]
    import gi  # type: ignore[import-not-found]

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # type: ignore[import-not-found]

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(_PIPELINE.format(path=path, demux=_DEMUX[path.endswith(".h264")]))
    if method != "none":
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if method == "basic":
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*account), token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(*account, token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)  # noqa: FBT003 - the API
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)  # noqa: FBT003
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/stream", factory)
    server.attach(None)
    sys.stdout.write(f"listening {server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
