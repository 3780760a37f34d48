"""The far end of the bench's wires, a process of its own with real-time priority where that is permitted.

It holds the fields of card readers, a relay board and cameras, does trials when told to, and stamps
CLOCK_MONOTONIC on both ends: when a card's answer to polling (or a picture) was handed over, and when the
command that releases that lane arrived at the board.

    python -m gated_simulators.bench.farend WIRES

WIRES is JSON: {"readers": [path], "board": port, "cameras": [url], "fps": frames a second,
"realtime": bool}. Each line on
standard input is a request, {"cards": [hex]} (held up at the readers in turn), {"codes": [text]} (shown
to the first camera), or {"idle": bool} (frames flow from cameras that see nobody); each is answered by
one line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gated_simulators.rigs.reader_nfcpy import Address, CardFieldRig
from gated_simulators.rigs.relay_serial import SerialBoardRig

PRIORITY = 60
CHANNELS = 8
TRIAL_S = 3.0
READY_S = 20.0
MOST_MISSED = 10  # then nobody is there
GAP_S = (0.002, 0.012)
PICTURES = 12  # different frames of an idle camera


@dataclass(frozen=True)
class Wire:
    """Settings of a rig."""

    path: str = ""
    port: str = ""
    channels: int = CHANNELS


class Field(CardFieldRig):
    """A reader's field that tells when its card was read."""

    def __init__(self, path: str) -> None:
        self.read_at = 0.0
        self.searched = asyncio.Event()
        super().__init__(Wire(path=path))

    def _poll(self, reader: Address, family: str, request: bytes) -> None:
        super()._poll(reader, family, request)
        if self._waiting:
            self.searched.set()

    def _send(self, reader: Address, data: bytes) -> None:
        if data != b"RFOFF":
            self.read_at = time.monotonic()
        super()._send(reader, data)


class Relays:
    """The board: when each coil was last energised, and a wait for what is wanted."""

    def __init__(self, port: str) -> None:
        self.rig = SerialBoardRig(Wire(port=port))
        self.rig.on_command.append(self._commanded)
        self.energised_at: dict[int, float] = {}
        self._moved = asyncio.Event()

    def _commanded(self, channel: int, on: bool) -> None:
        if on:
            self.energised_at[channel] = time.monotonic()
        self._moved.set()

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Wait for commands until it is as wanted."""
        while not wanted():
            self._moved.clear()
            await self._moved.wait()

    async def rest(self) -> None:
        """Wait until no coil is energised."""
        await self.until(lambda: not any(self.rig.board.coils.values()))


class Scene:
    """A camera that sees a hall without people: pictures that differ by their noise, encoded beforehand."""

    def __init__(self, url: str, fps: float) -> None:
        import cv2
        import numpy as np

        from gated_simulators.rigs.reader_qr_camera import WALL, CameraRig, degraded

        cv2.setNumThreads(1)
        address = urlsplit(url)
        self.rig = CameraRig(str(address.hostname), address.port or 80, (640, 480), fps)
        self.rig.mend()
        self._interval_s = 1 / fps
        room = np.full((480, 640), WALL, np.uint8)
        source = np.random.default_rng(5)
        for _ in range(25):
            x, y, grey = (int(source.integers(n)) for n in (600, 440, 256))
            cv2.rectangle(room, (x, y), (x + 120, y + 70), grey, -1)
        parts = []
        for _ in range(PICTURES):
            self.rig.show_picture(degraded(room))
            parts.append(self.rig._part)
        self._parts: Iterator[bytes] = itertools.cycle(parts)

    async def move(self) -> None:
        """The next picture, for ever."""
        while True:
            self.rig._part = next(self._parts)
            await asyncio.sleep(self._interval_s)


@dataclass
class FarEnd:
    """Everything that is held, and the trials."""

    fields: list[Field] = field(default_factory=list)
    relays: Relays | None = None
    scenes: list[Scene] = field(default_factory=list)
    moving: list[asyncio.Task[None]] = field(default_factory=list)

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what one line asks."""
        if "cards" in request:
            fields = itertools.cycle(enumerate(self.fields, 1))
            return await self._trials(
                self._card(*next(fields), bytes.fromhex(card)) for card in request["cards"]
            )
        if "codes" in request:
            return await self._trials(self._code(code) for code in request["codes"])
        if request["idle"]:
            for scene in self.scenes:
                scene.rig.resume()
                self.moving.append(asyncio.create_task(scene.move()))
        else:
            for scene in self.scenes:
                scene.rig.stall()
            await self.rest()
        return {}

    async def rest(self) -> None:
        """Let nothing move."""
        for task in self.moving:
            task.cancel()
        await asyncio.gather(*self.moving, return_exceptions=True)
        self.moving.clear()

    async def _trials(self, trials: Iterator[Any]) -> dict[str, Any]:
        seconds, missed, given_up = [], 0, False
        for trial in trials:
            if given_up:
                trial.close()
                missed += 1
                continue
            try:
                async with asyncio.timeout(TRIAL_S):
                    seconds.append(await trial)
            except TimeoutError:
                missed += 1
                given_up = missed >= MOST_MISSED
            for held in self.fields:
                held.remove()
        return {"seconds": seconds, "missed": missed}

    async def _card(self, lane: int, at: Field, card: bytes) -> float:
        """A card is held up while the reader looks for one and every lane is at rest."""
        relays = self.relays
        assert relays is not None
        await relays.rest()
        async with asyncio.timeout(READY_S):
            await at.searched.wait()
        await asyncio.sleep(random.uniform(*GAP_S))
        at.searched.clear()
        at.read_at = 0.0
        relays.energised_at.pop(lane, None)
        at.present(card)
        await relays.until(lambda: lane in relays.energised_at)
        at.remove()
        return relays.energised_at[lane] - at.read_at

    async def _code(self, code: str) -> float:
        """A code is shown while the lane is at rest; the picture goes out with the camera's next frame."""
        relays = self.relays
        assert relays is not None
        await relays.rest()
        await asyncio.sleep(random.uniform(*GAP_S))
        relays.energised_at.pop(1, None)
        self.scenes[0].rig.show(code)
        shown = time.monotonic()
        await relays.until(lambda: 1 in relays.energised_at)
        return relays.energised_at[1] - shown


async def _requests() -> AsyncIterator[dict[str, Any]]:
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    while line := await reader.readline():
        yield json.loads(line)


async def serve(wires: dict[str, Any]) -> None:
    """Answer requests until standard input ends."""
    async with AsyncExitStack() as held:
        far = FarEnd()
        held.push_async_callback(far.rest)
        for path in wires.get("readers", []):
            far.fields.append(Field(path))
            held.callback(far.fields[-1].cut)
        if wires.get("board"):
            far.relays = Relays(wires["board"])
            held.callback(far.relays.rig.cut)
        for url in wires.get("cameras", []):
            far.scenes.append(Scene(url, wires["fps"]))
            held.push_async_callback(far.scenes[-1].rig.close)
        realtime = False
        if wires.get("realtime"):
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
                realtime = True
        print(json.dumps({"realtime": realtime}), flush=True)
        async for request in _requests():
            print(json.dumps(await far.answer(request)), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
