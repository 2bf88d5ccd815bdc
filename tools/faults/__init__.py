"""A line, all that it depends on, and what may happen to them; see ``tools/README.md``."""
