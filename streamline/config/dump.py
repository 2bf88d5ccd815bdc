"""The configuration as it takes effect, for people to read: complete, and without secrets."""

import io

from ruamel.yaml import YAML

from streamline.config.schema import Pipeline
from streamline.redact import redact_url

__all__ = ["dump_effective"]


def dump_effective(pipeline: Pipeline) -> str:
    """Return a pipeline as YAML with all defaults filled in and all credentials hidden."""
    values = pipeline.model_dump(mode="json", exclude={"cameras": {"__all__": {"name"}}})
    yaml = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # untyped upstream
    text = io.StringIO()
    yaml.dump(_redacted(values), text)
    return text.getvalue()


def _redacted(value: object) -> object:
    """Hide credentials in every text, not only where they are expected."""
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    return redact_url(value) if isinstance(value, str) else value
