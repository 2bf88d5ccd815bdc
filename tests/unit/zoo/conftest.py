"""Networks with random weights, and what they compute without any of the product's code."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

_NEEDED = ("torch", "torchvision", "timm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    here = Path(__file__).parent
    for item in items:
        if missing and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)}"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Exports and hubs kept where no other test and no user has theirs."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setenv("TORCH_HOME", str(folder / "torch"))
        yield folder
