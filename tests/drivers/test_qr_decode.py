"""What is read from a frame: generated pictures of codes, whole and badly held."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from gated_drivers._camera_source import SourceLost, to_grey
from gated_drivers._qr_decode import HALF, RARELY, SPREAD, Sight, Zxing, decoder
from gated_drivers._qr_ladder import STEPS, Grey, Step
from gated_simulators.rigs.reader_qr_camera import WALL, code_picture, degraded, tilted

TICKET = b"HC1:6BFOXN*TS0BI$ZD.P9UOL97O4-2HH77HRM3DSPTZ6%"


def frame(content: bytes | str = TICKET, side: int = 300, tilt: float = 0.0) -> Grey:
    canvas = np.full((480, 640), WALL, np.uint8)
    canvas[90 : 90 + side, 170 : 170 + side] = tilted(code_picture(content, side), tilt)
    return canvas


def payloads(sight: Sight) -> list[bytes]:
    return [code.payload for code in sight.codes]


@pytest.mark.parametrize(
    "turned",
    [
        lambda g: g,
        lambda g: np.ascontiguousarray(g[::-1, ::-1]),  # upside down
        lambda g: np.ascontiguousarray(g[:, ::-1]),  # in a mirror
        lambda g: np.ascontiguousarray(g.T),  # on its side and mirrored
        lambda g: cv2.warpAffine(g, cv2.getRotationMatrix2D((320, 240), 37, 1), (640, 480), borderValue=WALL),
        lambda g: 255 - g,  # light on dark
    ],
)
def test_a_code_is_read_however_it_is_held(turned: Callable[[Grey], Grey]) -> None:
    assert payloads(Zxing().look(turned(frame()))) == [TICKET]


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=1, max_size=120))
def test_bytes_come_out_as_they_went_in(content: bytes) -> None:
    assert payloads(Zxing().look(frame(content, side=380))) == [content]


def test_two_codes_come_in_reading_order() -> None:
    canvas = np.full((480, 640), WALL, np.uint8)
    canvas[100:360, 30:290] = code_picture("first", 260)
    canvas[100:360, 350:610] = code_picture("second", 260)
    assert sorted(payloads(Zxing().look(canvas))) == [b"first", b"second"]
    upright = cv2.rotate(canvas, cv2.ROTATE_90_CLOCKWISE)
    assert payloads(Zxing().look(np.asarray(upright, np.uint8))) == [b"first", b"second"]


def test_other_barcodes_and_empty_frames_read_nothing() -> None:
    stripes = np.full((480, 640), 255, np.uint8)
    for i, width in enumerate([2, 4, 2, 6, 4, 2, 8, 2, 4] * 4):
        stripes[100:300, 40 + 14 * i : 40 + 14 * i + width] = 0
    for grey in (stripes, np.zeros((480, 640), np.uint8), degraded(np.full((480, 640), WALL, np.uint8))):
        assert Zxing().whole(grey).codes == ()


def test_micro_qr_is_not_read() -> None:
    """Its two checksum bits would let clutter in as a number."""
    micro = segno.make_micro("673")
    modules = np.array(
        [[0 if module else 255 for module in row] for row in micro.matrix_iter(border=4)], np.uint8
    )
    canvas = np.full((480, 640), 255, np.uint8)
    picture = np.kron(modules, np.ones((10, 10), np.uint8))
    canvas[100 : 100 + picture.shape[0], 100 : 100 + picture.shape[1]] = picture
    assert Zxing().whole(canvas) == Sight((), ())


def dark(grey: Grey) -> Grey:
    """In the dark, and a shadow over half of it."""
    light = np.linspace(0.06, 0.5, 640)[None, :] * grey
    return degraded(light.astype(np.uint8), noise=2.0)


def washed_out(grey: Grey) -> Grey:
    return np.asarray(np.clip(grey.astype(np.float32) * 0.08 + 205, 0, 255), np.uint8)


@pytest.mark.parametrize(
    "bad",
    [
        degraded(frame(tilt=50), blur=1.5),
        degraded(frame(), blur=2.0, glare=0.6),
        degraded(frame(side=110), blur=0.6),
        dark(frame()),
        washed_out(frame()),
    ],
)
def test_codes_that_are_badly_held_or_lit_are_read(bad: Grey) -> None:
    assert payloads(Zxing().whole(bad)) == [TICKET]


def test_the_ladder_reads_what_plain_decoding_does_not() -> None:
    """Over a graded set, the ladder reads every code that one pass does, and more; never a wrong byte."""
    plain = laddered = 0
    for blur in (2.2, 2.6, 3.0, 3.4):
        for glare in (0.0, 0.5, 0.8):
            for tilt in (0.0, 45.0):
                grey = degraded(frame(side=260, tilt=tilt), blur, glare)
                bare, whole = payloads(Zxing().bare(grey)), payloads(Zxing().whole(grey))
                assert set(bare) <= set(whole) <= {TICKET}
                plain += len(bare)
                laddered += len(whole)
    assert laddered >= plain + 2


class Counting:
    """A decoder whose climbs are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.zxing = Zxing()
        self.taken: list[str] = []
        climb = self.zxing._climb

        def counted(grey: Grey, steps: tuple[Step, ...]) -> object:
            self.taken += [s.name for s in steps]
            return climb(grey, steps)

        monkeypatch.setattr(self.zxing, "_climb", counted)


def test_an_empty_scene_costs_one_step_in_five_frames_and_gets_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Counting(monkeypatch)
    empty = np.full((480, 640), WALL, np.uint8)
    for _ in range(SPREAD * len(STEPS)):
        counting.zxing.look(empty)
    assert counting.taken == [step.name for step in STEPS]


def candidate() -> Grey:
    """A code whose data is destroyed: it is found and cannot be read."""
    grey = frame()
    grey[180:380, 260:380] = np.random.default_rng(5).integers(0, 2, (200, 120), np.uint8) * 255
    return grey


def test_a_candidate_gets_the_ladder_at_once_in_three_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    assert counting.zxing.look(candidate()).doubtful
    assert counting.taken == [step.name for step in STEPS[:HALF]]
    counting.zxing.look(candidate())
    assert counting.taken == [step.name for step in STEPS]
    counting.zxing.look(candidate())
    assert counting.taken == [step.name for step in STEPS] + ["unbend"] * 8


def test_a_code_on_bent_paper_is_read_where_it_is() -> None:
    """A cylinder seen from the front: one pass finds the corners, and misses the modules between them."""
    y, x = np.mgrid[:480, :640].astype(np.float32)
    read = 0
    for bow in range(8, 20):
        bent = (y + bow * np.cos((x - 320) / 150 * np.pi / 2)).astype(np.float32)
        grey = np.asarray(cv2.remap(frame(TICKET * 2), x, bent, cv2.INTER_LINEAR), np.uint8)
        zxing = Zxing()
        if zxing.bare(grey).codes or not zxing.bare(grey).doubtful:
            continue
        for code in zxing.whole(grey).codes:
            assert code.payload == TICKET * 2
            assert abs(code.x - 0.5) < 0.05
            read += 1
    assert read


def test_a_candidate_that_never_reads_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    grey = candidate()
    for _ in range(RARELY):
        counting.zxing.look(grey)
    counting.taken.clear()
    for _ in range(2 * RARELY):
        counting.zxing.look(grey)
    whole = len(STEPS) + 8
    assert 2 * whole <= len(counting.taken) <= 4 * whole
    moved = np.ascontiguousarray(np.roll(grey, -150, axis=1))
    counting.taken.clear()
    counting.zxing.look(moved)
    assert counting.taken[:HALF] == [step.name for step in STEPS[:HALF]]


def test_the_step_that_read_is_tried_first_on_the_next_frame() -> None:
    """A held code that needs a step is then read on every frame, not on every 45th."""
    zxing = Zxing()
    hard = next(g for g in map(_barely, range(20)) if not Zxing().bare(g).codes and Zxing().whole(g).codes)
    assert zxing.whole(hard).codes
    assert all(zxing.look(hard).codes for _ in range(10))


def _barely(i: int) -> Grey:
    return degraded(frame(side=260), blur=2.4 + 0.1 * i, glare=0.5, noise=1.0)


def test_zbar_can_be_selected() -> None:
    pytest.importorskip("pyzbar.pyzbar", reason="libzbar is not installed", exc_type=ImportError)
    assert payloads(decoder("zbar").look(frame())) == [TICKET]
    assert isinstance(decoder("zxing"), Zxing)


def test_grey_is_taken_from_what_a_camera_delivers() -> None:
    grey = frame()
    bgr = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    yuyv = np.stack([grey, np.full_like(grey, 128)], axis=2)
    planar = np.vstack([grey, np.full((240, 640), 128, np.uint8)])
    for delivered in (grey, bgr, yuyv, planar):
        assert np.array_equal(to_grey(delivered, 480), grey)
    jpeg = cv2.imencode(".jpg", grey)[1].reshape(1, -1)
    assert payloads(Zxing().look(to_grey(jpeg, 480))) == [TICKET]
    with pytest.raises(SourceLost, match="not JPEG"):
        to_grey(np.zeros((1, 100), np.uint8), 480)
