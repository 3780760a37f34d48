"""A code as a picture: on the terminal, as PNG and as SVG. Needs the extra `reception` (segno)."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from gated.errors import GatedError


def symbol(code: str) -> Any:
    """The QR symbol (segno.QRCode): level L, raised where that costs no modules."""
    try:
        import segno
    except ImportError as error:
        raise GatedError("pictures of codes need segno: pip install 'gated[reception]'") from error
    return segno.make_qr(code, mode="alphanumeric", error="l", boost_error=True)


def prepare(directory: Path | None) -> None:
    """Find out early that no picture can be drawn, or none be written there. Raises GatedError."""
    symbol("A")
    try:
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GatedError(f"{directory}: cannot be made: {error.strerror}") from error


def modules(code: str) -> int:
    """How many modules the symbol has on a side, without its quiet zone."""
    return int(symbol(code).symbol_size(border=0)[0])


def show(code: str, out: IO[str]) -> None:
    """Draw the code with half blocks, quiet zone included."""
    symbol(code).terminal(out=out, border=2, compact=True)


def save(code: str, directory: Path, name: str) -> tuple[Path, Path]:
    """Write NAME.png (8 pixels a module) and NAME.svg; return both paths. Raises GatedError."""
    png, svg = directory / f"{name}.png", directory / f"{name}.svg"
    drawn = symbol(code)
    try:
        for picture in (png, svg):
            picture.touch(mode=0o600)  # as good as the pass itself
        drawn.save(str(png), scale=8, border=4)
        drawn.save(str(svg), scale=4, border=4)
    except OSError as error:
        raise GatedError(f"{directory}: the pictures cannot be written: {error.strerror}") from error
    return png, svg
