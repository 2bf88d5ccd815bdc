"""The pipeline file: one YAML, read once into frozen types, every mistake told at once."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from streamline.config.redact import redact_url

if TYPE_CHECKING:
    from streamline.config.check import missing_files
    from streamline.config.dump import dump_effective
    from streamline.config.loader import load
    from streamline.config.schema import (
        Alert,
        AnySink,
        Audit,
        Batch,
        Camera,
        Debounce,
        Evidence,
        Infer,
        JsonlSink,
        KeptPerMinute,
        Learn,
        Links,
        LogSink,
        Metrics,
        ModelChoice,
        Pipeline,
        Queue,
        QueuePolicy,
        Record,
        RecordedPerMinute,
        Roi,
        Scene,
        SceneResponse,
        Size,
        SizeChange,
        ZmqSink,
        json_schema,
    )
    from streamline.config.shorthand import parse_source
    from streamline.config.sources import (
        AnySource,
        DemoSource,
        ImagesSource,
        RtspSource,
        UsbSource,
        VideoSource,
    )

__all__ = [
    "Alert",
    "AnySink",
    "AnySource",
    "Audit",
    "Batch",
    "Camera",
    "Debounce",
    "DemoSource",
    "Evidence",
    "ImagesSource",
    "Infer",
    "JsonlSink",
    "KeptPerMinute",
    "Learn",
    "Links",
    "LogSink",
    "Metrics",
    "ModelChoice",
    "Pipeline",
    "Queue",
    "QueuePolicy",
    "Record",
    "RecordedPerMinute",
    "Roi",
    "RtspSource",
    "Scene",
    "SceneResponse",
    "Size",
    "SizeChange",
    "UsbSource",
    "VideoSource",
    "ZmqSink",
    "dump_effective",
    "json_schema",
    "load",
    "missing_files",
    "parse_source",
    "redact_url",
]

# Who only redacts must not pay for pydantic and a YAML parser, so these come on first use.
_HOMES: Final = {
    "missing_files": "check",
    "dump_effective": "dump",
    "load": "loader",
    "Alert": "schema",
    "AnySink": "schema",
    "Audit": "schema",
    "Batch": "schema",
    "Camera": "schema",
    "Debounce": "schema",
    "Evidence": "schema",
    "Infer": "schema",
    "JsonlSink": "schema",
    "KeptPerMinute": "schema",
    "Learn": "schema",
    "Links": "schema",
    "LogSink": "schema",
    "Metrics": "schema",
    "ModelChoice": "schema",
    "Pipeline": "schema",
    "Queue": "schema",
    "QueuePolicy": "schema",
    "Record": "schema",
    "RecordedPerMinute": "schema",
    "Roi": "schema",
    "Scene": "schema",
    "SceneResponse": "schema",
    "Size": "schema",
    "SizeChange": "schema",
    "ZmqSink": "schema",
    "json_schema": "schema",
    "AnySource": "sources",
    "DemoSource": "sources",
    "ImagesSource": "sources",
    "RtspSource": "sources",
    "UsbSource": "sources",
    "VideoSource": "sources",
    "parse_source": "shorthand",
}


def __getattr__(name: str) -> object:
    """Import a name of this package when it is first used."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
