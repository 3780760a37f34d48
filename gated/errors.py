"""The errors gated raises on purpose: one root, a few children, one sentence each."""

from __future__ import annotations


class GatedError(Exception):
    """Something went wrong that a person can act on; the message says what, where and what to do."""


class ConfigError(GatedError):
    """A configuration file cannot be used; `problems` holds every finding, one sentence each."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join([f"{source}: {len(problems)} error(s)", *(f"  {p}" for p in problems)]))


class DriverFault(GatedError):
    """A device does not do its work; the supervisor shows it, records it and opens the device again."""


class StoreError(GatedError):
    """A file of gated's own state cannot be read or written."""


class InputError(GatedError):
    """A file or an argument given by a person is not acceptable; `problems` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class RequestRefused(GatedError):
    """A running process understood a request on its socket and refused it, and says why."""
