"""How what is spent grows with what is asked for; see ``tools/README.md``."""
