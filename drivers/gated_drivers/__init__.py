"""The drivers that come with gated; see drivers/README.md."""
