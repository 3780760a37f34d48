"""gated: the daemon of the security gates of a public office building."""
