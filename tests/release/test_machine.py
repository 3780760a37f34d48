"""The machine's stories, one behaviour each."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gated.release import requests
from gated.release.machine import Machine
from gated.release.records import MESSAGE_IDS
from gated.release.words import (
    BY_COMMAND,
    BY_DRILL,
    LATCH_LOST,
    Alarmed,
    Audit,
    Cause,
    ClearSeen,
    Command,
    DrillRequested,
    Effect,
    Event,
    FeedbackSeen,
    InputPlan,
    InputSeen,
    InspectEnded,
    InspectRequested,
    LanePlan,
    Latched,
    LatchRestored,
    LatchUnreadable,
    Open,
    OpenRequested,
    OutputDriven,
    Phase,
    Plan,
    Refused,
    ResetRequested,
    Secure,
    Source,
    Tick,
    Times,
    Warn,
    WriteLatch,
)
from tests.release.explore import at

PLAN = Plan(
    inputs={
        "fire": InputPlan(Cause.FIRE, frozenset({"north", "south"}), False),
        "quake": InputPlan(Cause.EARTHQUAKE, frozenset({"south"}), False),
        "loop": InputPlan(Cause.FIRE, frozenset({"north"}), True),
    },
    lanes={"north": LanePlan(has_feedback=True), "south": LanePlan(has_clear=True)},
    reset_by=("sato", "mori"),
    times=Times(relock_warning_s=10, relock_interval_s=5, confirm_s=3, fault_after_s=1, start_within_s=4),
)


class Story:
    """A machine and its clock."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.now = 0.0
        self.machine = Machine(plan, at(0.0))

    def __call__(self, *events: Event) -> list[Effect]:
        return [effect for event in events for effect in self.machine.handle(event, at(self.now))]

    @property
    def phase(self) -> str:
        return str(self.machine.phase)

    def wait(self, seconds: float) -> list[Effect]:
        """Time passes; the machine is told when it asked to be."""
        until, said = self.now + seconds, list[Effect]()
        while (due := self.machine.next_deadline) is not None and due <= until:
            self.now = max(self.now, due)
            said += self(Tick())
        self.now = until
        return said

    def started(self) -> Story:
        self(*(InputSeen(name, False) for name in self.machine.inputs), ClearSeen("south", True))
        self(OutputDriven("north", True), OutputDriven("south", True))
        return self


def moves(effects: list[Effect]) -> list[str]:
    return [f"{type(e).__name__} {e.lane}" for e in effects if isinstance(e, Open | Secure)]


def audits(effects: list[Effect]) -> list[Audit]:
    return [e for e in effects if isinstance(e, Audit)]


def reasons(effects: list[Effect]) -> tuple[str, ...]:
    return next((e.reasons for e in effects if isinstance(e, Refused)), ())


def codes(effects: list[Effect]) -> list[str]:
    return [e.code for e in effects if isinstance(e, Audit)]


def test_it_touches_nothing_until_every_input_was_read() -> None:
    story = Story()
    assert story.phase == "starting"
    assert moves(story(InputSeen("fire", False), InputSeen("loop", False))) == []
    assert moves(story(InputSeen("quake", False))) == ["Secure north", "Secure south"]
    assert story.phase == "normal"


def test_an_alarm_while_starting_opens_at_once_and_leaves_the_rest_untouched() -> None:
    story = Story()
    assert moves(story(InputSeen("quake", True))) == ["Open south"]
    assert story.machine.lanes["north"].command is Command.NONE


def test_a_pulse_opens_until_a_reset() -> None:
    story = Story().started()
    assert moves(story(InputSeen("fire", True))) == ["Open north", "Open south"]
    assert moves(story(InputSeen("fire", False))) == []
    assert moves(story.wait(1e6)) == []
    assert story.machine.phase is Phase.ALARM


def test_each_lane_follows_the_causes_mapped_to_it() -> None:
    story = Story().started()
    assert moves(story(InputSeen("quake", True))) == ["Open south"]
    assert story.machine.lanes["north"].command is Command.MAY_SHUT


def test_a_reset_is_refused_with_every_reason_at_once() -> None:
    story = Story().started()
    story(InputSeen("fire", True), InputSeen("quake", None))
    (refused,) = [e for e in story(ResetRequested("eve", "  ")) if isinstance(e, Refused)]
    assert refused.reasons == (
        "eve is not one of those who may reset (sato, mori)",
        "a reset needs its reason",
        "fire (fire) is still active",
        "quake cannot be read, so it is not known to be clear",
    )
    assert story.machine.phase is Phase.ALARM


def test_nothing_to_reset_is_said() -> None:
    (refused,) = [e for e in Story().started()(ResetRequested("sato", "x")) if isinstance(e, Refused)]
    assert refused.reasons == ("nothing is latched",)


def test_after_a_reset_the_lanes_are_warned_and_relocked_one_at_a_time() -> None:
    story = Story().started()
    story(InputSeen("fire", True), InputSeen("fire", False))
    assert Warn(frozenset({"north", "south"})) in story(ResetRequested("sato", "false alarm"))
    assert story.phase == "relock_pending"
    assert moves(story.wait(9.9)) == []
    assert moves(story.wait(0.1)) == ["Secure north"]
    assert moves(story.wait(4.9)) == []
    assert moves(story.wait(0.1)) == ["Secure south"]
    assert story.phase == "normal"


def test_an_occupied_lane_is_not_shut_and_does_not_hold_up_the_others() -> None:
    story = Story().started()
    story(InputSeen("fire", True), InputSeen("fire", False), ClearSeen("south", False))
    story(ResetRequested("sato", "false alarm"))
    assert moves(story.wait(100)) == ["Secure north"]
    assert "relocking waits: south is not seen to be clear" in story.machine.faults()
    assert moves(story(ClearSeen("south", True))) == ["Secure south"]


def test_a_new_alarm_ends_the_relocking_and_opens_again() -> None:
    story = Story().started()
    story(InputSeen("fire", True), InputSeen("fire", False), ResetRequested("sato", "false alarm"))
    assert moves(story.wait(10)) == ["Secure north"]
    assert moves(story(InputSeen("fire", True))) == ["Open north"]
    assert story.machine.phase is Phase.ALARM
    story(InputSeen("fire", False))
    assert moves(story.wait(1000)) == []


def test_lanes_not_shut_yet_stay_open_under_a_new_alarm_elsewhere() -> None:
    story = Story().started()
    story(InputSeen("fire", True), InputSeen("fire", False), ResetRequested("sato", "false alarm"))
    story.wait(10)
    assert moves(story(InputSeen("quake", True), InputSeen("quake", False))) == []
    assert moves(story.wait(1000)) == []
    assert story.machine.open_lanes == {"south"}


def test_a_lost_loop_opens_after_its_time_and_a_lost_contact_is_shown() -> None:
    story = Story().started()
    assert moves(story(InputSeen("loop", None), InputSeen("quake", None))) == []
    assert moves(story.wait(0.9)) == []
    assert moves(story.wait(0.1)) == ["Open north"]
    assert story.machine.faults() == ["input quake cannot be read", "input loop cannot be read"]
    story(InputSeen("loop", False), InputSeen("quake", False))
    assert story.machine.faults() == []
    assert story.machine.phase is Phase.ALARM


def test_a_short_loss_opens_nothing() -> None:
    story = Story().started()
    story(InputSeen("loop", None))
    story.wait(0.9)
    assert moves(story(InputSeen("loop", False)) + story.wait(100)) == []


def test_relocking_waits_while_an_input_is_not_read() -> None:
    story = Story().started()
    story(InputSeen("fire", True), InputSeen("fire", False), ResetRequested("sato", "false alarm"))
    story(InputSeen("quake", None))
    assert moves(story.wait(100)) == []
    assert moves(story(InputSeen("quake", False))) == ["Secure north"]


def test_opening_that_is_not_seen_is_told_and_withdrawn_when_it_is() -> None:
    story = Story().started()
    story(InputSeen("fire", True), OutputDriven("north", True), OutputDriven("south", True))
    assert codes(story.wait(2.9)) == []
    assert codes(story.wait(0.1)) == ["open_by_hand"]
    assert story.machine.faults() == ["OPEN BY HAND: north"]
    assert codes(story(FeedbackSeen("north", True))) == ["opened", "open_confirmed"]
    assert story.machine.faults() == []
    story(FeedbackSeen("north", None))
    assert codes(story.wait(3)) == ["open_by_hand"]


def test_a_lane_without_feedback_is_confirmed_by_its_output_alone() -> None:
    story = Story().started()
    story(InputSeen("quake", True))
    assert codes(story.wait(3)) == ["open_by_hand"]
    assert codes(story(OutputDriven("south", True))) == ["opened", "open_confirmed"]
    story(OutputDriven("south", False))
    assert codes(story.wait(3)) == ["open_by_hand"]


def test_a_restored_latch_opens_before_any_input_is_read() -> None:
    story = Story()
    latched = Latched("2026-11-23T00:00:00+00:00", frozenset({"south"}))
    assert moves(story(LatchRestored(((Source("quake", Cause.EARTHQUAKE), latched),)))) == ["Open south"]
    story.started()
    assert story.machine.phase is Phase.ALARM
    assert story.machine.lanes["north"].command is Command.MAY_SHUT


def test_a_restored_latch_of_lanes_that_are_gone_opens_all() -> None:
    latched = Latched("2026-11-23T00:00:00+00:00", frozenset({"west"}))
    said = Story()(LatchRestored(((Source("old", Cause.FIRE), latched),)))
    assert moves(said) == ["Open north", "Open south"]


def test_a_latch_that_cannot_be_read_opens_all_and_needs_a_reset() -> None:
    story = Story()
    assert moves(story(LatchUnreadable("torn"))) == ["Open north", "Open south"]
    story.started()
    assert story.machine.phase is Phase.ALARM
    assert next(iter(story.machine.latched)) == LATCH_LOST
    story(ResetRequested("mori", "file system repaired"))
    assert moves(story.wait(20)) == ["Secure north", "Secure south"]


def test_an_input_that_says_again_and_again_that_it_cannot_be_read_is_a_fault_in_time() -> None:
    story = Story().started()
    said: list[str] = []
    for _ in range(4):
        said += codes(story(InputSeen("loop", None))) + codes(story.wait(0.4))
    assert said == ["input_fault"]
    assert story.machine.open_lanes == {"north"}


def test_a_new_alarm_keeps_the_lanes_of_a_latch_made_under_another_configuration() -> None:
    story = Story()
    source = Source("quake", Cause.EARTHQUAKE)
    story(LatchRestored(((source, Latched("2026-11-23", frozenset({"north"}))),)))
    story(InputSeen("quake", True))
    assert story.machine.latched[source].lanes == {"north", "south"}


def test_each_opening_is_on_record_with_its_time_and_what_saw_it() -> None:
    story = Story().started()
    story(InputSeen("fire", True))
    story.now += 0.0412
    (by_output,) = audits(story(OutputDriven("south", True)))
    assert by_output.text.startswith("south was commanded, not observed: its outputs were written 41 ms")
    assert audits(story(OutputDriven("north", True))) == []  # its feedback counts, not its output
    story.now += 0.3708
    (by_feedback,) = audits(story(FeedbackSeen("north", True)))
    assert by_feedback.text == "north was seen open 412 ms after the command"
    assert dict(by_feedback.detail) == {"lane": "north", "ms": "412", "confirmed_by": "feedback"}
    assert story.machine.lanes["north"].opened_s == pytest.approx(0.412)


def test_a_low_battery_opens() -> None:
    plan = PLAN._replace(inputs={"battery": InputPlan(Cause.POWER, frozenset({"south"}), False)})
    story = Story(plan)
    story(InputSeen("battery", False))
    assert moves(story(InputSeen("battery", True))) == ["Open south"]
    assert story.machine.latched.keys() == {Source("battery", Cause.POWER)}


def test_why_an_input_cannot_be_read_is_said_and_said_again_when_it_changes() -> None:
    story = Story().started()
    story(InputSeen("quake", None, "cut"))
    assert story.machine.faults() == []
    (fault,) = audits(story.wait(1))
    assert fault.text == "input quake: its line is cut; outputs hold"
    assert story.machine.faults() == ["input quake: its line is cut"]
    (change,) = audits(story(InputSeen("quake", None, "short")))
    assert change.code == "input_fault"
    assert audits(story(InputSeen("quake", None, "short"))) == []
    assert story.machine.faults() == ["input quake: its line is shorted"]
    story(InputSeen("quake", False))
    assert story.machine.inputs["quake"].fault == ""


def test_anybody_with_a_name_and_a_reason_opens_whatever_the_state() -> None:
    opening = OpenRequested("a guard", "smoke in the lobby", frozenset({"north"}), "uid 1000")
    assert moves(Story()(opening)) == ["Open north"]
    relocking = Story().started()
    relocking(InputSeen("fire", True), InputSeen("fire", False), ResetRequested("sato", "false alarm"))
    relocking.wait(10)
    assert moves(relocking(opening)) == ["Open north"]
    assert relocking.phase == "alarm"


def test_opening_by_command_is_latched_and_reset_as_any_alarm() -> None:
    story = Story().started()
    said = story(OpenRequested("a guard", "smoke", via="uid 1000"))
    assert moves(said) == ["Open north", "Open south"]
    assert Alarmed(BY_COMMAND, frozenset({"north", "south"})) in said
    (record,) = audits(said)
    assert (record.code, record.priority) == ("open_ordered", 1)
    assert dict(record.detail) == {"by": "a guard", "why": "smoke", "via": "uid 1000", "lane": ""}
    assert not story.machine.active(BY_COMMAND)
    assert moves(story.wait(1e6)) == []
    story(ResetRequested("sato", "no fire"))
    assert moves(story.wait(20)) == ["Secure north", "Secure south"]


def test_opening_without_a_name_a_reason_or_with_unknown_lanes_is_refused_with_every_problem() -> None:
    story = Story().started()
    assert reasons(story(OpenRequested(" ", "", frozenset({"west", "east"})))) == (
        "opening needs the name of who opens",
        "opening needs its reason",
        "there is no lane called 'east'; there are: north, south",
        "there is no lane called 'west'; there are: north, south",
    )
    assert story.machine.latched == {}


def test_a_drill_really_opens_and_says_that_it_is_one_until_its_reset_is_done() -> None:
    story = Story().started()
    said = story(DrillRequested("sato", "evacuation drill"))
    assert moves(said) == ["Open north", "Open south"]
    assert WriteLatch() in said
    assert story.phase == "alarm" and story.machine.drill
    assert story.machine.banners() == ["DRILL: north, south open for a drill until a reset"]
    said += story.wait(10) + story(OutputDriven("south", True), ResetRequested("sato", "over"))
    said += story.wait(20)
    assert codes(said) == [
        *["drill", "open_by_hand", "open_by_hand", "opened", "open_confirmed"],
        *["reset", "relocked", "open_confirmed", "relocked"],
    ]
    records = [record for record in audits(said) if record.code != "open_confirmed"]
    assert all(record.text.startswith("DRILL: ") for record in records)
    assert not story.machine.drill and story.machine.banners() == []
    assert story.phase == "normal"


def test_a_real_cause_makes_an_alarm_of_a_drill_and_it_stays_one() -> None:
    story = Story().started()
    story(DrillRequested("sato", "test of an output", frozenset({"south"})))
    said = story(InputSeen("loop", True))
    assert moves(said) == ["Open north"]
    (upgraded,) = audits(said)
    assert (upgraded.code, upgraded.priority) == ("drill_upgraded", 1)
    assert upgraded.text == "DRILL is over: fire of loop is real"
    assert not story.machine.drill and BY_DRILL in story.machine.latched
    story(InputSeen("loop", False), ResetRequested("sato", "false alarm"))
    assert moves(story.wait(10)) == ["Secure north"]
    assert story.machine.latched.keys() == {BY_DRILL}
    assert not story.machine.drill  # what is left was part of an alarm
    assert moves(story.wait(5)) == ["Secure south"]


def test_a_drill_is_refused_to_others_in_an_alarm_and_while_relocking() -> None:
    story = Story().started()
    story(InputSeen("quake", True))
    assert reasons(story(DrillRequested("eve", " ", frozenset({"west"})))) == (
        "this is an alarm and no drill: earthquake of quake",
        "eve is not one of those who may have a drill (sato, mori)",
        "a drill needs its reason",
        "there is no lane called 'west'; there are: north, south",
    )
    story(InputSeen("quake", False), ResetRequested("sato", "false alarm"))
    assert reasons(story(DrillRequested("mori", "practice")))[0] == (
        "sato reset already, the lanes are being relocked"
    )


def test_a_restored_drill_is_still_one() -> None:
    story = Story()
    said = story(LatchRestored(((BY_DRILL, Latched("2026-11-23", frozenset({"south"}))),)))
    assert moves(said) == ["Open south"]
    assert story.machine.drill
    assert audits(said)[0].text.startswith("DRILL: ")


HOUR = 3600.0


def test_an_inspected_input_opens_nothing_says_so_and_leaves_the_others_alone() -> None:
    story = Story().started()
    story(InspectRequested("fire", "sato", "yearly inspection", HOUR))
    assert story.machine.banners() == [
        "INSPECTION: fire opens nothing until 01:00 UTC, by sato: yearly inspection"
    ]
    for _ in range(2):
        said = story(InputSeen("fire", True), InputSeen("fire", True), InputSeen("fire", False))
        assert moves(said) == []
        assert codes(said) == ["inhibited", "input_clear"]
        assert audits(said)[0].priority == 4
    assert moves(story(InputSeen("quake", True))) == ["Open south"]


def test_a_source_still_in_alarm_when_its_inspection_ends_opens() -> None:
    for end in (True, False):
        story = Story().started()
        story(InspectRequested("fire", "sato", "yearly inspection", HOUR), InputSeen("fire", True))
        if end:
            said = story(InspectEnded("fire", "mori"))
        else:
            assert moves(story.wait(HOUR - 1)) == []
            said = story.wait(1)
        assert moves(said) == ["Open north", "Open south"]
        assert codes(said) == ["inspection_over"]
        assert story.machine.inspections == {}


def test_a_line_still_cut_when_its_inspection_ends_opens_where_its_loss_opens() -> None:
    story = Story().started()
    story(InspectRequested("loop", "sato", "new resistor", HOUR), InputSeen("loop", None, "cut"))
    (fault,) = audits(story.wait(10))
    assert fault.text == "input loop: its line is cut; it is being inspected, nothing opens"
    assert moves(story.wait(HOUR)) == ["Open north"]


def test_the_alarm_that_comes_with_the_end_of_an_inspection_opens() -> None:
    story = Story().started()
    story(InspectRequested("fire", "sato", "yearly inspection", HOUR))
    story.now += HOUR  # the timer is late, the alarm is not
    assert moves(story(InputSeen("fire", True))) == ["Open north", "Open south"]


def test_no_reset_while_an_inspected_input_is_active() -> None:
    story = Story().started()
    story(InspectRequested("fire", "sato", "yearly inspection", HOUR), InputSeen("fire", True))
    story(InputSeen("quake", True), InputSeen("quake", False))
    assert reasons(story(ResetRequested("sato", "quake is over"))) == ("fire (fire) is still active",)
    story(InputSeen("fire", False), ResetRequested("sato", "quake is over"), InputSeen("fire", True))
    assert moves(story.wait(60)) == []
    assert "relocking waits: fire is active, under inspection" in story.machine.faults()


def test_an_inspection_is_refused_with_every_reason_at_once() -> None:
    plan = PLAN._replace(
        inputs={**PLAN.inputs, "button": InputPlan(Cause.MANUAL, frozenset({"north"}), False)}
    )
    story = Story(plan).started()
    story(InputSeen("button", True), InspectRequested("fire", "mori", "inspection", HOUR))
    assert reasons(story(InspectRequested("button", "eve", " ", 5 * HOUR))) == (
        "button: a manual release cannot be inhibited",
        "button is latched; reset first",
        "button is active now; an inspection is asked for before its input is tried",
        "eve is not one of those who may have an input inspected (sato, mori)",
        "an inspection needs its reason",
        "an inspection lasts more than 0 and at most 4 hours, not 5",
    )
    for for_s in (0.0, -1.0, float("nan"), float("inf")):
        assert len(reasons(story(InspectRequested("quake", "sato", "inspection", for_s)))) == 1
    assert reasons(story(InspectRequested("west", "sato", "inspection", HOUR))) == (
        "there is no input called 'west'; there are: fire, quake, loop, button",
    )
    assert reasons(story(InspectRequested("fire", "sato", "inspection", HOUR))) == (
        "fire is being inspected already, by mori",
    )
    story(InputSeen("loop", None))
    assert reasons(story(InspectRequested("loop", "sato", "inspection", HOUR))) == (
        "loop cannot be read, and its loss opens",
    )
    assert reasons(story(InspectEnded("quake", "eve"))) == (
        "quake is not being inspected",
        "eve is not one of those who may end an inspection (sato, mori)",
    )


def test_an_inspection_does_not_stand_in_for_an_input_that_was_never_read() -> None:
    story = Story()
    story(InspectRequested("fire", "sato", "it is out for repair", HOUR))
    assert moves(story(InputSeen("quake", False), InputSeen("loop", False)) + story.wait(100)) == []
    assert story.phase == "starting"


def test_a_new_machine_has_no_inspections() -> None:
    """They are not kept: a restart ends them."""
    assert Story().machine.inspections == {}


def test_every_record_has_its_message_id() -> None:
    source = Path(inspect.getfile(Machine)).read_text() + Path(inspect.getfile(requests)).read_text()
    found = set(re.findall(r'Audit\(\s*"(\w+)"', source))
    found |= {f"{code}_refused" for code, _ in requests.REQUESTS.values()}
    assert {"reset", "opened", "inspection_end_refused"} <= found <= MESSAGE_IDS.keys()
    assert len(set(MESSAGE_IDS.values())) == len(MESSAGE_IDS)
