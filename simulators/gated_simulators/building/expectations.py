"""How each kind of expectation is looked for: at the far end of the wires, or in the operator's view."""

# Over 300 lines: one kind of expectation after the other.

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from gated import jsonlines
from gated.errors import GatedError
from gated_simulators import client
from gated_simulators.building.observe import Sightings, moment, poll
from gated_simulators.building.scenario import EVENTS, Expect
from gated_simulators.building.wiring import Wiring
from gated_simulators.processes import serving_pid


@dataclass
class Look:
    """Where a step looks: everything seen from `first` on, and how far its expectations have come."""

    wiring: Wiring
    sightings: Sightings
    began: datetime
    first: int
    pids: dict[str, int]
    journal_first: int = 0
    reached: int = -1
    journal_reached: int = -1
    exit_status: int | None = None
    answer: str = ""

    def __post_init__(self) -> None:
        self.reached = self.first

    def since(self) -> list[dict[str, Any]]:
        """What the building saw since the step began."""
        return self.sightings.building[self.first :]


async def meet(expect: Expect, look: Look) -> tuple[bool, str]:
    """Wait for an expectation; whether it held, and what was observed, in words."""
    subject = expect.subject
    if subject in ("coil", "lamp", "flap", "beam", "contact", "signal"):
        return await _state(expect, look, subject)
    if subject in EVENTS:
        return await _people(expect, look, subject)
    return await _OTHERS[subject](expect, look)


async def _state(expect: Expect, look: Look, subject: str) -> tuple[bool, str]:
    """A state is met when it is so already, or becomes so after what was met before."""
    name, seen = str(getattr(expect, subject)), look.sightings
    if expect.never:

        def bad() -> bool:
            states = {i["state"] for i in look.since() if i["what"] == subject and i["name"] == name}
            return expect.is_ in states | {seen.state(subject, name, look.first)}

        broken = await seen.wait(bad, expect.within_s)
        return not broken, f"it was {expect.is_}" if broken else f"stayed {_now(seen, subject, name)}"

    def found() -> bool:
        if seen.state(subject, name, look.reached) == expect.is_:
            return True
        for index in range(look.reached, len(seen.building)):
            item = seen.building[index]
            if item["what"] == subject and item["name"] == name and item["state"] == expect.is_:
                look.reached = index + 1
                return True
        return False

    held = await seen.wait(found, expect.within_s)
    return held, expect.is_ or "" if held else f"is {_now(seen, subject, name)}"


def _now(seen: Sightings, subject: str, name: str) -> str:
    return seen.state(subject, name, len(seen.building)) or f"unknown: no {subject} {name} in this building"


async def _people(expect: Expect, look: Look, subject: str) -> tuple[bool, str]:
    lane = getattr(expect, subject)

    def places() -> list[int]:
        return [
            look.first + index
            for index, item in enumerate(look.since())
            if item["what"] == subject and item["name"] in (f"{lane}.{expect.way}", *_both(lane, expect.way))
        ]

    enough = await look.sightings.wait(lambda: len(places()) >= expect.count, expect.within_s)
    if expect.never:
        return not enough, f"{len(places())} {subject}"
    if enough:
        look.reached = max(look.reached, places()[expect.count - 1] + 1)
    return enough, f"{len(places())} {subject}"


def _both(lane: str, way: str | None) -> tuple[str, ...]:
    return () if way else (f"{lane}.entry", f"{lane}.exit")


async def _journal(expect: Expect, look: Look) -> tuple[bool, str]:
    codes, seen = expect.journal or [], look.sightings
    if look.journal_reached < 0:
        look.journal_reached = look.journal_first

    def fresh() -> list[tuple[int, dict[str, Any]]]:
        start = look.journal_first if expect.never else look.journal_reached
        return [
            (index, record)
            for index, record in enumerate(seen.journal[start:], start)
            if moment(record) >= look.began and _at_place(record, expect)
        ]

    def found() -> bool:
        matches = [(index, record) for index, record in fresh() if record.get("code") in codes]
        if len(matches) < expect.count:
            return False
        if not expect.never:
            look.journal_reached = matches[expect.count - 1][0] + 1
        return True

    held = await seen.wait(found, expect.within_s)
    if expect.never:
        return not held, f"{codes[0]} was recorded" if held else "not recorded"
    if held:
        return True, str(seen.journal[look.journal_reached - 1]["code"])
    others = ", ".join(dict.fromkeys(str(record.get("code")) for _, record in fresh()))
    return False, f"recorded: {others or 'nothing'}"


def _at_place(record: dict[str, Any], expect: Expect) -> bool:
    wanted = {"lane": expect.lane, "access_point": expect.access_point, "direction": expect.way}
    if expect.device_named and expect.device_named not in str(record.get("detail", "")):
        return False
    return all(value is None or record.get(key) == value for key, value in wanted.items())


async def _ask(path: Path, do: str = "status") -> dict[str, Any]:
    try:
        answer = await jsonlines.request(path, do)
    except GatedError:
        return {}
    return answer if isinstance(answer, dict) else {}


async def _asked(expect: Expect, what: Callable[[], Awaitable[str | None]], wanted: str) -> tuple[bool, str]:
    """Ask for a state of a process until it is (or, with never, whether it becomes) the wanted one."""
    last: str | None = None

    async def holds() -> bool:
        nonlocal last
        last = await what()
        return last == wanted

    held = await poll(holds, expect.within_s)
    if expect.never:
        return not held and last is not None, last or "no answer"  # silence proves nothing
    return held, last or "no answer"


async def _device(expect: Expect, look: Look) -> tuple[bool, str]:
    async def what() -> str | None:
        devices = (await _ask(look.wiring.control_socket)).get("devices", {})
        return device_state(devices.get(expect.device))

    return await _asked(expect, what, str(expect.is_))


def _text(found: Any) -> str | None:
    return None if found is None else str(found)


def device_state(device: Any) -> str | None:
    """ok or fault, of a device in the answer of gated's status."""
    if not isinstance(device, dict):
        return None
    return "ok" if device.get("ok") else "fault"


def _of_release(
    found: Callable[[dict[str, Any], str], Any],
) -> Callable[[Expect, Look], Awaitable[tuple[bool, str]]]:
    """An expectation on the answer of the release's status, of which `found` takes what the subject names."""

    async def meets(expect: Expect, look: Look) -> tuple[bool, str]:
        async def what() -> str | None:
            answer = await _ask(look.wiring.release_socket)
            return _text(found(answer, getattr(expect, expect.subject))) if answer else None

        return await _asked(expect, what, str(expect.is_))

    return meets


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _lane(state: dict[str, Any], name: str) -> dict[str, Any]:
    lane = state.get("lanes", {}).get(name, {})
    return lane if isinstance(lane, dict) else {}


def _names(entries: list[dict[str, Any]]) -> set[str]:
    return {str(entry["input"]) for entry in entries}


async def _sentence(expect: Expect, look: Look) -> tuple[bool, str]:
    """One of the release's faults or warnings holds the words (or, with never, none of them does)."""
    words, last = str(getattr(expect, expect.subject)), list[str]()

    async def holds() -> bool:
        nonlocal last
        last = (await _ask(look.wiring.release_socket)).get(f"{expect.subject}s", [])
        return any(words in sentence for sentence in last)

    held = await poll(holds, expect.within_s)
    told = next((sentence for sentence in last if words in sentence), "; ".join(last)[:100])
    return held is not expect.never, told or f"no {expect.subject}"


async def _opened(expect: Expect, look: Look) -> tuple[bool, str]:
    last: float | None = None

    async def holds() -> bool:
        nonlocal last
        last = _lane(await _ask(look.wiring.release_socket), str(expect.opened)).get("opened_ms")
        return last is not None

    held = await poll(holds, expect.within_s)
    return held, f"{last:.0f} ms after the command" if last is not None else "not seen to open"


async def _relocked(expect: Expect, look: Look) -> tuple[bool, str]:
    """Each lane's emergency coil was energised again, in this order, so far apart."""
    lanes = expect.relocked or []

    def times() -> dict[str, float]:
        return {
            item["name"].removesuffix(".may_shut"): item["at"]
            for item in look.since()
            if item["what"] == "coil" and item["state"] == "energised" and item["name"].endswith(".may_shut")
        }

    await look.sightings.wait(lambda: set(times()) >= set(lanes), expect.within_s)
    seen = times()
    order = [lane for lane in sorted(seen, key=seen.__getitem__) if lane in lanes]
    moments = [seen[lane] for lane in order]
    gaps = [late - soon for soon, late in pairwise(moments)]
    later = [f"{lane} {gap:.2f} s later" for lane, gap in zip(order[1:], gaps, strict=True)]
    text = ", ".join([*order[:1], *later])
    return order == lanes and all(gap >= expect.apart_s for gap in gaps), text or "no lane relocked"


async def _unmoved(expect: Expect, look: Look) -> tuple[bool, str]:
    names = expect.unmoved or []

    def moved() -> list[str]:
        coils = [i["name"] for i in look.since() if i["what"] == "coil"]
        return [coil for coil in coils if coil in names or coil.partition(".")[0] in names]

    await look.sightings.wait(lambda: bool(moved()), expect.within_s)
    return not moved(), f"moved: {', '.join(dict.fromkeys(moved()))}" if moved() else "no coil changed"


async def _same_process(expect: Expect, look: Look) -> tuple[bool, str]:
    name = str(expect.same_process)
    try:
        pid = serving_pid(client.socket_of(look.wiring, name))
    except GatedError as error:
        return False, str(error)
    return pid == look.pids.get(name), "the same" if pid == look.pids.get(name) else "another process"


async def _exit(expect: Expect, look: Look) -> tuple[bool, str]:
    first = next(iter(look.answer.strip().splitlines()), "")[:100]
    text = "done" if look.exit_status == 0 else f"refused ({look.exit_status}): {first}"
    return look.exit_status == expect.exit, text


async def _says(expect: Expect, look: Look) -> tuple[bool, str]:
    first = next(iter(look.answer.strip().splitlines()), "")[:100]
    return str(expect.says) in look.answer, first or "nothing"


_OTHERS: dict[str, Callable[[Expect, Look], Awaitable[tuple[bool, str]]]] = {
    "journal": _journal,
    "device": _device,
    "held": _of_release(lambda state, lane: _lane(state, lane).get("commanded")),
    "observed": _of_release(lambda state, lane: _lane(state, lane).get("observed")),
    "by_hand": _of_release(lambda state, lane: _yes(_lane(state, lane).get("open_by_hand", False))),
    "input": _of_release(lambda state, name: state["inputs"].get(name, {}).get("state")),
    "inspected": _of_release(lambda state, name: _yes(name in _names(state["inspections"]))),
    "latched": _of_release(lambda state, name: _yes(name in _names(state["causes"]))),
    "drill": _of_release(lambda state, _: _yes(state["drill"])),
    "phase": _of_release(lambda state, _: state["phase"]),
    "fault": _sentence,
    "warning": _sentence,
    "opened": _opened,
    "relocked": _relocked,
    "unmoved": _unmoved,
    "same_process": _same_process,
    "exit": _exit,
    "says": _says,
}
