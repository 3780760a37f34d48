"""The peer of reader_pcsc: a pcscd of our own with virtual readers, and cards to lay on the first of them.

pcscd is given its listening socket as systemd gives it one (LISTEN_FDS), at `settings.pcscd`, and a
configuration of its own: several run beside each other, and beside the system's. Its two readers are named
after `settings.reader`, and end in "00 00" and "00 01".
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import util
from pathlib import Path
from typing import Protocol

from gated_simulators.rigs._virtual_card import VirtualCard, atr_of

DRIVERS = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
NOTICED_S = 0.6  # pcscd asks a virtual reader for its card every 0.4 s
# pcscd finds its socket as descriptor 3 when LISTEN_PID is its own number, which exec keeps.
START = 'exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'


class PcscSettings(Protocol):
    """Of reader_pcsc's settings, what the far end needs."""

    @property
    def reader(self) -> str:
        """Part of the reader's name."""

    @property
    def pcscd(self) -> str:
        """Where pcscd listens."""


def missing() -> str:
    """What this machine lacks for the rig; empty where it has all."""
    if util.find_spec("smartcard") is None:
        return "pyscard is not installed (./dev setup builds it, where libpcsclite-dev and a compiler are)"
    if _pcscd() is None:
        return "pcscd is not installed (apt-get install pcscd)"
    if os.geteuid() != 0 and not Path("/run/pcscd").is_dir():
        return "pcscd wants its folder /run/pcscd, which only root can make"
    return "" if DRIVERS.exists() else "vpcd is not installed (apt-get install vsmartcard-vpcd)"


def _pcscd() -> str | None:
    return shutil.which("pcscd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class PcscRig:
    """pcscd, a reader, and the card on it."""

    def __init__(self, settings: PcscSettings, folder: Path) -> None:
        if why := missing():
            raise RuntimeError(why)
        if not settings.pcscd:
            raise RuntimeError("the rig needs a socket of its own: set pcscd")
        self._path = Path(settings.pcscd)
        self._folder = folder
        self._name = (settings.reader or "Virtual PCD").removesuffix(" 00 00")
        self._port = _two_ports()
        self._plugged = True
        self._listening: socket.socket | None = None
        self._pcscd: subprocess.Popen[bytes] | None = None
        self._card: asyncio.Task[None] | None = None
        self._away_at = -NOTICED_S
        self.card: VirtualCard | None = None

    def present(self, identifier: bytes) -> VirtualCard:
        """Lay this card on the reader, in place of the one that lies there."""
        return self.lay(VirtualCard(identifier, atr_of(identifier)))

    def lay(self, card: VirtualCard) -> VirtualCard:
        """Lay a card on the reader, in place of the one that lies there."""
        self.remove()
        self.card = card
        self._card = asyncio.get_running_loop().create_task(self._lay(card))
        return card

    def remove(self) -> None:
        """Take the card away."""
        if self._card is not None:
            self._card.cancel()
            self._card = None
            self._away_at = asyncio.get_running_loop().time()

    async def _lay(self, card: VirtualCard) -> None:
        # The hand that changes cards takes longer than pcscd needs to notice; a program would not.
        await asyncio.sleep(self._away_at + NOTICED_S - asyncio.get_running_loop().time())
        await card.lie(self._port)

    def cut(self) -> None:
        """Kill pcscd and take its socket away."""
        self.kill()
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            self._path.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill pcscd; its socket stays, and nobody answers there."""
        if self._pcscd is not None:
            self._pcscd.kill()
            self._pcscd.wait()
            self._pcscd = None

    def mend(self) -> None:
        """Start pcscd."""
        if self._listening is None:
            self._path.unlink(missing_ok=True)
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.bind(str(self._path))
            self._listening.listen(16)
        if self._pcscd is None:
            self._pcscd = self._start(self._listening)

    def hang(self) -> None:
        """Stop pcscd: it lives, and answers nothing."""
        if self._pcscd is not None:
            self._pcscd.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        if self._pcscd is not None:
            self._pcscd.send_signal(signal.SIGCONT)

    def unplug(self) -> None:
        """Take the readers away from the pcscd that is started next: a running one keeps virtual readers."""
        self._plugged = False

    def plug(self) -> None:
        """Give them back to the pcscd that is started next."""
        self._plugged = True

    def _start(self, listening: socket.socket) -> subprocess.Popen[bytes]:
        program = _pcscd()
        assert program is not None
        configuration = (
            f'FRIENDLYNAME "{self._name}"\nDEVICENAME /dev/null:0x{self._port:X}\n'
            f"LIBPATH {DRIVERS}\nCHANNELID 0x{self._port:X}\n"
        )
        (self._folder / "readers").write_text(configuration if self._plugged else "", encoding="utf-8")
        return subprocess.Popen(
            ["/bin/sh", "-c", START, "sh", program, "--foreground", "--critical", "-c", str(self._folder)],
            stdin=listening.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    async def close(self) -> None:
        """End everything."""
        card = self._card
        self.remove()
        self.cut()
        if card is not None:
            await asyncio.gather(card, return_exceptions=True)


def _two_ports() -> int:
    """The first of two free TCP ports that follow each other: one for each virtual reader."""
    while True:
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError, OverflowError):
            first.bind(("0.0.0.0", 0))
            port = int(first.getsockname()[1])
            second.bind(("0.0.0.0", port + 1))
            return port


@asynccontextmanager
async def open_rig(settings: PcscSettings) -> AsyncIterator[PcscRig]:
    """Serve a pcscd at `settings.pcscd` while the context is open."""
    with tempfile.TemporaryDirectory(prefix="gated-pcscd-") as folder:
        rig = PcscRig(settings, Path(folder))
        rig.mend()
        try:
            yield rig
        finally:
            await rig.close()
