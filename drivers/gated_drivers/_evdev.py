"""The kernel's input devices: found by name or by USB identity, and held for this process alone.

Source: linux/input.h and Documentation/input of the kernel, an interface that stays. Two requests of it need
no library, and the library that there is (evdev) comes as source only: every gate would have to compile it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

from gated.ports import DriverFault
from gated_drivers._codecs.hid_keys import KEY_ENTER

IDENTITY = re.compile(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4})(?::(.+))?")
NODES, TREE = Path("/dev/input"), Path("/sys/class/input")
KEY_BYTES = 96  # a bit for each key up to KEY_MAX, 2ff
EVIOCGBIT_KEY = 2 << 30 | KEY_BYTES << 16 | ord("E") << 8 | 0x21
EVIOCGRAB = 1 << 30 | 4 << 16 | ord("E") << 8 | 0x90


def with_identity(device: str, tree: Path = TREE) -> list[str]:
    """The event nodes with an Enter key and this vendor:product[:serial]; names, in order."""
    wanted = IDENTITY.fullmatch(device)
    if wanted is None:
        return []
    found = []
    for node in sorted(tree.glob("event*"), key=lambda node: int(node.name[5:])):
        with suppress(OSError, ValueError):  # unplugged while looked at
            vendor, product, serial, keys = (
                (node / "device" / name).read_text(encoding="utf-8").strip()
                for name in ("id/vendor", "id/product", "uniq", "capabilities/key")
            )
            lowest = int(keys.split()[-1], 16)
            same = (vendor.lower(), product.lower()) == (wanted[1].lower(), wanted[2].lower())
            if same and wanted[3] in (None, serial) and lowest >> KEY_ENTER & 1:
                found.append(node.name)
    return found


def _path(device: str) -> str:
    if device.startswith("/"):
        return device
    found = with_identity(device)
    if len(found) > 1:
        raise DriverFault(
            f"{device}: {len(found)} devices are this ({', '.join(found)}); "
            "name the one by its serial number, or by its name in /dev/input/by-id"
        )
    if not found:
        raise DriverFault(f"{device}: there is no such keyboard; check the cable and the numbers (lsusb)")
    return str(NODES / found[0])


def open_grabbed(device: str) -> int:
    """Open a keyboard so that its keys come here only; may block. Raises DriverFault, saying what to do."""
    path = _path(device)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DriverFault(f"{device}: {_why(error)}") from error
    try:
        keys = bytearray(KEY_BYTES)
        fcntl.ioctl(fd, EVIOCGBIT_KEY, keys)
        if not keys[KEY_ENTER // 8] >> KEY_ENTER % 8 & 1:
            raise DriverFault(f"{device}: is no keyboard; of a scanner's names take the one with -event-kbd")
        fcntl.ioctl(fd, EVIOCGRAB, 1)
    except OSError as error:
        os.close(fd)
        raise DriverFault(f"{device}: {_why(error)}") from error
    except DriverFault:
        os.close(fd)
        raise
    return fd


def close_grabbed(fd: int) -> None:
    """Give the keyboard back to everybody; may block."""
    with suppress(OSError):  # it is gone
        fcntl.ioctl(fd, EVIOCGRAB, 0)
    os.close(fd)


def _why(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return "there is no such device; check the cable and the name"
        case errno.EACCES | errno.EPERM:
            return "no permission to use it; give the service the scanner as docs/readers.md says"
        case errno.EBUSY:
            return "another program has taken it for itself; end that program"
        case errno.ENOTTY | errno.EINVAL:
            return "it is no input device; take its name in /dev/input/by-id"
    return f"it cannot be opened ({error.strerror}); unplug the device and plug it in"
