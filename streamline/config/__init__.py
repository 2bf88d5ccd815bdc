"""The pipeline file: one YAML, read once into frozen types, every mistake told at once."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streamline.config.check import missing_files
    from streamline.config.dump import dump_effective
    from streamline.config.links import Links
    from streamline.config.loader import load
    from streamline.config.metrics import Metrics
    from streamline.config.published import published_schema
    from streamline.config.schema import (
        Alert,
        Audit,
        Batch,
        Camera,
        Debounce,
        Evidence,
        Infer,
        KeptPerMinute,
        Learn,
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
        json_schema,
    )
    from streamline.config.secrets import read_secret
    from streamline.config.shorthand import parse_source
    from streamline.config.sinks import (
        AnySink,
        CommandSink,
        JsonlSink,
        LogSink,
        MqttSink,
        WebhookSink,
        ZmqSink,
    )
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
    "CommandSink",
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
    "MqttSink",
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
    "WebhookSink",
    "ZmqSink",
    "dump_effective",
    "json_schema",
    "load",
    "missing_files",
    "parse_source",
    "published_schema",
    "read_secret",
]

# Who asks for one of these must not pay for the rest, so they come on first use.
_HOMES: Final = {
    "missing_files": "check",
    "dump_effective": "dump",
    "load": "loader",
    "published_schema": "published",
    "Alert": "schema",
    "Audit": "schema",
    "Batch": "schema",
    "Camera": "schema",
    "Debounce": "schema",
    "Evidence": "schema",
    "Infer": "schema",
    "KeptPerMinute": "schema",
    "Learn": "schema",
    "Links": "links",
    "Metrics": "metrics",
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
    "json_schema": "schema",
    "read_secret": "secrets",
    "AnySink": "sinks",
    "CommandSink": "sinks",
    "JsonlSink": "sinks",
    "LogSink": "sinks",
    "MqttSink": "sinks",
    "WebhookSink": "sinks",
    "ZmqSink": "sinks",
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
