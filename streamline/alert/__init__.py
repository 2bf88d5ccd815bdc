"""From scores to verdicts, from verdicts to alerts, and where alerts go."""
