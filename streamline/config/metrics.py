"""Where figures and health are told by HTTP, and to whom."""

from typing import Self

from pydantic import Field, model_validator

from streamline.config.fields import FilePath, Section, is_loopback, mistake

__all__ = ["Metrics"]


class Metrics(Section):
    """The HTTP endpoint with ``/metrics``, ``/healthz`` and ``/readyz``."""

    address: str = Field(
        default="127.0.0.1",
        pattern=r"^[0-9A-Za-z][0-9A-Za-z.-]{0,252}$|^[0-9A-Fa-f:.]{2,45}$",
        json_schema_extra={"x-allowed": "an address or host name of this computer"},
    )
    """Where it listens; 0.0.0.0 opens it to the network, by TLS and to who has the token."""

    port: int | None = Field(
        default=9464,
        ge=0,
        le=65535,
        json_schema_extra={"x-allowed": "a port from 0 to 65535, or null"},
    )
    """Its port; 0: any free one; null: no endpoint."""

    certificate_file: FilePath | None = None
    """Its certificate, PEM, with those between it and a root that clients trust; null: no TLS."""

    key_file: FilePath | None = None
    """The certificate's private key, PEM, without a passphrase."""

    token_file: FilePath | None = None
    """File that holds the token which requests have to bring; null: they need none."""

    plain: bool = False
    """Whether it may be opened to a network without TLS or token: to one that is all trusted."""

    bench: FilePath | None = None
    """A file that ``streamline bench paper --json`` writes, now or later: its figures are published
    beside the paper's; null: none."""

    @model_validator(mode="after")
    def _door_is_locked(self) -> Self:
        what = ""
        if (self.certificate_file is None) is not (self.key_file is None):
            what = "has one of certificate_file and key_file (give both)"
        elif self.port is None or self.plain or is_loopback(self.address):
            return self
        elif self.certificate_file is None or self.token_file is None:
            what = (
                "opens the endpoint to the network (give certificate_file, key_file and "
                "token_file, or plain: true where everybody in the network is trusted)"
            )
        if what:
            raise mistake(what)
        return self
