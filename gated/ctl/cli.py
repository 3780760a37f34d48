"""`gatectl`: the operators' command. Each command lives in a module of its own."""

from __future__ import annotations

import argparse
import getpass
import importlib
import os
import sys
from pathlib import Path

from gated.errors import GatedError

MODULES = (
    *("status", "operate", "events", "allowlist", "passes"),
    *("release", "emergency", "output_test", "doctor", "commission", "rollcall"),
)
DEFAULT_CONFIG = "/etc/gated/gated.toml"
EPILOG = """\
exit codes:
  0  done
  1  refused, or something is wrong: one sentence on standard error says what
  2  wrong usage
  3  gatectl status, doctor, commission: it works, but has faults, warnings or steps that failed
"""


def _user() -> str:
    """Who is asking: the person behind sudo, else the login name."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # no name for this uid
        return f"uid {os.getuid()}"


def build() -> argparse.ArgumentParser:
    """The parser with every command."""
    parser = argparse.ArgumentParser(
        prog="gatectl",
        description="Look at and operate the gates of this box.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    config = Path(os.environ.get("GATED_CONFIG", DEFAULT_CONFIG))
    parser.add_argument(
        "--config",
        type=Path,
        default=config,
        metavar="FILE",
        help=f"gated's configuration (default: $GATED_CONFIG or {DEFAULT_CONFIG})",
    )
    parser.add_argument(
        "--release-config",
        type=Path,
        metavar="FILE",
        help="gated-release's configuration (default: $GATED_RELEASE_CONFIG or release.toml beside --config)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--by", default=_user(), metavar="NAME", help="who commands (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in MODULES:
        importlib.import_module(f"gated.ctl.{name}").add(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command `gatectl`; returns its exit code."""
    try:
        args = build().parse_args(argv)
        if args.release_config is None:
            beside = args.config.with_name("release.toml")
            args.release_config = Path(os.environ.get("GATED_RELEASE_CONFIG", beside))
        return int(args.run(args))
    except GatedError as error:
        print(f"gatectl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # the reader of our output left, as `head` does
        _output_to_nowhere()
        return 0
    except OSError as error:
        print(f"gatectl: {error}", file=sys.stderr)
        _output_to_nowhere()
        return 1


def _output_to_nowhere() -> None:
    """So that flushing what is left at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
