"""Fixtures that every suite may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real data and trained weights; tests that need it skip where it is not."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("STREAMLINE_SHARED", beside))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder} (set STREAMLINE_SHARED to a folder that has it)")
    return folder
