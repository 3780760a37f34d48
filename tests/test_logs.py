"""What reaches journald, as real datagrams, and what never does."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gated import journald, logs


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A journald: the socket, and our standard error connected to it."""
    before = logging.getLogger().handlers[:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, (tmp_path / "stderr").open("w") as stderr:
        sock.bind(str(tmp_path / "journal"))
        sock.settimeout(5)
        stat = os.fstat(stderr.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        monkeypatch.setattr(journald, "SOCKET", str(tmp_path / "journal"))
        saved = os.dup(2)
        os.dup2(stderr.fileno(), 2)
        try:
            log = logs.configure()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        yield sock
        log.close()
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before


def entry(sock: socket.socket) -> dict[str, str]:
    lines = sock.recv(10_000).decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_an_entry_carries_its_fields_and_a_stable_id(journal: socket.socket) -> None:
    structlog.get_logger().warning(
        "lane-1: tailgate", kind="alarm", event_code="tailgate", lane="lane-1", reason="", device=""
    )
    assert entry(journal) == {
        "MESSAGE": "lane-1: tailgate",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "gated",
        "GATED_EVENT": "tailgate",
        "GATED_KIND": "alarm",
        "GATED_LANE": "lane-1",
        "MESSAGE_ID": "c5784ce1de445964b425b9c8c448020a",
    }
    assert logs.message_id("alarm") != logs.message_id("decision")


def test_no_other_field_gets_through(journal: socket.socket) -> None:
    structlog.get_logger().info("granted", identifier="012e4cd8a1b2c301", kind="decision")
    assert set(entry(journal)) == {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "GATED_KIND", "MESSAGE_ID"}


def test_other_libraries_are_heard_from_warning_up_without_hex(journal: socket.socket) -> None:
    other = logging.getLogger("somelibrary.reader")
    other.info("read 01 2e 4c d8 a1 b2 c3 01")
    other.warning("card 012E4CD8A1B2C301 left, %s", "01:2e:4c:d8:a1")
    told = entry(journal)
    assert told["MESSAGE"] == "somelibrary.reader: card [hex] left, [hex] "
    assert told["PRIORITY"] == "4"
