"""What a decision says is kept at once and told last: the relay goes first."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from gated import journal, logs
from gated.boards import Board
from gated.core.effects import Record, RecordKind
from gated.journal import Journal
from gated.recorder import Recorder


async def test_the_record_is_kept_then_the_relay_goes_then_disk_and_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step looks at what is there when its turn comes."""
    logs.configure()
    happened: list[str] = []
    flush = os.fdatasync

    def flushed(descriptor: int) -> None:
        happened.append("flushed")
        flush(descriptor)

    monkeypatch.setattr(os, "fdatasync", flushed)
    gone = asyncio.Event()

    class Port:
        async def switch(self, coils: Mapping[int, bool]) -> None:
            kept = [record["code"] for record in journal.read(tmp_path)]
            happened.append(f"kept {kept}, logged {capsys.readouterr().err!r}, relay {dict(coils)}")
            gone.set()

        async def observed(self) -> Mapping[int, bool]:
            return {}

    with closing(Journal(tmp_path)) as store:
        board = Board()
        tasks = [asyncio.ensure_future(board.use(Port())), asyncio.ensure_future(store.flush_forever())]
        await asyncio.sleep(0)  # both wait for something to do
        await asyncio.sleep(0)
        recorder = Recorder(store)
        recorder.write(Record(RecordKind.DECISION, "granted", lane="lane-1"))
        board.command({1: True})
        await gone.wait()
        await store.durable(store.seq)
        recorder.tell()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert happened[0] == "kept ['granted'], logged '', relay {1: True}"
    assert happened[1] == "flushed"
    assert "gated: lane-1: granted" in capsys.readouterr().err
