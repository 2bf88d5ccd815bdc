"""Hold the promised false-alarm rate against what it comes to on frames that were not seen."""
