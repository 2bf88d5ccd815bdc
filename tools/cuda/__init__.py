"""A torch device against its own ceiling."""
