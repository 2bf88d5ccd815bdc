"""What the last benchmark came to is exported, beside what the paper printed."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamline.metrics.benched import BenchFile
from tests.support.bench import LAYER, write_bench


def test_what_bench_paper_writes_is_read_with_the_papers_own_figures(tmp_path: Path) -> None:
    bench = BenchFile(write_bench(tmp_path / "bench.json"))
    rows = {one.row: (one.fps, one.fit_s) for one in bench.rows()}
    wanted = {
        "here: FRE, layer2, f32": (LAYER.fps, LAYER.pca_s),
        # The paper's table 9.
        "paper: FRE, Intel Xeon 8280": (52.6, 6.3),
        "paper: PatchCore, Intel i7-1270P": (1.28, 245),
    }
    assert wanted.items() <= rows.items()
    assert len(rows) == 1 + 2 * 3


def test_a_file_that_comes_later_or_changes_is_read_then(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    bench = BenchFile(path)
    assert not bench.rows()
    assert not bench.written_s
    write_bench(path)
    assert len(bench.rows()) == 7
    assert bench.written_s == pytest.approx(path.stat().st_mtime)
    path.write_text(path.read_text().replace("52.5", "1052.5"))
    assert bench.rows()[0].fps == 1052.5
    path.unlink()
    assert not bench.rows()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"layers": 3}', b"\xff\xfe", b'{"layers": [], "published": {}}']
)
def test_a_file_that_is_none_is_told_of_once_and_exports_nothing(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bench.json"
    path.write_bytes(content)
    bench = BenchFile(path)
    with capture_logs() as logs:
        assert not bench.rows()
        assert not bench.rows()
    assert [one["log_level"] for one in logs] == ["warning"]


def test_a_file_too_large_to_be_one_is_not_read(tmp_path: Path) -> None:
    path = write_bench(tmp_path / "bench.json")
    os.truncate(path, 1 << 30)
    assert not BenchFile(path).rows()
