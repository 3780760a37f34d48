"""The pages under docs/ say what the program says."""
