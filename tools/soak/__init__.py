"""A line to which one thing after another happens for a long time; see ``tools/README.md``."""
