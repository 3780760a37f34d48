"""From a kind and a driver's name to its Driver, importing nothing that is not configured."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import re

from gated.errors import GatedError
from gated.ports import Driver, Kind

GROUP = "gated.driver_packages"
BUILTIN = "gated_drivers"
DRIVER_NAME = re.compile(f"({'|'.join(Kind)})_[a-z0-9_]+")


class UnknownDriver(GatedError):
    """No installed driver package holds a driver of that name."""


class BrokenDriver(GatedError):
    """The driver exists but cannot be imported, mostly because its library is not installed."""


def _packages() -> list[str]:
    """The driver packages of every installed distribution, ours first."""
    from importlib import metadata  # costs a good 10 ms, and is wanted only for drivers that are not ours

    found = {entry.value for entry in metadata.entry_points(group=GROUP)}
    return [BUILTIN, *sorted(found - {BUILTIN})]


def names() -> list[str]:
    """Every driver that is installed, by name; imports the driver packages, not the drivers."""
    found: set[str] = set()
    for package in _packages():
        try:
            path = importlib.import_module(package).__path__
        except ImportError:
            continue
        found |= {m.name for m in pkgutil.iter_modules(path) if m.name.partition("_")[0] in set(Kind)}
    return sorted(found)


def find(name: str) -> Driver:
    """Import the driver `name` (kind_technology) and return its descriptor.

    Raises UnknownDriver (with a suggestion) or BrokenDriver (with what to install).
    """
    if not DRIVER_NAME.fullmatch(name):
        raise _unknown(name)
    # Ours is looked up directly: scanning the entry points of every distribution costs tens of milliseconds.
    for packages in ([BUILTIN], _packages):
        for package in packages() if callable(packages) else packages:
            module = f"{package}.{name}"
            if importlib.util.find_spec(package) is None or importlib.util.find_spec(module) is None:
                continue
            try:
                driver = getattr(importlib.import_module(module), "DRIVER", None)
            except ImportError as error:
                raise BrokenDriver(
                    f"driver {name} needs {error.name or error}, which is not installed: "
                    f"install the extra that docs name for it"
                ) from error
            if not isinstance(driver, Driver) or not name.startswith(driver.kind.value):
                raise BrokenDriver(f"driver {name}: {module}.DRIVER is not a {name.partition('_')[0]} Driver")
            return driver
    raise _unknown(name)


def _unknown(name: str) -> UnknownDriver:
    near = difflib.get_close_matches(name, names(), 1)
    hint = f"; did you mean {near[0]}?" if near else f"; installed: {', '.join(names())}"
    return UnknownDriver(f"no driver is called {name!r}{hint}")
