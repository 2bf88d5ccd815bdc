"""Hold the scene's checks against faults made on real frames."""
