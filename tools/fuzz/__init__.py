"""Messages, files and requests that nobody means well with; see ``tools/README.md``."""
