"""The device that computes: as an option, and as a pipeline file has it."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamline.config import Pipeline
    from streamline.infer import Compute

__all__ = ["Backend", "InferDevice", "compute_named", "compute_on", "require_device"]

InferDevice = Annotated[
    str | None,
    typer.Option(
        metavar="D",
        help="What computes features and scores: CPU unless given, GPU, NPU, or AUTO to let "
        "OpenVINO choose; cuda or cuda:1 with torch; as infer.device of the line.",
    ),
]

Backend = Annotated[
    str | None,
    typer.Option(
        metavar="B", help="The library that runs the model: openvino unless given, or torch."
    ),
]


def compute_on(device: str | None, backend: str | None = None) -> "Compute":
    """Compute on a device, or where it is done unless said otherwise; CUDA's are torch's."""
    from streamline.infer import Compute

    name = "CPU" if device is None else device
    of_torch = name.lower().startswith("cuda")
    return Compute(
        backend=backend or ("torch" if of_torch else "openvino"),
        device=name.lower() if of_torch else name.upper(),
    )


def compute_named(text: str, *, option: str) -> "Compute":
    """Read a way to compute: ``BACKEND[:DEVICE][@PRECISION]``.

    Raises
    ------
    InputError
        If there is no such precision.
    """
    from dataclasses import replace
    from typing import get_args

    from streamline.errors import InputError
    from streamline.infer import Precision

    where, _, precision = text.partition("@")
    backend, _, device = where.partition(":")
    wanted = next((one for one in get_args(Precision) if one == (precision or "auto")), None)
    if wanted is None:
        msg = f"{option}: there is no precision {precision!r}; there are "
        raise InputError(msg + ", ".join(get_args(Precision)))
    return replace(compute_on(device or None, backend), precision=wanted)


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

    infer = pipeline.infer
    for device in infer.all_devices:
        try:
            settle(compute_of(infer, device))
        except ConfigError as exc:
            key = "infer.devices" if infer.devices else "infer.device"
            msg = f"{pipeline.where(key)}: {exc}"
            raise ConfigError(msg) from exc
