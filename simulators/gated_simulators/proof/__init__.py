"""The proof that the emergency release opens fast and always: conditions, trials, verdicts."""
