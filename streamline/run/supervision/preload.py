"""Imported once by the process that workers are forked from, so that they share its memory.

Only what camera workers need: an inference library brings threads, which a fork would lose.
"""

import gc
from importlib import import_module

# Nothing of this is garbage. To look for some takes time here and again in every worker, where it
# would also make copies of the memory that they share.
gc.disable()
for _module in ("stages.preprocess", "stages.source", "worker"):
    import_module(f"streamline.run.{_module}")
gc.freeze()
gc.enable()
