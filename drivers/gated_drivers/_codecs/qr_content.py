"""What a scanner sends, taken apart: the content of a code without the marks around it, or a message."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 512  # bytes of a content; more is no credential


class Contents:
    """Takes the scanner's marks off; `ignored` counts what was no code, or no code of this kind."""

    def __init__(self, prefix: Sequence[str] = (), suffix: str = "", no_read: Sequence[str] = ()) -> None:
        self.ignored = 0
        self._prefix = [mark.encode("latin-1") for mark in prefix if mark]
        self._suffix = suffix.encode("latin-1")
        self._no_read = {text.encode("latin-1") for text in no_read}

    @property
    def longest(self) -> int:
        """Bytes of the longest piece that can hold a content."""
        return LONGEST + max(map(len, self._prefix), default=0) + len(self._suffix)

    def of(self, piece: bytes) -> bytes | None:
        """The content of one piece: 1 to 512 bytes; None where it is to be ignored."""
        mark = next((mark for mark in self._prefix if piece.startswith(mark)), b"")
        marked = (mark or not self._prefix) and piece[len(mark) :].endswith(self._suffix)
        content = piece[len(mark) : len(piece) - len(self._suffix)] if marked else b""
        if not 1 <= len(content) <= LONGEST or piece in self._no_read or content in self._no_read:
            self.ignored += 1
            return None
        return content
