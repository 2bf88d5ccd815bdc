"""The device that computes: as an option, and as a pipeline file has it."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamline.config import Pipeline
    from streamline.infer import Compute

__all__ = ["InferDevice", "compute_on", "require_device"]

InferDevice = Annotated[
    str | None,
    typer.Option(
        metavar="D",
        help="What computes features and scores: CPU unless given, GPU, NPU, or AUTO to let "
        "OpenVINO choose; as infer.device of the line.",
    ),
]


def compute_on(device: str | None) -> "Compute":
    """Compute on a device, or where it is done unless said otherwise."""
    from streamline.infer import Compute

    return Compute() if device is None else Compute(device=device.upper())


def require_device(pipeline: "Pipeline") -> None:
    """Check that this machine has what the line is to run on.

    Raises
    ------
    ConfigError
        If not; says where that is written.
    """
    from streamline.errors import ConfigError
    from streamline.infer import settle
    from streamline.infer.configured import compute_of

    try:
        settle(compute_of(pipeline.infer))
    except ConfigError as exc:
        msg = f"{pipeline.where('infer.device')}: {exc}"
        raise ConfigError(msg) from exc
