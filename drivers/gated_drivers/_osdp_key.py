"""Where the base key of an OSDP reader is kept: a file for nobody else's eyes, or a credential of systemd."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gated.ports import DriverFault
from gated_drivers._codecs.osdp_secure import why_no_key

CREDENTIAL = "credential:"
MOST = 200  # bytes of the file


class Key(bytes):
    """16 bytes that no log shows, whoever prints what holds them."""

    def __repr__(self) -> str:
        return "Key()"

    __str__ = __repr__


def read_key(where: str) -> Key:
    """The key kept at `where`: a path, or `credential:NAME`; 32 hexadecimal digits. Blocks.

    Raises DriverFault: it cannot be read, others may read it, it is none, or everybody knows it.
    """
    name = where.removeprefix(CREDENTIAL)
    given = name != where
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if given and not folder:
        raise DriverFault(
            f"{where}: systemd hands over no credentials; write LoadCredential={name}:/path in the unit"
        )
    path = Path(folder) / name if given else Path(where)
    # The group bits of a credential are the mask of its access list, in which only the service's user stands.
    others = stat.S_IRWXO if given else stat.S_IRWXO | stat.S_IRWXG
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & others:
                raise DriverFault(
                    f"{where}: others may read this key; chmod 600 it, and load a new key into the reader"
                )
            text = file.read(MOST)
    except OSError as error:
        raise DriverFault(
            f"{where}: the reader's key cannot be read ({error.strerror}); put it there"
        ) from None
    try:
        key = Key(bytes.fromhex(text.decode("ascii")))
    except ValueError:
        raise DriverFault(
            f"{where}: the reader's key is not 32 hexadecimal digits; put it there so"
        ) from None
    if why := why_no_key(key):
        raise DriverFault(
            f"{where}: the reader's key {why}; make one with openssl rand -hex 16, load it into the reader"
        )
    return key
