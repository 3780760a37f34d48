"""gated: the daemon of the security gates of a public office building."""

import os

__version__ = "0.1.0"

# pydantic would look through the metadata of every installed distribution for plug-ins of its own: 40 ms of
# each start, and code that nobody configured.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
