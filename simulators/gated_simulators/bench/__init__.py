"""`./dev bench`: how fast, how small and how well, each figure beside a rival in the same run."""
