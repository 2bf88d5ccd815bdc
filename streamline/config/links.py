"""Where the stages meet, and who may come there."""

from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from streamline.config.fields import (
    FilePath,
    LinkAddress,
    Milliseconds,
    Name,
    Section,
    Text,
    endpoint,
    is_loopback,
    mistake,
)

__all__ = ["LINKS", "HostKey", "LinkKeys", "Links"]

LINKS: Final = ("frames", "prepared", "scores", "telemetry")


class HostKey(Section):
    """One host that may take part."""

    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        json_schema_extra={"x-allowed": "the 64 digits that streamline keys prints"}
    )
    """Its public key."""

    address: Text | None = None
    """What links call it, if any ends there: the host in ``tcp://HOST:PORT``."""


class LinkKeys(Section):
    """Keys of a line over several hosts, each of which proves who it is; all is encrypted."""

    own_file: FilePath
    """This host's own, made by ``streamline keys``; only its owner may read it."""

    hosts: dict[Name, HostKey] = Field(
        min_length=1,
        json_schema_extra={"x-allowed": "a mapping of names to hosts, with one host at least"},
    )
    """Everybody who may take part, this host included."""

    @model_validator(mode="after")
    def _each_is_itself(self) -> Self:
        for what, values in (
            ("key", [one.key for one in self.hosts.values()]),
            ("address", [one.address for one in self.hosts.values() if one.address]),
        ):
            if len(set(values)) < len(values):
                msg = f"has two hosts with the same {what} (each host has a key of its own)"
                raise mistake(msg)
        return self

    def key_at(self, link: str) -> str:
        """Return the public key of the host at which a link ends; nothing if there is none."""
        found = endpoint(link)
        keys = (one.key for one in self.hosts.values() if found and one.address == found[0])
        return next(keys, "")


class Links(Section):
    """Where the stages meet: ``inproc`` glues two into one process, the others separate them."""

    frames: LinkAddress = "inproc"
    """From source to preprocess; anything but inproc moves full pictures."""

    prepared: LinkAddress = "ipc"
    """From preprocess to infer."""

    scores: LinkAddress = "ipc"
    """From infer to alert."""

    telemetry: LinkAddress | None = Field(
        default=None, json_schema_extra={"x-allowed": "inproc, ipc, tcp://HOST:PORT or null"}
    )
    """Where stages on other hosts send their figures; null: all stages are on this host."""

    keys: LinkKeys | None = None
    """Who may take part, and who this host is; needed where a link goes beyond this computer."""

    plain: bool = False
    """Whether links may go beyond this computer without keys: in a network that is all trusted."""

    clock_error_ms: Milliseconds = Field(default=5.0, ge=0.0, le=1000.0)
    """How far a time from another host may be off; where it may be more, no latency is claimed."""

    @model_validator(mode="after")
    def _doors_are_locked(self) -> Self:
        what = ""
        for link in LINKS:
            found = endpoint(getattr(self, link) or "")
            if found is None:
                continue
            host, _ = found
            if self.keys is None and not self.plain and not is_loopback(host):
                what = (
                    f"{link} goes beyond this computer (give keys, made by streamline keys FILE, "
                    "or plain: true where everybody in the network is trusted)"
                )
            elif self.keys is not None and not self.keys.key_at(getattr(self, link)):
                what = (
                    f"{link} goes to {host}, and no host in keys.hosts has that address "
                    "(write address: beside the key of the host that listens there)"
                )
            if what:
                raise mistake(what)
        return self
