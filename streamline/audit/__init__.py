"""What a line said of its frames, written so that it can be checked and computed again.

A run has a folder with a few hash-chained files, each with one writer: ``line.jsonl`` of the
supervisor, ``verdicts.jsonl`` of the alert stage, and ``evidence-CAMERA.jsonl`` of each camera's
source.  The supervisor's last record names the heads of all others.
"""
