"""The bench of the QR reader tells reads, wrong contents and frames without a code apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gated.errors import InputError
from gated_simulators.bench.qr import generated, measure
from gated_simulators.rigs.reader_qr_camera import WALL, code_picture

EMPTY = np.full((480, 640), WALL, np.uint8)


def photographs(folder: Path) -> None:
    shown = {"right": "hello", "lost": "caf\xe9 \xa51\n", "wrong": "other", "unknown": "x", "hidden": "y"}
    expected: dict[str, list[str] | None] = {
        "right": ["hello"],
        "lost": ["caf? ?1"],
        "wrong": ["hello"],
        "unknown": None,
        "hidden": [],
    }
    index: list[dict[str, Any]] = [{"file": "empty.png", "set": "nocode", "expected": []}]
    cv2.imwrite(str(folder / "empty.png"), EMPTY)
    for name, text in shown.items():
        picture = EMPTY.copy()
        picture[100:350, 200:450] = code_picture(text.encode("latin-1"), 250)
        cv2.imwrite(str(folder / f"{name}.png"), picture)
        kind = "nocode" if name == "hidden" else "photo"
        contents = [] if kind == "nocode" else expected.get(name)
        index.append({"file": f"{name}.png", "set": kind, "expected": contents})
    (folder / "index.json").write_text(json.dumps(index))


def test_photographs_are_measured(tmp_path: Path) -> None:
    photographs(tmp_path)
    figures = measure(tmp_path)
    assert figures["qr_read_rate"]["n"] == 4
    assert figures["qr_read_rate"]["ours"] == figures["qr_read_rate"]["zxing"] == 1.0
    assert figures["qr_differs"]["ours"] == ["wrong.png"]
    assert figures["qr_nocode_reads"] == {"n": 2, "confirmed": ["hidden.png"], "unconfirmed": []}
    assert figures["qr_frame_ms"]["ours"]["n"] == 4
    assert figures["qr_idle_ms"]["scenes"] == 1
    json.dumps(figures)


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no index\.json"):
        measure(tmp_path)


def test_generated_pictures_are_the_same_every_time() -> None:
    first, second = list(generated(4)), list(generated(4))
    assert [s.expected for s in first] == [s.expected for s in second]
    assert len(first) == 5
    assert all(s.grey.shape == (480, 640) for s in first)
