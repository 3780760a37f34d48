"""The durable record of every decision, command, alarm and fault."""

from gated.journal.reader import follow, read
from gated.journal.writer import Journal

__all__ = ["Journal", "follow", "read"]
