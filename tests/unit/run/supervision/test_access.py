"""A token and a certificate, read from the files that the pipeline file names."""

import ssl
from pathlib import Path

import pytest

from streamline.config import Metrics
from streamline.errors import InputError
from streamline.run.supervision.access import Access
from tests.support.certificates import make_certificate, needs_openssl

TOKEN = "3b9f0c5d7a1e4286"  # noqa: S105 - of these tests alone


def test_unless_the_file_says_otherwise_everybody_is_admitted() -> None:
    access = Access.of(Metrics())
    assert access.tls is None
    assert access.admits("")


@pytest.mark.parametrize(
    ("authorization", "admitted"),
    [
        pytest.param(f"Bearer {TOKEN}", True, id="the-token"),
        pytest.param(f"bearer   {TOKEN} ", True, id="otherwise-spelt"),
        pytest.param("", False, id="nothing"),
        pytest.param("Bearer", False, id="scheme-alone"),
        pytest.param(f"Bearer {TOKEN}0", False, id="longer"),
        pytest.param(f"Bearer {TOKEN[:-1]}", False, id="shorter"),
        pytest.param(f"Basic {TOKEN}", False, id="other-scheme"),
        pytest.param(TOKEN, False, id="no-scheme"),
        pytest.param("Bearer \xe4\xff", False, id="other-bytes"),
    ],
)
def test_a_request_needs_the_token(tmp_path: Path, authorization: str, *, admitted: bool) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    access = Access.of(Metrics(token_file=tmp_path / "token"))
    assert access.admits(authorization) is admitted
    assert access.refused.value == (not admitted)
    assert TOKEN not in repr(access)


@pytest.mark.parametrize("text", ["short", "a token with blanks", "0123456789abcdef\n0123456789"])
def test_what_is_no_token_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(InputError, match=r"holds no token.*openssl rand -hex 32") as caught:
        Access.of(Metrics(token_file=tmp_path / "token"))
    assert text not in str(caught.value)


@needs_openssl
def test_a_certificate_and_its_key_are_taken(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    access = Access.of(Metrics(certificate_file=certificate, key_file=key))
    assert access.tls is not None
    assert access.tls.minimum_version == ssl.TLSVersion.TLSv1_2


@needs_openssl
@pytest.mark.parametrize("wrong", ["other-key", "no-key", "missing"])
def test_what_is_no_certificate_with_its_key_is_refused(tmp_path: Path, wrong: str) -> None:
    certificate, key = make_certificate(tmp_path)
    if wrong == "other-key":
        key = make_certificate(tmp_path / "other")[1]
    elif wrong == "no-key":
        key.write_text("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n")
    else:
        key.unlink()
    sentence = (
        rf"^metrics: {certificate} and {key} are no certificate and its private key: [a-zA-Z]"
    )
    with pytest.raises(InputError, match=sentence) as caught:
        Access.of(Metrics(certificate_file=certificate, key_file=key))
    assert "hunter2" not in str(caught.value)
