"""Keys of links, and certificate and token of the HTTP endpoint: whether they can be used."""

from collections.abc import Iterator

from streamline.config import Pipeline
from streamline.doctor.finding import Finding, fail, ok
from streamline.errors import StreamlineError
from streamline.run.keyring import Keyring
from streamline.run.supervision.access import Access

__all__ = ["locks"]


def locks(pipeline: Pipeline) -> Iterator[Finding]:
    """Try what the pipeline file names as a line does at its start; nothing where it names none."""
    if pipeline.links.keys is not None:
        try:
            Keyring(pipeline.links)
        except StreamlineError as exc:
            yield fail("keys", str(exc), "streamline keys FILE makes this host's, once")
        else:
            yield ok("keys", "this host's own is listed")
    metrics = pipeline.metrics
    if metrics.certificate_file is not None or metrics.token_file is not None:
        try:
            Access.of(metrics)
        except StreamlineError as exc:
            yield fail("http", str(exc), "see metrics in the pipeline file")
        else:
            yield ok("http", "certificate and token can be used")
