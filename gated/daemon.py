"""`gated`: the access daemon. Starts its parts in order, serves, and stops them in reverse."""

from __future__ import annotations

import gated.lean  # noqa: F401

# isort: split
import argparse
import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gated import __version__, jsonlines, logs
from gated.clock import Clock
from gated.config import Config, describe, load
from gated.control import Control
from gated.core.effects import RecordKind
from gated.devices import Devices
from gated.errors import GatedError
from gated.link import ReleaseLink
from gated.logs import log
from gated.notify import notify
from gated.reload import Reloader
from gated.report import Report
from gated.runtime import Runtime
from gated.state import lock, open_state, purge_forever
from gated.watchdog import tell_manager

DEFAULT_CONFIG = "/etc/gated/gated.toml"
RELEASE_HEARD_S = 1.0  # the longest that the start waits for the emergency release


class Parts(AsyncExitStack):
    """The started parts, to be stopped in reverse; one that fails while it runs ends the daemon."""

    def __init__(self) -> None:
        super().__init__()
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in the background until the parts are stopped."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.push_async_callback(end)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._stopping.set()

    def end_on(self, *signals: signal.Signals) -> None:
        """Let these signals end `until_ended`, from now on."""
        for number in signals:
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)

    async def until_ended(self) -> None:
        """Wait for a signal. Raises what a part failed with."""
        await self._stopping.wait()
        if self._failure is not None:
            raise self._failure


async def serve(config: Config) -> None:
    """Run the gates of one configuration until SIGTERM or SIGINT. Raises GatedError when it cannot start."""
    async with Parts() as parts:
        parts.end_on(signal.SIGTERM, signal.SIGINT)
        crashed = parts.enter_context(lock(config.state_dir))
        clock = Clock(config.state_dir, needs_synchronisation=config.site.clock == "ntp")
        state = parts.enter_context(open_state(config, clock))
        parts.run(state.journal.flush_forever())
        parts.callback(clock.keep)
        parts.run(clock.keep_forever())
        await state.roll_calls.load()

        runtime = Runtime(config, state, clock, crashed)
        after = "a crash" if crashed else "a clean stop"
        runtime.recorder.note(
            RecordKind.AUDIT, "started", after=after, version=__version__, config=config.digest
        )
        parts.callback(runtime.recorder.tell)
        parts.callback(runtime.recorder.note, RecordKind.AUDIT, "stopped")
        await runtime.start()
        parts.push_async_callback(runtime.stop)
        parts.run(purge_forever(state, clock, runtime.clerk.removed))
        parts.run(state.roll_calls.retry_forever())

        link = ReleaseLink(config.release_socket, runtime.emergency, runtime.handle)
        parts.run(link.run())
        await link.known(RELEASE_HEARD_S)  # nobody is let in before we know whether the gates are held open
        devices = Devices(runtime.use, runtime.device_changed)
        report = Report(runtime, devices, link)
        reloader = Reloader(runtime, devices)
        control = Control(runtime, report, reloader)
        await parts.enter_async_context(jsonlines.serve(config.control_socket, control.answer))
        devices.start(config.devices.values())
        parts.push_async_callback(lambda: devices.stop(untouched=runtime.holding_open))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.hangup)

        gc.collect()
        gc.freeze()  # what is here now stays: no later collection walks through it while somebody waits
        notify("READY=1")
        log.info(f"{config.site.name}: serving", event_code="serving")
        parts.run(tell_manager(report, devices, state.journal))
        await parts.until_ended()
        notify("STOPPING=1", "STATUS=stopping")
        log.info(f"{config.site.name}: stopping", event_code="stopping")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gated",
        description="The access daemon of the security gates. Without a command it runs until SIGTERM.",
        epilog="Exit code: 0 stopped by a signal, or the file is good; 1 an error, told on standard error; "
        "2 wrong usage. SIGHUP: read the configuration again.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get("GATED_CONFIG", DEFAULT_CONFIG)),
        metavar="FILE",
        help=f"configuration (default: $GATED_CONFIG or {DEFAULT_CONFIG})",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    checking = commands.add_parser("check", help="check a configuration file, tell every error")
    checking.add_argument("file", type=Path, metavar="FILE")
    commands.add_parser("schema", help="print the JSON Schema of the configuration, for editors")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """The command `gated`; returns its exit code."""
    args = _arguments(argv)
    try:
        if args.command == "check":
            print(describe(load(args.file)))
            return 0
        if args.command == "schema":
            from gated.schema import schema

            print(json.dumps(schema(), indent=2, ensure_ascii=False))
            return 0
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
        # Readers run in threads: one that is busy in Python gives way to a card sooner than after 5 ms.
        sys.setswitchinterval(0.0005)
        logs.configure()
        asyncio.run(serve(load(args.config)))
    except GatedError as error:
        print(f"gated: {error}", file=sys.stderr)
        return 1
    return 0
