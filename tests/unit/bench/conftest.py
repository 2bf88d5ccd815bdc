"""A model on disk for all that is measured here."""

from pathlib import Path

import pytest

import streamline.infer.openvino_backend  # noqa: F401 - first: it keeps openvino from reporting
from tests.support.models import save_light_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On the network's first layers alone: small and fast."""
    path = tmp_path_factory.mktemp("bench") / "model"
    save_light_model(path)
    return path
