"""Talking with a person at a terminal, line by line."""

from __future__ import annotations

from collections.abc import Iterable

from gated.errors import GatedError


class Left(GatedError):
    """The person closed the terminal."""


def say(*lines: str) -> None:
    """Print lines at once."""
    print("\n".join(lines), flush=True)


def ask(question: str) -> str:
    """The answer, stripped. Raises Left at the end of input."""
    while True:
        try:
            return input(f"{question} ").encode("utf-8", "replace").decode().strip()
        except EOFError:
            raise Left("the terminal was closed") from None
        except UnicodeDecodeError:
            say("  that was no text; once more, please")


def ask_for(question: str, allowed: Iterable[str]) -> str:
    """One of the allowed answers; asks until it is. Raises Left."""
    known = tuple(allowed)
    while (answer := ask(question).lower()) not in known:
        say(f"  please answer one of: {', '.join(word or 'Enter' for word in known)}")
    return answer


def yes(question: str) -> bool:
    """Whether it is so; there is no answer by default. Raises Left."""
    return ask_for(f"{question} [y/n]", ("y", "n")) == "y"


def text(question: str) -> str:
    """An answer that says something. Raises Left."""
    while not (answer := ask(question)):
        pass
    return answer
