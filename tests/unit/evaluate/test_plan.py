"""Seeds as people write them, and the runs that they make of a data set."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamline.errors import InputError
from streamline.evaluate import parse_seeds, plan_runs


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0", [0]), ("0-4", [0, 1, 2, 3, 4]), ("0,2,5", [0, 2, 5]), ("3, 1-3", [3, 1, 2])],
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "-1", "1-", "4-2", "1,,2", "0-100000", "1.5", "1-2-3"])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--seeds"):
        parse_seeds(text)


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index}.png"), np.zeros((4, 4), np.uint8))


def test_each_seed_draws_its_own_split(tmp_path: Path) -> None:
    pictures(tmp_path / "good", 10)
    pictures(tmp_path / "bent", 1)
    runs = plan_runs(tmp_path, "folder", seeds=[4, 2])
    assert [run.seed for run in runs] == [4, 2]
    assert runs[0].category.train != runs[1].category.train


def test_a_split_of_its_own_runs_once_whatever_the_seeds(tmp_path: Path) -> None:
    pictures(tmp_path / "train", 10)
    pictures(tmp_path / "test" / "good", 2)
    pictures(tmp_path / "test" / "bent", 1)
    assert [run.seed for run in plan_runs(tmp_path, "folder", seeds=[4, 2])] == [None]
