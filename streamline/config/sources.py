"""Where pictures come from: cameras, files and the built-in demonstration."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from streamline.config.fields import (
    FilePath,
    Rate,
    Seconds,
    SecretUrl,
    Section,
    Text,
    mistake,
)
from streamline.config.secrets import read_secret

__all__ = [
    "AnySource",
    "DemoSource",
    "ImagesSource",
    "RtspSource",
    "UsbSource",
    "VideoSource",
]


def _rtsp_url(url: SecretUrl) -> SecretUrl:
    """Refuse what no RTSP client could open; the message never holds the URL."""
    text = url.get_secret_value()
    if re.search(r"[\s\0-\x1f]", text):
        what = "holds a blank (write it as %20)"
        raise mistake(what)
    if not re.match(r"rtsps?://", text, re.IGNORECASE):
        what = "is no RTSP address (must be rtsp://HOST/STREAM or rtsps://HOST/STREAM)"
        raise mistake(what)
    if re.search(r"://.*[/?#].*@", text):  # Which @ ends the password? A wrong guess tells it.
        what = (
            "holds / ? or # before an at sign (in a password write / as %2F, ? as %3F, # as %23, "
            "or give it by ${NAME} or password_file; behind the host write the at sign as %40)"
        )
        raise mistake(what)
    host, port = _host_and_port(text)
    if port == 0:
        what = "has a wrong port or host (port: 1 to 65535)"
        raise mistake(what)
    if not host:
        what = "names no host (must be rtsp://HOST/STREAM)"
        raise mistake(what)
    if not _can_be_looked_up(host):
        what = "has a wrong host (between its dots: 1 to 63 characters)"
        raise mistake(what)
    return url


def _can_be_looked_up(host: str) -> bool:
    """Whether a host's name can be put to the DNS at all."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _host_and_port(url: str) -> tuple[str, int]:
    """Return host and port of a URL, port 0 where it can't be one."""
    try:
        parts = urlsplit(_quoted(url))
        port = 554 if parts.port is None else parts.port
    except ValueError:
        return "", 0
    return parts.hostname or "", port


def _quoted(url: str) -> str:
    """Quote what a password may hold but a URL may not, as far as that is unambiguous."""
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    credentials, at, host = authority.rpartition("@")
    if not at:
        return url
    user, colon, password = credentials.partition(":")
    return f"{scheme}://{_encoded(user)}{colon}{_encoded(password)}@{host}{rest[len(authority) :]}"


def _encoded(credential: str) -> str:
    """Percent-encode what isn't encoded yet."""
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", credential), safe="%!$&'()*+,;=:")


def _credentials(url: SecretUrl) -> str:
    """Return ``user:password`` of a URL, percent-encoded; nothing where it holds none."""
    return urlsplit(_quoted(url.get_secret_value())).netloc.rpartition("@")[0]


class RtspSource(Section):
    """A network camera, read by RTSP."""

    type: Literal["rtsp"] = "rtsp"

    url: Annotated[SecretUrl, AfterValidator(_rtsp_url)] = Field(
        json_schema_extra={"writeOnly": True, "x-allowed": "rtsp://HOST/STREAM"}
    )
    """Address of the stream, ``rtsp://`` or ``rtsps://``; credentials in it are never shown."""

    username: Text | None = None
    """User, unless the URL names one."""

    password_file: FilePath | None = None
    """File that holds the password and nothing else; read each time the camera is opened."""

    ca_file: FilePath | None = None
    """Certificates to trust, PEM, for ``rtsps://``; null: encrypted, and nobody knows with whom."""

    transport: Literal["tcp", "udp"] = "tcp"
    """How the pictures travel; udp loses packets on a busy network."""

    open_timeout_s: Seconds = Field(default=10.0, ge=0.1, le=300)
    """Give up opening after this long and try again later, s."""

    read_timeout_s: Seconds = Field(default=5.0, ge=0.1, le=300)
    """Take the camera for lost when it is silent for this long, s."""

    @model_validator(mode="after")
    def _credentials_are_given_once(self) -> Self:
        user, colon, _ = _credentials(self.url).partition(":")
        what = ""
        if self.username and user:
            what = "the user stands in url and in username (write it in one of them)"
        elif self.password_file and colon:
            what = "the password stands in url and in password_file (keep password_file)"
        elif self.password_file and not (self.username or user):
            what = "password_file needs a user (write username: beside it)"
        elif self.ca_file and not self.url.get_secret_value().lower().startswith("rtsps:"):
            what = "ca_file needs TLS (write rtsps:// in url)"
        if what:
            raise mistake(what)
        return self

    @property
    def live(self) -> bool:
        """Whether frames come on their own clock."""
        return True

    @property
    def label(self) -> str:
        """The source in words, without credentials."""
        return str(self.url)

    def real_url(self) -> str:
        """Return the URL with its credentials: for the decoder only, never for a message.

        Raises
        ------
        InputError
            If `password_file` can't be read or is empty.
        """
        parts = urlsplit(_quoted(self.url.get_secret_value()))
        if self.username is None and self.password_file is None:
            return urlunsplit(parts)
        user, _, password = _credentials(self.url).partition(":")
        if self.username is not None:
            user = quote(self.username, safe="")
        if self.password_file is not None:
            password = quote(read_secret(self.password_file), safe="")
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}"))


class UsbSource(Section):
    """A camera of this computer, read by Video4Linux."""

    type: Literal["usb"] = "usb"

    device: Annotated[int, Field(ge=0, le=255)] | Annotated[str, Field(pattern=r"^/dev/.+")] = (
        Field(
            json_schema_extra={
                "x-allowed": "a path such as /dev/v4l/by-id/NAME, or a number from 0 to 255"
            }
        )
    )
    """``/dev/v4l/by-id/…``, which stays when cameras are plugged in another order, or a number."""

    width: int | None = Field(default=None, ge=16, le=16384, json_schema_extra={"x-unit": "px"})
    """Width to ask for, px; null: what the camera gives."""

    height: int | None = Field(default=None, ge=16, le=16384, json_schema_extra={"x-unit": "px"})
    """Height to ask for, px; null: what the camera gives."""

    fps: Rate | None = Field(default=None, gt=0, le=1000)
    """Frame rate to ask for, 1/s; null: what the camera gives."""

    fourcc: Annotated[str, Field(pattern=r"^[ -~]{4}$")] | None = Field(
        default=None,
        json_schema_extra={"x-allowed": "four characters such as MJPG or YUYV, or null"},
    )
    """Pixel format to ask for, such as ``MJPG``; null: what the camera gives."""

    @property
    def live(self) -> bool:
        """Whether frames come on their own clock."""
        return True

    @property
    def label(self) -> str:
        """The source in words."""
        return f"usb:{self.device}" if isinstance(self.device, int) else self.device


def _paced(pace: str | float) -> bool:
    return pace != "max"


class VideoSource(Section):
    """A video file."""

    type: Literal["video"] = "video"

    path: FilePath
    """The file."""

    pace: Literal["max", "native"] | Annotated[Rate, Field(gt=0, le=1000)] = Field(
        default="max",
        json_schema_extra={"x-allowed": "max, native or frames per second, above 0 up to 1000"},
    )
    """``max``: as fast as the line takes them; ``native``: as recorded; a number: a rate, 1/s."""

    loop: bool = False
    """Start again at the end."""

    @property
    def live(self) -> bool:
        """Whether frames come on their own clock."""
        return _paced(self.pace)

    @property
    def label(self) -> str:
        """The source in words."""
        return str(self.path)


class ImagesSource(Section):
    """A folder of images, in the order of their names."""

    type: Literal["images"] = "images"

    path: FilePath
    """The folder."""

    pace: Literal["max"] | Annotated[Rate, Field(gt=0, le=1000)] = Field(
        default="max",
        json_schema_extra={"x-allowed": "max or frames per second, above 0 up to 1000"},
    )
    """``max``: as fast as the line takes them; a number: a rate, 1/s."""

    loop: bool = False
    """Start again at the end."""

    hold: int = Field(default=1, ge=1, le=100_000, json_schema_extra={"x-unit": "frames"})
    """How many frames each image is shown for."""

    @property
    def live(self) -> bool:
        """Whether frames come on their own clock."""
        return _paced(self.pace)

    @property
    def label(self) -> str:
        """The source in words."""
        return str(self.path)


class DemoSource(Section):
    """The built-in demonstration line, rendered from a seed."""

    type: Literal["demo"] = "demo"

    part: Literal["normal", "inspect"] = "inspect"
    """``normal``: good parts only, to learn from; ``inspect``: some have defects."""

    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Another seed gives another clip."""

    pace: Literal["max", "native"] | Annotated[Rate, Field(gt=0, le=1000)] = Field(
        default="max",
        json_schema_extra={"x-allowed": "max, native or frames per second, above 0 up to 1000"},
    )
    """``max``: as fast as the line takes them; ``native``: as recorded; a number: a rate, 1/s."""

    loop: bool = False
    """Start again at the end."""

    @property
    def live(self) -> bool:
        """Whether frames come on their own clock."""
        return _paced(self.pace)

    @property
    def label(self) -> str:
        """The source in words."""
        return f"demo://{self.part}?seed={self.seed}"


AnySource = Annotated[
    RtspSource | UsbSource | VideoSource | ImagesSource | DemoSource, Field(discriminator="type")
]
"""Any source, told apart by its `type`."""
