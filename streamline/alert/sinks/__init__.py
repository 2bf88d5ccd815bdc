"""Where alert events go: each kind in a module of its own."""

from streamline.alert.sinks.command import Command
from streamline.alert.sinks.lines import CutShortError, JsonLines
from streamline.alert.sinks.log import LogSink
from streamline.alert.sinks.protocol import RejectedError, Sink
from streamline.alert.sinks.webhook import Webhook

__all__ = ["Command", "CutShortError", "JsonLines", "LogSink", "RejectedError", "Sink", "Webhook"]
