"""The rival of the gate's bench: a script as people write one, over the same wires, kept as lean as it goes.

A thread for each reader with nfcpy, the list in SQLite, an event committed with synchronous = FULL, then
the relay by pyserial, and a sleep. No schedules, no areas, no supervision, no emergency. With a camera: a
loop over OpenCV frames, zxing-cpp, the cwt library, and a claim committed the same way.

    python -m gated_simulators.bench.script SETTINGS

SETTINGS is JSON: {"readers": [path], "camera": url, "board": port, "list": file, "events": file,
"pulse_s": seconds, "key": PEM}. It runs until standard input ends, then prints what it measured itself:
milliseconds from each decoded code to its relay command written, as JSON.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import serial

from gated_simulators.bench.stores import KEY


def _frame(channel: int, on: bool) -> bytes:
    return bytes([0xA0, channel, on, 0xA0 + channel + on])


def _events(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE IF NOT EXISTS event (at REAL, door INTEGER, card TEXT)")
    database.execute("CREATE TABLE IF NOT EXISTS used (id BLOB PRIMARY KEY, at REAL)")
    return database


def _open(line: serial.Serial, channel: int, pulse_s: float) -> float:
    """Pulse the relay; the moment the command was written."""
    line.write(_frame(channel, True))
    at = time.monotonic()
    time.sleep(pulse_s)
    line.write(_frame(channel, False))
    return at


def cards(settings: dict[str, Any], line: serial.Serial, channel: int, path: str) -> None:
    """One reader, for ever."""
    import nfc

    logging.getLogger("nfc").setLevel(logging.CRITICAL)
    listed = sqlite3.connect(settings["list"])
    events = _events(settings["events"])
    reader = nfc.ContactlessFrontend(path)
    while True:
        target = reader.sense(nfc.clf.RemoteTarget("212F"))
        if target is None:
            time.sleep(0.01)
            continue
        card = bytes(target.sensf_res[1:9])
        known = listed.execute(
            "SELECT denied FROM entry WHERE id = ?", (KEY.identify("felica", card),)
        ).fetchone()
        if known is not None and not known[0]:
            events.execute("INSERT INTO event VALUES (?, ?, ?)", (time.time(), channel, card.hex()))
            _open(line, channel, settings["pulse_s"])
        time.sleep(0.05)


def codes(settings: dict[str, Any], line: serial.Serial, told: list[float]) -> None:
    """The camera, for ever."""
    import cv2
    import cwt
    import zxingcpp

    from gated.passes import base45

    key = cwt.COSEKey.from_pem(settings["key"], kid=bytes.fromhex(settings["kid"]))
    events = _events(settings["events"])
    cv2.setNumThreads(1)
    camera = cv2.VideoCapture(settings["camera"])
    wanted = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    last = b""
    while True:
        good, picture = camera.read()
        if not good:
            time.sleep(0.01)
            continue
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        for found in zxingcpp.read_barcodes(grey, formats=wanted):
            if found.bytes == last:
                continue
            decoded, last = time.monotonic(), found.bytes
            claims: Any = cwt.decode(base45.decode(found.bytes) or b"", key)
            if not claims[5] <= time.time() < claims[4]:
                continue
            new = events.execute(
                "INSERT OR IGNORE INTO used VALUES (?, ?)",
                (claims[7], time.time()),
            ).rowcount
            if new:
                told.append((_open(line, 1, settings["pulse_s"]) - decoded) * 1000)


def main() -> None:
    """Run until standard input ends."""
    settings = json.loads(sys.argv[1])
    while not Path(settings["board"]).exists():
        time.sleep(0.05)
    line = serial.Serial(settings["board"], 9600)
    told: list[float] = []
    jobs: list[tuple[Any, ...]] = [
        (cards, settings, line, channel, path) for channel, path in enumerate(settings.get("readers", []), 1)
    ]
    if settings.get("camera"):
        jobs.append((codes, settings, line, told))
    for work, *arguments in jobs:
        threading.Thread(target=work, args=arguments, daemon=True).start()
    sys.stdin.read()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
