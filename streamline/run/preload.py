"""Imported once by the process that workers are forked from, so that they share its memory.

Only what camera workers need: an inference library brings threads, which a fork would lose.
"""

import streamline.run.stage_preprocess
import streamline.run.stage_source
import streamline.run.worker  # noqa: F401
