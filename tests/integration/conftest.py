"""Models and clips that several integration tests share, made once."""

from pathlib import Path

import av
import pytest

from streamline.source.synthetic import rendered_clip
from tests.support.line import streamline
from tests.support.models import with_threshold


@pytest.fixture(scope="session")
def demo_clip() -> Path:
    """A rendered clip of an inspection line with defects."""
    return rendered_clip("inspect", 0)


@pytest.fixture(scope="session")
def short_clip(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 60 frames, copied packet by packet."""
    path = tmp_path_factory.mktemp("clips") / "short.mp4"
    with av.open(str(demo_clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for count, packet in enumerate(source.demux(video=0)):
            if packet.dts is None or count >= 60:
                break
            packet.stream = stream
            target.mux(packet)
    return path


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the rendered line, fitted by the command."""
    model = tmp_path_factory.mktemp("models") / "demo"
    done = streamline("fit", "demo://normal", "--out", model, "--max-frames", "120")
    assert done.returncode == 0, done.stderr
    return model


@pytest.fixture(scope="session")
def strict_model(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, whom no frame pleases."""
    return with_threshold(demo_model, tmp_path_factory.mktemp("models") / "strict", 1e-6)


@pytest.fixture(scope="session")
def real_clip(demo_clip: Path) -> Path:
    """The real camera clip of 1,189 frames; the rendered one where that is missing."""
    from tests.conftest import find_shared

    shared = find_shared()
    return demo_clip if shared is None else shared / "data/video/bottle-detection.mp4"


@pytest.fixture(scope="session")
def real_model(real_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the first quiet seconds of `real_clip`."""
    model = tmp_path_factory.mktemp("models") / "real"
    done = streamline("fit", real_clip, "--seconds", "5", "--out", model)
    assert done.returncode == 0, done.stderr
    return model
