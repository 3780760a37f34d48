"""Card readers through PC/SC (pcscd): RC-S300, ACR1252U and every other with a PC/SC driver.

FeliCa IDm, ISO 14443 UID and PUPI: an identifier, which can be copied. pcscd and its library can block for
ever, so `python -m gated_drivers._pcsc_worker` speaks to them. It says that it is alive four times a
second; silent for `stall_s`, the reader is lost, and closing kills the process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import Field

from gated.ports import Driver, Kind, Presentation, Settings, Technology
from gated_drivers._worker import WorkerReader

OPEN_S = 5.0
SILENT = "pcscd, the reader or a card has not answered for {:g} s; unplug the reader and plug it in"


class PcscSettings(Settings):
    """Which reader it is and which cards count."""

    reader: str = Field(
        "", description="part of its name or its serial number, as pcscd tells it; empty: the only reader"
    )
    technologies: list[Literal["felica", "iso14443a", "iso14443b"]] = Field(
        ["felica", "iso14443a", "iso14443b"], min_length=1, description="card families that count"
    )
    absent_s: float = Field(0.3, ge=0, le=10, description="a card away for this long counts again; seconds")
    stall_s: float = Field(
        2.0, ge=1, le=60, description="pcscd, reader or card silent for this long: a fault; seconds"
    )
    pcscd: str = Field("", description="pcscd's socket, where it is not the system's own")


def _presented(body: bytes, at: float) -> Presentation:
    """Of a message of the process: the family's name, a blank, the identifier."""
    family, _, payload = body.partition(b" ")
    return Presentation(Technology(family.decode()), payload, at)


@asynccontextmanager
async def open_reader(settings: PcscSettings) -> AsyncIterator[WorkerReader]:
    """Open the reader. Deadline: 5 s. `ignored` counts failed readings, and cards without a credential."""
    reader = WorkerReader(
        f"card reader {settings.reader}" if settings.reader else "card reader",
        "gated_drivers._pcsc_worker",
        _presented,
        order=settings.model_dump(mode="json", include={"reader", "technologies", "absent_s"}),
        environment={"PCSCLITE_CSOCK_NAME": settings.pcscd} if settings.pcscd else {},
        open_s=OPEN_S,
        stall_s=settings.stall_s,
        unopened=SILENT,
        stalled=SILENT,
    )
    try:
        await reader.start()
        yield reader
    finally:
        await reader.close()


DRIVER = Driver(Kind.READER, PcscSettings, open_reader)
