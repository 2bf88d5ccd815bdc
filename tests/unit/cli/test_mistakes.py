"""Mistakes on the command line, in words of its own."""

import pytest

from streamline.cli import main


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--method", "foo", "'foo' is not one of 'fre-pca', 'fre-ae', 'fre-aet', 'sgfr'"),
        ("--every", "foo", "must be a whole number"),
        ("--every", "0", "must be greater than or equal to 1"),
        ("--seconds", "foo", "must be a number"),
    ],
)
def test_a_value_that_can_not_be_is_told_without_the_validators_words(
    option: str, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "parts", "--out", "model", option, value]) == 2
    start = f"streamline: Invalid value for '{option}': {told} (see "
    assert capsys.readouterr().err == f"{start}streamline fit --help)\n"
