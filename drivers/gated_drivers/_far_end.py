"""The far end of an nfcpy `udp` path: nfcpy itself takes nobody there for no card in the field."""

from __future__ import annotations

import os
import socket
from types import TracebackType


class FarEnd:
    """Asks whether somebody listens at a path like udp:host:port; does nothing for other paths.

    Entering connects a socket, so that the kernel tells when the port is closed (ICMP); resolving the
    name may block.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def __enter__(self) -> FarEnd:
        kind, _, address = self._path.partition(":")
        if kind == "udp":
            host, _, port = address.partition(":")
            far_end = host or "localhost", int(port or 54321)
            asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                asking.connect(far_end)
            except OSError:
                asking.close()
                raise
            self._socket = asking
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()

    def check(self) -> None:
        """Say "field off", which ends a card search that waits there. Raises OSError where nobody listens."""
        if self._socket is None:
            return
        self._socket.send(b"RFOFF")
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
