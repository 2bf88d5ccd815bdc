"""Keys, certificates and tokens of a pipeline file: whether a line could start with them."""

from streamline.audit.chain import Seal
from streamline.config import MqttSink, Pipeline, WebhookSink
from streamline.run.keyring import Keyring
from streamline.run.supervision.access import Access
from streamline.run.trust import trusted

__all__ = ["require_credentials"]


def require_credentials(pipeline: Pipeline) -> None:
    """Look into each file that a line reads when it starts, and takes nothing from anybody by that.

    Raises
    ------
    InputError
        If one can't be read, or does not hold what it should.
    """
    Keyring(pipeline.links)
    Access.of(pipeline.metrics)
    if pipeline.record.audit is not None:
        Seal.from_file(pipeline.record.audit.key_file)
    for sink in pipeline.alert.sinks:
        if isinstance(sink, WebhookSink | MqttSink):
            trusted(sink.ca_file)
