"""To be imported before anything else by a process that starts often and stays long.

asyncio loads the standard library's TLS, and hashlib the whole of OpenSSL, which nothing here uses: 5 MiB
resident, and a tenth of the start. Both do without where those modules are missing (asyncio then knows no
TLS, hashlib takes its own implementations), so they are missing while the two are imported. Whoever
imports ssl later gets it.
"""

from __future__ import annotations

import sys

OPENSSL = ("ssl", "_hashlib")

if not {"asyncio", "hashlib"} & sys.modules.keys():
    for _name in OPENSSL:
        sys.modules[_name] = None  # type: ignore[assignment]
    import asyncio  # noqa: F401
    import hashlib  # noqa: F401
    import hmac  # noqa: F401

    for _name in OPENSSL:
        del sys.modules[_name]
