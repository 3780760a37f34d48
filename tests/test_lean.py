"""Neither daemon carries OpenSSL's TLS around, and both can still do what they did."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("daemon", ["gated.daemon", "gated.release.service"])
def test_a_daemon_does_without_openssl(daemon: str) -> None:
    code = f"""
import {daemon}, asyncio, hashlib, sys
assert "ssl" not in sys.modules and "_hashlib" not in sys.modules, "OpenSSL came in"
assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
assert hashlib.blake2b(b"", key=bytes(32)).digest()
import ssl
assert ssl.create_default_context()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
