"""Every error that Streamline raises on purpose, split by what its reader can do.

* StreamlineError          one sentence for the operator: what, where, what to do
  - InputError             a command was given something it can't use; give it another (exit 2)
    + ConfigError          the pipeline file is wrong; edit it
    + ModelError           the model directory can't be used; fit again or take another
  - SourceError            a camera or file can't be read; the line goes on without it and retries
    + SourceLostError      it was delivering and stopped
  - InferenceError         the device couldn't judge a batch; its frames become unknown
  - DeviceLostError        the device is of no more use to this process, which is started again
  - WireError              a peer sent bytes that this version can't read
  - LineError              the line stopped before its work was done (exit 1)
"""

from typing import final

__all__ = [
    "ConfigError",
    "DeviceLostError",
    "InferenceError",
    "InputError",
    "LineError",
    "ModelError",
    "SourceError",
    "SourceLostError",
    "StreamlineError",
    "WireError",
]


class StreamlineError(Exception):
    """Base of every error that is reported to the operator without a traceback."""


class InputError(StreamlineError):
    """A command was given something it can't use; the message says what, where and the cure."""


@final
class ConfigError(InputError):
    """The pipeline file is wrong; each line of the message is ``file:line: what``."""


@final
class ModelError(InputError):
    """The model directory can't be used."""


class SourceError(StreamlineError):
    """A source can't be opened or read.

    Parameters
    ----------
    message : str
        One sentence, credentials already redacted.
    reason : str
        Machine-readable kind, one of `streamline.metrics.catalogue.CAMERA_REASONS`.
    """

    def __init__(self, message: str, *, reason: str = "error") -> None:
        super().__init__(message)
        self.reason = reason


@final
class SourceLostError(SourceError):
    """A source that was delivering frames stopped."""


@final
class InferenceError(StreamlineError):
    """The device couldn't judge a batch of frames."""


@final
class DeviceLostError(StreamlineError):
    """The device can't compute anything more in this process; another one may."""


@final
class WireError(StreamlineError):
    """A peer sent bytes that this version can't read."""


@final
class LineError(StreamlineError):
    """The line stopped before its work was done."""
