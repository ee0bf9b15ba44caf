"""Language models served by vLLM for the length of a run: found, started, watched, started again, and always ended."""
