"""The service manager's socket and journald's native socket, as real datagram sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gated import journald
from gated.notify import notify, watchdog_s


@pytest.fixture
def receiver(tmp_path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "sock"))
    sock.settimeout(5)
    return sock


def test_lines_reach_the_manager(receiver: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver:
        monkeypatch.setenv("NOTIFY_SOCKET", receiver.getsockname())
        notify("READY=1", "STATUS=serving")
        assert receiver.recv(1000) == b"READY=1\nSTATUS=serving"


def test_no_manager_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


def test_a_manager_that_does_not_read_stops_nobody(
    receiver: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                filler.sendto(b"STATUS=full", receiver.getsockname())
        monkeypatch.setenv("NOTIFY_SOCKET", receiver.getsockname())
        notify("WATCHDOG=1")


@pytest.mark.parametrize(
    ("usec", "pid", "half"),
    [("2000000", "", 1.0), ("2000000", "self", 1.0), ("2000000", "1", None), ("", "", None), ("x", "", None)],
)
def test_the_watchdog_is_fed_at_half_its_time(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, half: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "self" else pid)
    assert watchdog_s() == half


def test_journal_entries_keep_newlines_and_cannot_forge_fields() -> None:
    data = journald.encode({"MESSAGE": "one\nPRIORITY=0", "GATED_LANE": "lane-1"})
    assert data == b"MESSAGE\n" + (14).to_bytes(8, "little") + b"one\nPRIORITY=0\nGATED_LANE=lane-1\n"


def test_without_journald_plain_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    journald.Log("gated").write("granted", GATED_LANE="lane-1", MESSAGE_ID="x")
    assert capsys.readouterr().err == "gated: granted gated_lane=lane-1\n"


def test_fields_reach_journald(
    receiver: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with receiver, (tmp_path / "stream").open("w") as stream:
        stat = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        assert journald.is_journal(stream.fileno())
        assert not journald.is_journal(0)
        saved = os.dup(2)
        os.dup2(stream.fileno(), 2)
        try:
            monkeypatch.setattr(journald, "SOCKET", receiver.getsockname())
            log = journald.Log("gated")
            log.write("denied", 4, GATED_REASON="denied_expired")
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        entry = receiver.recv(1000)
        assert b"PRIORITY=4\n" in entry and b"GATED_REASON=denied_expired\n" in entry
        assert log._socket is not None
        log._socket.close()
