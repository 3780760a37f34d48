"""`gatectl commission`: a technician and a witness try every input and output; ends in a signed report.

It can be left at any prompt and called again: it goes on where it was. `gatectl commission verify FILE`
checks a report.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from gated import __version__
from gated.ctl import commission_report, console
from gated.ctl.ask import show_json
from gated.ctl.commission_report import Session
from gated.ctl.commission_steps import FAILED, NOT_DONE, PASSED, Result, Step, steps
from gated.ctl.commission_walk import Walk
from gated.ctl.doctor import lines, look
from gated.errors import StoreError
from gated.passes.keys import load_or_create_private
from gated.release.config import ReleaseConfig, load

WAIT_S = 120.0
FAULTY = 3
LEFT = "left; what was done is kept, call gatectl commission again to go on"


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "commission", help="go through every input and output with a witness; ends in a signed report"
    )
    parser.add_argument("--by", default=argparse.SUPPRESS, metavar="NAME", help="who resets, of reset_by")
    parser.add_argument("--technician", metavar="NAME", help="default: it is asked for")
    parser.add_argument("--witness", metavar="NAME", help="default: it is asked for")
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="S", help="longest wait at a step")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where the report goes")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the signing key; made on first use")
    parser.add_argument("--progress", type=Path, metavar="FILE", help="where what was done is kept meanwhile")
    parser.add_argument("--new", action="store_true", help="begin anew")
    parser.add_argument("--finish", action="store_true", help="write the report now, the rest as not done")
    parser.set_defaults(run=run)
    commands = parser.add_subparsers(dest="commission_command", metavar="verify")
    check = commands.add_parser("verify", help="check the signature of a report")
    check.add_argument("file", type=Path, metavar="FILE", help="the .json of a report")
    check.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    check.set_defaults(run=run_verify)


class Progress:
    """What was done so far, in a file that is replaced whole after each step."""

    def __init__(self, path: Path, config: str, new: bool) -> None:
        self.path = path
        self.config = config
        self.people: dict[str, str] = {}
        self.began = datetime.now(UTC).isoformat(timespec="seconds")
        self.results: dict[str, Result] = {}
        if path.exists() and not new:
            self._read()

    def _read(self) -> None:
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            if kept["config"] != self.config:
                raise StoreError(
                    f"{self.path}: release.toml has changed since this commissioning was begun; "
                    "what was shown then does not hold any more: begin anew with --new"
                )
            self.people = {str(role): str(name) for role, name in kept["people"].items()}
            self.began = str(kept["began"])
            self.results = {str(step): Result.from_json(data) for step, data in kept["results"].items()}
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreError(f"{self.path}: cannot be understood ({error}); begin anew with --new") from error

    def save(self) -> None:
        """Keep it. Raises StoreError."""
        results = {step: result.to_json() for step, result in self.results.items()}
        kept = {"config": self.config, "people": self.people, "began": self.began, "results": results}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = self.path.with_name(self.path.name + ".new")
            new.write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")
            new.replace(self.path)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error


def run(args: argparse.Namespace) -> int:
    """Walk through the steps that are left, and write the report; 3 when not every step passed."""
    config = load(args.release_config)
    digest = sha256(args.release_config.read_bytes()).hexdigest()
    here = sha256(str(args.release_config.resolve()).encode()).hexdigest()[:8]
    progress = Progress(args.progress or own_state_dir() / f"commission-{here}.json", digest, args.new)
    todo = steps(config)
    try:
        _people(args, progress)
        if not args.finish:
            _walk(Walk(config, _who_resets(args, config), args.wait), todo, progress)
    except (console.Left, KeyboardInterrupt):
        console.say("", LEFT)
        return 1
    return _report(args, config, todo, progress)


def own_state_dir() -> Path:
    """Where the person who runs this keeps what programs remember: XDG_STATE_HOME, of gated."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "gated"


def _people(args: argparse.Namespace, progress: Progress) -> None:
    for role in ("technician", "witness"):
        given = getattr(args, role)
        if given or role not in progress.people:
            progress.people[role] = given or console.text(f"Name of the {role}:")
    progress.save()


def _who_resets(args: argparse.Namespace, config: ReleaseConfig) -> str:
    allowed = config.plan.reset_by
    if args.by in allowed:
        return str(args.by)
    while (name := console.text(f"Who resets ({', '.join(allowed)}):")) not in allowed:
        pass
    return name


def _walk(walk: Walk, todo: list[Step], progress: Progress) -> None:
    left = [step for step in todo if step.id not in progress.results]
    console.say(
        "",
        f"{len(todo) - len(left)} of {len(todo)} steps are done.",
        "THE GATES OPEN in these steps, as in an alarm. See to it that the guards know, and who may be",
        "called at the fire panel. gated is to be stopped meanwhile: its own relays would open too, and hide",
        "a release that does not. At any prompt Ctrl-D leaves; during a step Ctrl-C gives it up.",
    )
    for number, step in enumerate(todo, 1):
        if step.id in progress.results:
            continue
        progress.results[step.id] = _one(walk, f"{number}/{len(todo)}", step)
        progress.save()


def _one(walk: Walk, number: str, step: Step) -> Result:
    while True:
        console.say("", f"[{number}] {step.title}")
        answer = console.ask_for("Enter: do it; s: not today; q: leave >", ("", "s", "q"))
        if answer == "q":
            raise console.Left("left")
        if answer == "s":
            return Result(NOT_DONE, remark=console.text("Why is it not done?"))
        result = walk.do(step)
        console.say(f"  {result.outcome.upper()}")
        if result.outcome == FAILED and console.yes("Do it again?"):
            continue
        remark = console.ask("Remark (Enter: none):")
        return Result(result.outcome, result.at, result.measured_ms, result.seen, remark)


def _report(args: argparse.Namespace, config: ReleaseConfig, todo: list[Step], progress: Progress) -> int:
    found = look(args, config)
    ended = datetime.now(UTC)
    session = Session(
        progress.people["technician"],
        progress.people["witness"],
        progress.began,
        ended.isoformat(timespec="seconds"),
        str(config.source),
        progress.config,
        __version__,
    )
    key_file = args.key or own_state_dir() / "commission.key"
    try:
        key_file.parent.mkdir(parents=True, exist_ok=True)
        key = load_or_create_private(key_file)
        data, text = commission_report.make(
            session, todo, progress.results, found.to_json(), lines(found), key
        )
        name = f"commission-{ended:%Y%m%dT%H%M%SZ}"
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"{name}.json").write_bytes(data)
        (args.out / f"{name}.txt").write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}") from error
    progress.path.unlink(missing_ok=True)
    console.say("", text, f"written: {args.out / name}.txt, and signed: {args.out / name}.json")
    passed = [step for step in todo if progress.results.get(step.id, Result(NOT_DONE)).outcome == PASSED]
    return 0 if len(passed) == len(todo) else FAULTY


def run_verify(args: argparse.Namespace) -> int:
    """Check a report. Raises StoreError when it is not what was signed."""
    try:
        report, text, key = commission_report.verify(commission_report.load(args.file))
    except StoreError as error:
        raise StoreError(
            f"{args.file}: {error}" if str(args.file) not in str(error) else str(error)
        ) from None
    if args.json:
        found: dict[str, Any] = {"key": key, "report": report}
        show_json(found)
        return 0
    console.say(text, f"good: unchanged since it was signed with the key {key}")
    beside = args.file.with_suffix(".txt")
    if beside.exists() and beside.read_text(encoding="utf-8") != text:
        raise StoreError(f"{beside}: is not the text that was signed")
    return 0
