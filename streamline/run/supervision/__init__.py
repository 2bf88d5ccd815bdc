"""Who starts a line's workers, watches them, and tells how it goes."""
