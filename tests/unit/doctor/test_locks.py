"""Keys, certificate and token are tried as a line does at its start."""

from pathlib import Path

import pytest

from streamline.cli import main
from streamline.config import Pipeline, load
from streamline.doctor.finding import Status
from streamline.doctor.locks import locks
from tests.support.certificates import make_certificate, needs_openssl

CAMERA = "version: 1\nmodel: m\ncameras: {a: usb:0}\n"


def line(folder: Path, text: str) -> Pipeline:
    (folder / "line.yaml").write_text(CAMERA + text)
    return load(folder / "line.yaml")


def test_a_host_whose_key_is_on_the_list_may_take_part_and_another_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", str(tmp_path / "own.key")]) == 0
    public = next(word for word in capsys.readouterr().out.split() if len(word) == 64)
    keys = "links: {keys: {own_file: own.key, hosts: {here: {key: '%s'}}}}\n"
    (good,) = locks(line(tmp_path, keys % public))
    (bad,) = locks(line(tmp_path, keys % ("0f" * 32)))
    assert (good.status, bad.status) == (Status.OK, Status.FAIL)
    assert public in bad.what


@needs_openssl
def test_a_certificate_and_a_token_are_tried(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "token").write_text("0123456789abcdef" * 4)
    text = f"metrics: {{certificate_file: {certificate}, key_file: {key}, token_file: token}}\n"
    (good,) = locks(line(tmp_path, text))
    certificate.write_text("not a certificate\n")
    (bad,) = locks(line(tmp_path, text))
    assert (good.status, bad.status) == (Status.OK, Status.FAIL)


def test_a_line_of_one_computer_needs_neither(tmp_path: Path) -> None:
    assert list(locks(line(tmp_path, ""))) == []
