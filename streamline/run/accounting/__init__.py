"""What became of every frame, whoever has died: counters, journals, fences, crashes."""
