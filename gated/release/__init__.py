"""The emergency release, a process of its own that can only ever open."""
