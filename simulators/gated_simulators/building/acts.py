"""The acts of people and technicians on the simulated building, and the socket that takes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gated import jsonlines
from gated.errors import RequestRefused
from gated_simulators.building.building import Building, SimLane
from gated_simulators.building.lines import Condition
from gated_simulators.building.people import idm_of
from gated_simulators.building.turnstile import Person

HOLD_S = 4.0
"""How long somebody holds up a card or a code that nothing answers, seconds."""
MARGIN_S = 0.5
"""How much longer than it must a hand stays away before the same thing is held up again, seconds."""
LONGEST = 2000
"""Bytes that fit into a QR code of the level the camera rig draws, with some to spare."""
FAMILIES = {"card": "reader_nfcpy", "code": "reader_qr_camera"}


class Acts:
    """Carries out one request at a time; what takes time goes on in the background."""

    def __init__(self, building: Building, people: dict[str, bytes]) -> None:
        self._building = building
        self._contacts = building.contacts
        self._people = people
        self._going: dict[str, asyncio.Task[None]] = {}  # what is held up by reader, what bounces by line
        self._last: dict[str, tuple[object, float]] = {}  # what was held up last, and until when

    async def handle(self, request: dict[str, Any], peer: jsonlines.Peer) -> Any:
        """Answer a request of the socket; the verbs are those of `commands`, and status and watch."""
        del peer
        verb = request["do"]
        if verb == "status":
            return self._building.status()
        if verb == "watch":
            return self._building.watch()
        act = getattr(self, f"_do_{verb}", None)
        if act is None:
            raise RequestRefused(f"the building does not know {verb!r}")
        try:
            return act(request)
        except KeyError as error:
            raise RequestRefused(f"{verb} needs {error.args[0]!r}") from error

    async def close(self) -> None:
        """Nobody holds anything up any more."""
        for task in self._going.values():
            task.cancel()
        await asyncio.gather(*self._going.values(), return_exceptions=True)

    def _do_card(self, request: dict[str, Any]) -> None:
        idm = idm_of(request["card"], self._people)
        reader, lane = self._reader(request, "card")
        rig = self._building.rig(reader)
        self._hold(reader, lane, idm, lambda: rig.present(idm), rig.remove)

    def _do_code(self, request: dict[str, Any]) -> None:
        reader, lane = self._reader(request, "code")
        size = len(request["code"].encode())
        if not 1 <= size <= LONGEST:
            raise RequestRefused(f"a code holds 1 to {LONGEST} bytes; this one has {size}")
        content = _altered(request["code"]) if request.get("alter") else request["code"]
        rig = self._building.rig(reader)
        spoil = {key: request.get(key, 0.0) for key in ("blur", "tilt", "glare")}
        self._hold(reader, lane, content, lambda: rig.show(content, **spoil), rig.clear)

    def _reader(self, request: dict[str, Any], what: str) -> tuple[str, SimLane]:
        """The reader of the lane that reads this, in this direction."""
        lane = self._building.lane(request["lane"])
        way = request.get("way", "entry")
        for name in lane.wires.readers.get(way, ()):
            settings = self._building.wiring.devices[name]
            if type(settings).__module__.endswith(f".{FAMILIES[what]}"):
                return name, lane
        raise RequestRefused(f"{request['lane']} has no reader for a {what} on its {way} side")

    def _pause(self, reader: str, what: object) -> float:
        """Seconds to wait: the same thing again too soon is, to a reader, one that was never taken away."""
        last, until = self._last.get(reader, (None, 0.0))
        if last != what:
            return 0.0
        absent_s = float(getattr(self._building.wiring.devices[reader], "absent_s", 0.0))
        return max(0.0, until + absent_s + MARGIN_S - time.monotonic())

    def _start(self, place: str, doing: Coroutine[Any, Any, None]) -> None:
        """Do something in the background, in place of what goes on at that place."""
        if (before := self._going.get(place)) is not None:
            before.cancel()
        self._going[place] = asyncio.create_task(doing)

    def _hold(self, reader: str, lane: SimLane, what: object, show: Any, remove: Any) -> None:
        """Hold something to a reader until a lamp answers, as people do."""

        async def held(before: asyncio.Task[None] | None) -> None:
            if before is not None:
                before.cancel()
                await asyncio.gather(before, return_exceptions=True)
            await asyncio.sleep(self._pause(reader, what))
            lane.answered.clear()
            show()
            try:
                async with asyncio.timeout(HOLD_S):
                    await lane.answered.wait()
            except TimeoutError:
                pass
            finally:
                remove()
                self._last[reader] = (what, time.monotonic())

        self._going[reader] = asyncio.create_task(held(self._going.get(reader)))

    def _walkers(self, request: dict[str, Any], *people: Person) -> None:
        lane = self._building.lane(request["lane"])
        self._building.advance()
        for person in people:
            lane.turnstile.add(person)
        self._building.stir.set()

    def _do_walk(self, request: dict[str, Any]) -> None:
        how = {key: bool(request.get(key)) for key in ("approach", "force", "back_out")}
        way = request.get("way", "entry")
        how["approach"] |= way == "exit" and self._building.lane(request["lane"]).wires.free_exit
        self._walkers(request, Person(way, **how))

    def _do_tailgate(self, request: dict[str, Any]) -> None:
        way = request.get("way", "entry")
        self._walkers(request, Person(way), Person(way))

    def _do_trip(self, request: dict[str, Any]) -> None:
        contact, for_s = request["contact"], request.get("for_s")
        self._contacts.alarm(contact, True)
        if for_s is not None:
            asyncio.get_running_loop().call_later(float(for_s), self._contacts.alarm, contact, False)

    def _do_clear(self, request: dict[str, Any]) -> None:
        self._contacts.alarm(request["contact"], False)

    def _do_cut(self, request: dict[str, Any]) -> str:
        what = request["what"]
        if what in self._contacts.lines:
            return self._contacts.damage(what, Condition.CUT)
        if what not in self._building.rigs:
            known = ", ".join((*sorted(self._building.rigs), *self._contacts.lines))
            raise RequestRefused(f"no device and no line is called {what!r}; there are {known}")
        self._building.rig(what).cut()
        self._mark_wire(what, cut=True)
        return ""

    def _do_short(self, request: dict[str, Any]) -> str:
        return self._contacts.damage(request["line"], Condition.SHORT)

    def _do_misterminate(self, request: dict[str, Any]) -> str:
        return self._contacts.damage(request["line"], Condition.MISTERMINATED)

    def _do_restore(self, request: dict[str, Any]) -> str:
        return self._contacts.damage(request["line"], Condition.WHOLE)

    def _do_bounce(self, request: dict[str, Any]) -> None:
        line = self._contacts.line(request["line"])
        self._start(line.name, self._contacts.bounce(line.name, float(request.get("for_s", 0.03))))

    def _do_fail(self, request: dict[str, Any]) -> None:
        self._building.fail(request["output"], request.get("how", "stuck"))

    def _do_repair(self, request: dict[str, Any]) -> None:
        self._building.fail(request["output"], None)

    def _do_ups(self, request: dict[str, Any]) -> None:
        state, low = request["state"], [a for a in self._building.wiring.alarms if a.cause == "power"]
        if state == "low" and not low:
            raise RequestRefused("this site has no input for a low battery (cause power)")
        if state == "on_battery" or any(m.says == "on_battery" for m in self._building.wiring.monitors):
            self._contacts.trouble("on_battery", state != "mains")
        for alarm in low:
            self._contacts.alarm(alarm.name, state == "low")

    def _do_panel(self, request: dict[str, Any]) -> None:
        self._contacts.stop_transfer(request["position"] == "on")

    def _do_mend(self, request: dict[str, Any]) -> None:
        self._building.rig(request["device"]).mend()
        self._mark_wire(request["device"], cut=False)

    def _mark_wire(self, device: str, cut: bool) -> None:
        """Devices on one port lose their wire together."""
        building = self._building
        for name, rig in building.rigs.items():
            if rig is building.rigs[device]:
                building.wires_cut = building.wires_cut | {name} if cut else building.wires_cut - {name}
                building.note("wire", name, "cut" if cut else "joined")

    def _do_stall(self, request: dict[str, Any]) -> None:
        self._camera(request).stall()
        self._building.stalled.add(request["device"])
        self._building.note("wire", request["device"], "stalled")

    def _do_resume(self, request: dict[str, Any]) -> None:
        self._camera(request).resume()
        self._building.stalled.discard(request["device"])
        self._building.note("wire", request["device"], "joined")

    def _camera(self, request: dict[str, Any]) -> Any:
        rig = self._building.rig(request["device"])
        if not hasattr(rig, "stall"):
            raise RequestRefused(f"{request['device']} is no camera: only a camera's stream can stall")
        return rig

    def _do_hold(self, request: dict[str, Any]) -> None:
        self._flap(request, request.get("how", "shut"))

    def _do_free(self, request: dict[str, Any]) -> None:
        self._flap(request, None)

    def _flap(self, request: dict[str, Any], hold: Any) -> None:
        lane = self._building.lane(request["lane"])
        self._building.advance()
        lane.turnstile.hold = hold
        lane.turnstile.at = time.monotonic()
        self._building.note("hold" if hold else "free", request["lane"], hold or "")


def _altered(code: str) -> str:
    """The code with one character changed to another of the same alphabet, well inside it."""
    place = len(code) * 3 // 4
    other = "A" if code[place] != "A" else "B"
    return code[:place] + other + code[place + 1 :]


@asynccontextmanager
async def serve(building: Building, people: dict[str, bytes], socket: Path) -> AsyncIterator[None]:
    """Take acts on a Unix socket while the context is open."""
    acts = Acts(building, people)
    socket.parent.mkdir(parents=True, exist_ok=True)
    async with jsonlines.serve(socket, acts.handle, mode=0o600):
        try:
            yield
        finally:
            await acts.close()
