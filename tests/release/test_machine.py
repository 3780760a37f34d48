"""The machine's stories, one behaviour each."""

from __future__ import annotations

from gated.release.machine import Machine
from gated.release.words import (
    LATCH_LOST,
    Audit,
    Cause,
    ClearSeen,
    Command,
    Effect,
    Event,
    FeedbackSeen,
    InputPlan,
    InputSeen,
    LanePlan,
    Latched,
    LatchRestored,
    LatchUnreadable,
    Open,
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
