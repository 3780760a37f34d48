"""The busiest moment of a played scenario as an SVG file, for documents: what the terminal showed then."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType
from rich.terminal_theme import DIMMED_MONOKAI

COLUMNS, ROWS = 108, 37
# A document fetches nothing: no font from the net, the reader's own instead.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "font-family: Fira Code", "font-family: DejaVu Sans Mono, Menlo, Consolas"
)


def off_screen() -> Console:
    """A console that nobody sees, so that the picture is drawn without a terminal too."""
    return Console(file=io.StringIO(), width=COLUMNS, height=ROWS, force_terminal=True)


class Snapshot:
    """Keeps the last picture that had the most people in the lanes."""

    def __init__(self) -> None:
        self._people = -1
        self._picture: RenderableType | None = None

    def look(self, sim: dict[str, Any], picture: RenderableType) -> None:
        """Consider one picture and the building's status that it shows."""
        people = sum(len(lane["people"]) for lane in sim["lanes"].values())
        if people >= self._people:
            self._people, self._picture = people, picture

    def save(self, file: Path, title: str) -> None:
        """Write the picture kept, if any was seen. Raises OSError."""
        if self._picture is None:
            return
        console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
        console.print(self._picture)
        svg = console.export_svg(title=title, theme=DIMMED_MONOKAI, code_format=_FORMAT, unique_id="demo")
        file.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
