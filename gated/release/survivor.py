"""What opens the gates when `gated-release` itself is killed or hangs: a small process beside it.

It holds a copy of each output wire and knows what to do with it (gated.ports.LastWill). When the release
is gone, or says nothing for HANG_S once it has shown life (it is then killed first, so that two never drive
one wire, and so that the kernel frees the pins that no will can command), every will is carried out, several
times over, because a half exchange may be on the line. A will only opens, so the worst that a survivor can
do is to open.

It is started with nothing but the standard library and reads datagrams from a socket pair, words parted
by blanks, numbers in hex:

    W board frame,frame request:argument,...   with the wire: the will of a board; replaces an older one
    D board                                    the board was closed: forget its will, close the wire
    B                                          everything goes on
    Q                                          goodbye: the outputs were left as they shall be

It answers R when it is ready, and B to each B. Every signal that can be is blocked by whoever starts it:
a service manager that ends a service signals all of its processes.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios
import time
from _thread import stack_size, start_new_thread
from contextlib import suppress

from gated.release import realtime

HANG_S = 1.5  # a release that says nothing for so long hangs
GRACE_S = 0.5  # more, where this process itself did not run (a frozen or suspended machine)
AGAIN_S = (0.0, 0.02, 0.1, 0.3)  # when the wills are carried out, from the death
FRAME_GAP_S = 0.025  # between two frames on one wire: the answer to the first is on it
DRAIN_S = 0.5  # what has not left a wire by then is thrown away: closing would wait for it
STACK_BYTES = 256 * 1024
EMPTY = "-"


class Will:
    """What is to be done with one wire."""

    def __init__(self, fd: int, frames: list[bytes], ioctls: list[tuple[int, bytes]]) -> None:
        self.fd = fd
        self.deeds: list[bytes | tuple[int, bytes]] = [*frames, *ioctls]

    @property
    def wire(self) -> tuple[int, int]:
        """What the descriptor leads to: boards on one line have one wire; a pin is a wire by itself."""
        if not isinstance(self.deeds[0], bytes):
            return (-1, self.fd)
        stat = os.fstat(self.fd)
        return (stat.st_dev, stat.st_ino)

    def do(self, step: int) -> None:
        """Carry out one of the deeds; whatever goes wrong is tried again in the next round."""
        deed = self.deeds[step]
        try:
            if isinstance(deed, bytes):
                _write(self.fd, deed)
            else:
                fcntl.ioctl(self.fd, *deed)
        except OSError:
            pass

    def settle(self, deadline: float) -> None:
        """Let the wire take what was written, until `deadline`; then throw away what is left."""
        try:
            while _queued(self.fd):
                if time.monotonic() > deadline:
                    termios.tcflush(self.fd, termios.TCOFLUSH)
                    return
                time.sleep(0.005)
        except (OSError, termios.error):
            pass  # no terminal: nothing waits in it


def encode(board: int, frames: tuple[bytes, ...], ioctls: tuple[tuple[int, bytes], ...]) -> bytes:
    """The datagram of a will; its wire goes along."""
    written = ",".join(frame.hex() for frame in frames)
    called = ",".join(f"{request:x}:{argument.hex()}" for request, argument in ioctls)
    return f"W {board:x} {written or EMPTY} {called or EMPTY}".encode()


def decode(words: list[bytes]) -> tuple[int, list[bytes], list[tuple[int, bytes]]]:
    """The board, frames and calls of a will, from the words after W. Raises ValueError."""
    board, written, called = (word.decode() for word in words)
    frames = [] if written == EMPTY else [bytes.fromhex(frame) for frame in written.split(",")]
    calls = [] if called == EMPTY else [call.split(":") for call in called.split(",")]
    return int(board, 16), frames, [(int(request, 16), bytes.fromhex(data)) for request, data in calls]


def carry_out(wills: list[Will]) -> None:
    """Open everything, in rounds: each wire by itself, the boards of one wire one after the other."""
    for will in wills:
        os.set_blocking(will.fd, False)
    begun = time.monotonic()
    for after in AGAIN_S:
        time.sleep(max(0.0, begun + after - time.monotonic()))
        wires: dict[tuple[int, int], list[tuple[Will, int]]] = {}
        for will in wills:
            wires.setdefault(will.wire, []).extend((will, step) for step in range(len(will.deeds)))
        turn = 0
        while due := [deeds[turn] for deeds in wires.values() if turn < len(deeds)]:
            if turn:
                time.sleep(FRAME_GAP_S)
            for will, step in due:
                will.do(step)
            turn += 1
    for will in wills:
        will.settle(time.monotonic() + DRAIN_S)


def _write(fd: int, frame: bytes) -> None:
    try:
        os.write(fd, frame)
    except BlockingIOError:  # the line is stuck: what waits there is of the dead
        try:
            termios.tcflush(fd, termios.TCOFLUSH)
        except termios.error:
            return
        os.write(fd, frame)


def _queued(fd: int) -> int:
    """Bytes that have not left a terminal yet."""
    queued: int = struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)))[0]
    return queued


class Survivor:
    """The other end of the socket pair."""

    def __init__(self, end: socket.socket, parent: int) -> None:
        self._end = end
        self._parent = parent
        self._wills: dict[int, Will] = {}
        self._alive = False  # it showed life once: it may take its time to start
        self._heard = time.monotonic()

    def run(self) -> str | None:
        """Wait for the end; what was the matter, or None after a goodbye."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        self._say(b"R")
        while True:
            due = self._heard + HANG_S
            left = max(0.0, due - time.monotonic()) if self._alive else None
            if poll.poll(None if left is None else left * 1000 + 1):
                try:
                    data, wires, _, _ = socket.recv_fds(self._end, 1 << 16, 1)
                except OSError:
                    data, wires = b"", []
                if not data:
                    return "ended" if self._wills else None
                if data == b"Q":
                    return None
                self._alive, self._heard = True, time.monotonic()
                self._take(data, wires)
            elif time.monotonic() > due + GRACE_S:
                self._heard = time.monotonic() - HANG_S + GRACE_S
            elif time.monotonic() >= due:
                if os.getppid() == self._parent:  # else it is dead already, and its number somebody else's
                    os.kill(self._parent, signal.SIGKILL)
                return f"said nothing for {HANG_S:g} s and was killed"

    def carry_out(self) -> int:
        """Open everything; the number of wires."""
        wills = [will for will in self._wills.values() if will.deeds]
        carry_out(wills)
        for will in wills:
            os.close(will.fd)
        return len(wills)

    def _take(self, data: bytes, wires: list[int]) -> None:
        word, *words = data.split(b" ")
        if word == b"B":
            self._say(b"B")
        elif word == b"D":
            self._forget(int(words[0], 16))
        elif word == b"W" and wires:
            board, frames, ioctls = decode(words)
            self._forget(board)
            self._wills[board] = Will(wires[0], frames, ioctls)

    def _forget(self, board: int) -> None:
        will = self._wills.pop(board, None)
        if will is not None:  # closing a line waits for what is still to leave it
            start_new_thread(os.close, (will.fd,))

    def _say(self, word: bytes) -> None:
        with suppress(OSError):  # the release is gone, or hangs: that is seen elsewhere
            self._end.send(word, socket.MSG_DONTWAIT)


def main(descriptor: int, parent: int) -> None:
    """Outlive the process `parent`, which holds the other end of the socket `descriptor`."""
    stack_size(STACK_BYTES)  # locked memory is resident
    end = socket.socket(fileno=descriptor)
    survivor = Survivor(end, parent)
    realtime.lock_memory()  # real-time priority is inherited
    why = survivor.run()
    if why is None:
        return
    begun = time.monotonic()
    count = survivor.carry_out()
    took = f"{(time.monotonic() - begun) * 1000:.0f} ms"
    text = f"<1>gated-release: process {parent} {why}; {count} output lines were told to open ({took})\n"
    try:
        os.set_blocking(2, False)
        os.write(2, text.encode())
    except OSError:
        pass  # nobody reads that


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
