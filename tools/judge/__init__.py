"""Hold a running line against its goals, on the present machine; see ``tools/README.md``."""
