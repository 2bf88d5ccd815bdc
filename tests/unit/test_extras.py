"""What an extra brings is asked for where it is needed."""

from importlib import import_module

import pytest

from streamline.errors import ModelError
from streamline.extras import needs_extra


def test_what_is_missing_is_named_with_its_cure() -> None:
    sentence = (
        r"no_such_brain is not installed; in the checkout: pip install '\.\[wits\]', or guess$"
    )
    with (
        pytest.raises(ModelError, match=f"^thinking: {sentence}"),
        needs_extra("wits", ["no_such_brain"], "thinking", instead="guess", error=ModelError),
    ):
        import_module("no_such_brain.lobes")


def test_a_module_that_the_extra_does_not_bring_is_a_fault_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError), needs_extra("wits", ["no_such_brain"], "thinking"):
        import_module("streamline.no_such_module")
