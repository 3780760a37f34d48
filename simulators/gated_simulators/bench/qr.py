"""How many codes the camera reader reads, and for how much CPU, against its rivals in the same run.

    python -m gated_simulators.bench.qr [--photos DIR] [--json FILE]

DIR (default $GATED_QR_PHOTOS) holds photographs and an index.json: a list of {"file", "set",
"expected"}, where the set "nocode" marks frames without a code, and expected holds the contents, one
character a byte, or is null when they are not known. Without one, generated pictures take the same way.
Times are CPU time of the thread in ms for one frame (wall time would measure the neighbours).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from gated.errors import InputError
from gated_drivers._qr_decode import Zbar, Zxing
from gated_drivers._qr_ladder import Grey
from gated_simulators.bench.figures import spread
from gated_simulators.rigs.reader_qr_camera import WALL, code_picture, degraded, tilted

SCENES = 24  # scenes without a code that are watched, of those there are
SETTLING, STANDING = 64, 64  # frames: a new scene's first four seconds, and then
SENSOR_NOISE = 2.0  # sigma, grey levels: no two frames of a camera are equal


T = TypeVar("T")


class Shot(NamedTuple):
    """One picture: `expected` holds its contents, is None when unknown, and is empty without a code."""

    name: str
    grey: Grey
    expected: frozenset[bytes] | None


def photographs(folder: Path) -> Iterator[Shot]:
    """The photographs of a folder; raises InputError when it is not one of photographs."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError([f"{folder}: no index.json that can be read ({error})"]) from error
    for entry in index:
        grey = cv2.imread(str(folder / entry["file"]), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise InputError([f"{folder / entry['file']}: is not a picture"])
        contents = entry["expected"]
        known = None if contents is None else frozenset(c.encode("latin-1", "replace") for c in contents)
        yield Shot(entry["file"], np.asarray(grey, np.uint8), known)


def generated(count: int = 120, seed: int = 7) -> Iterator[Shot]:
    """Pictures of codes, blurred, tilted, glared on, pale, dark, small and turned, and rooms without one."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        content = rng.integers(0, 256, int(rng.integers(40, 100)), np.uint8).tobytes()
        side = int(rng.integers(130, 400))
        frame = np.full((480, 640), WALL, np.uint8)
        left, top = int(rng.integers(0, 640 - side)), int(rng.integers(0, 480 - side))
        frame[top : top + side, left : left + side] = tilted(
            code_picture(content, side), float(rng.uniform(0, 50))
        )
        turn = cv2.getRotationMatrix2D((left + side / 2, top + side / 2), float(rng.uniform(0, 360)), 0.8)
        frame = np.asarray(cv2.warpAffine(frame, turn, (640, 480), borderValue=WALL), np.uint8)
        frame = _light(frame, contrast=float(rng.uniform(0.15, 1)), base=float(rng.uniform(0, 80)))
        blur, glare = float(rng.uniform(0, side / 130)), float(rng.uniform(0, 0.9))
        yield Shot(f"generated-{i:03d}", degraded(frame, blur, glare), frozenset({content}))
    for i in range(count // 4):
        frame = np.full((480, 640), WALL, np.uint8)
        for _ in range(40):
            corner = (int(rng.integers(640)), int(rng.integers(480)))
            cv2.rectangle(frame, corner, (corner[0] + 90, corner[1] + 60), int(rng.integers(256)), -1)
        yield Shot(f"generated-nocode-{i:03d}", degraded(frame, 1.0), frozenset())


def _light(frame: Grey, contrast: float, base: float) -> Grey:
    return np.asarray(np.clip(frame * contrast + base, 0, 255), np.uint8)


def _timed(look: Callable[[Grey], T], grey: Grey) -> tuple[T, float]:
    start = time.thread_time()
    found = look(grey)
    return found, (time.thread_time() - start) * 1000


def _spread(times: list[float]) -> dict[str, Any]:
    return spread(times) | ({"mean": round(float(np.mean(times)), 3)} if times else {})


def _readers() -> dict[str, Callable[[Grey], set[bytes]]]:
    """Ours with the whole ladder, one pass of zxing-cpp, one of pyzbar where it is installed."""
    zxing = Zxing()
    readers = {
        "ours": lambda grey: {c.payload for c in zxing.whole(grey).codes},
        "zxing": lambda grey: {c.payload for c in zxing.bare(grey).codes},
    }
    try:
        zbar = Zbar()
    except ImportError:
        return readers
    return readers | {"zbar": lambda grey: {c.payload for c in zbar.look(grey).codes}}


def _pattern(content: bytes) -> re.Pattern[bytes]:
    """What a stated content matches: "?" is a character that was lost when the index was written, and
    line ends are written this way or that."""
    parts = re.findall(rb"\s+|.", content.strip())
    regex = (rb"\s+" if p.isspace() else b".{1,3}" if p == b"?" else re.escape(p) for p in parts)
    return re.compile(b"".join(regex), re.DOTALL)


def _differs(found: set[bytes], shot: Shot) -> bool:
    """Whether something was read that the picture is known not to hold."""
    if not shot.expected:
        return False
    patterns = [_pattern(content) for content in shot.expected]
    return any(not any(p.fullmatch(payload.strip()) for p in patterns) for payload in found)


def _noisy(scene: Shot, noise: list[npt.NDArray[np.int16]]) -> Iterator[Grey]:
    """The scene as a standing camera sees it, frame by frame."""
    for i in range(SETTLING + STANDING):
        yield np.clip(scene.grey + noise[i % len(noise)], 0, 255).astype(np.uint8)


def _idle(scenes: list[Shot]) -> dict[str, Any]:
    """The cost of watching scenes without a code, ours against one plain pass over the same frames."""
    rng = np.random.default_rng(3)
    ours: dict[bool, list[float]] = {True: [], False: []}
    plain: list[float] = []
    for scene in scenes:
        noise = [np.rint(rng.normal(0, SENSOR_NOISE, scene.grey.shape)).astype(np.int16) for _ in range(5)]
        stream, bare = Zxing(), Zxing()
        for i, grey in enumerate(_noisy(scene, noise)):
            bare.bare(grey)  # whoever comes first finds the frame outside the processor's cache
            plain.append(_timed(bare.bare, grey)[1])
            ours[i >= SETTLING].append(_timed(stream.look, grey)[1])
    mean = float(np.mean(plain)) if plain else 1.0
    return {
        "ours": _spread(ours[True]),
        "ours_settling": _spread(ours[False]),
        "zxing": _spread(plain),
        "ours_over_zxing": round(float(np.mean(ours[True])) / mean, 3) if plain else None,
        "settling_over_zxing": round(float(np.mean(ours[False])) / mean, 3) if plain else None,
        "scenes": len(scenes),
    }


def measure(photos: Path | None = None) -> dict[str, Any]:
    """Every figure, for the photographs of a folder or, with None, for generated pictures.

    `qr_read_rate`: the share of pictures with a code of which something was read. `qr_frame_ms`: CPU per
    frame, `_hit` where that reader read and `_miss` where it did not. `qr_differs`: names of pictures
    whose content was read otherwise than the index says. `qr_nocode_reads`: frames of the set without
    codes in which a code was read, split by whether a rival read the same content in one of them (then
    there is a code after all).
    """
    cv2.setNumThreads(1)
    readers = _readers()
    shots = list(photographs(photos) if photos else generated())
    with_code = [s for s in shots if s.expected is None or s.expected]
    without = [s for s in shots if s.expected is not None and not s.expected]
    rate: dict[str, Any] = {"n": len(with_code)}
    cost: dict[str, Any] = {}
    differs: dict[str, list[str]] = {}
    for name, read in readers.items():
        read(shots[0].grey)  # the first call pays for tables
        results = [(s, *_timed(read, s.grey)) for s in with_code]
        rate[name] = round(sum(bool(found) for _, found, _ in results) / max(1, len(results)), 4)
        cost[name] = _spread([ms for _, _, ms in results])
        cost[f"{name}_hit"] = _spread([ms for _, found, ms in results if found])
        cost[f"{name}_miss"] = _spread([ms for _, found, ms in results if not found])
        differs[name] = [s.name for s, found, _ in results if _differs(found, s)]
    seen = {s.name: {name: read(s.grey) for name, read in readers.items()} for s in without}
    read_by_ours = [name for name, found in seen.items() if found["ours"]]
    rivals = {
        name: set().union(*(v for k, v in found.items() if k != "ours")) for name, found in seen.items()
    }
    known = set().union(*rivals.values())
    confirmed = [name for name in read_by_ours if seen[name]["ours"] <= known]
    empty = [s for s in without if not seen[s.name]["ours"] and not rivals[s.name]]
    return {
        "qr_source": "photographs" if photos else "generated",
        "qr_read_rate": rate,
        "qr_frame_ms": cost,
        "qr_idle_ms": _idle(empty[:: max(1, len(empty) // SCENES)][:SCENES]),
        "qr_differs": differs,
        "qr_nocode_reads": {
            "n": len(without),
            "confirmed": confirmed,
            "unconfirmed": [name for name in read_by_ours if name not in confirmed],
        },
    }


def photos_from_environment() -> Path | None:
    """The folder that GATED_QR_PHOTOS names, if it does."""
    named = os.environ.get("GATED_QR_PHOTOS")
    return Path(named) if named else None


def main() -> None:
    """Print the figures as JSON, or write them to a file."""
    parser = argparse.ArgumentParser(description="Read rate and CPU per frame of the QR camera reader.")
    parser.add_argument("--photos", type=Path, default=photos_from_environment(), metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    try:
        text = json.dumps(measure(arguments.photos), indent=2)
    except InputError as error:
        raise SystemExit(str(error)) from error
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
