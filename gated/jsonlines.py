"""JSON lines over a Unix socket: one request a line, one answer a line; the local way to ask a process.

Request: {"do": "verb", ...}. Answer: {"ok": true, "result": ...} or {"ok": false, "error": "sentence"}.
The peer is who the kernel says it is (SO_PEERCRED), never who it claims to be.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gated.errors import GatedError, RequestRefused

LIMIT = 1 << 20  # bytes of one line


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of the socket."""

    pid: int
    uid: int
    gid: int


Handler = Callable[[dict[str, Any], Peer], Awaitable[Any]]
"""Answers one request; raise RequestRefused (or any GatedError) to refuse it. An async generator
as the answer is sent line by line until the peer leaves."""


def _peer(writer: asyncio.StreamWriter) -> Peer:
    sock = writer.get_extra_info("socket")
    return Peer(*struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


def _line(value: Any) -> bytes:
    # A word of a command line may hold bytes that are no text: they become question marks, on either side.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


@asynccontextmanager
async def serve(path: Path, handler: Handler, mode: int = 0o660) -> AsyncIterator[None]:
    """Serve requests at `path` while the context is open; a stale socket file is replaced.

    Raises GatedError when a living process already serves there, or nobody can.
    """
    if path.exists():
        try:
            _, writer = await asyncio.open_unix_connection(path)
            writer.close()
            raise GatedError(f"{path}: another process already answers there; stop it first")
        except OSError:
            with _sentence(path):
                path.unlink(missing_ok=True)
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await _talk(reader, writer, handler)
        except (OSError, ValueError, asyncio.CancelledError):
            pass  # the peer left, or we are stopping
        finally:
            talks.discard(task)
            writer.close()

    with _sentence(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        server = await asyncio.start_unix_server(talk, path, limit=LIMIT)
        path.chmod(mode)
    try:
        yield
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        path.unlink(missing_ok=True)


@contextmanager
def _sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GatedError(f"{path}: cannot be served: {error.strerror or error}") from error


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
    peer = _peer(writer)
    while line := await reader.readline():
        try:
            answer = await handler(_asked(line), peer)
            if isinstance(answer, AsyncGenerator):
                # Closed by hand: the error of a peer that left keeps itself and all of this alive in a
                # cycle, for ever where the garbage collector rests.
                async with aclosing(answer):
                    async for item in answer:
                        writer.write(_line(item))
                        await writer.drain()
                return
            writer.write(_line({"ok": True, "result": answer}))
        except GatedError as error:
            writer.write(_line({"ok": False, "error": str(error)}))
        await writer.drain()


def _asked(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestRefused("that line is not JSON") from error
    if not isinstance(request, dict) or not isinstance(request.get("do"), str):
        raise RequestRefused('a request is one line of JSON with a "do"')
    return request


async def request(path: Path, do: str, timeout_s: float = 10.0, **args: Any) -> Any:
    """Ask once. Raises RequestRefused with the other side's sentence, GatedError when nobody answers."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(path, limit=LIMIT)
            try:
                writer.write(_line({"do": do, **args}))
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except PermissionError as error:
        raise GatedError(
            f"{path}: not allowed for this user; use sudo or join the group of the socket"
        ) from error
    except (OSError, TimeoutError) as error:
        raise GatedError(f"{path}: nobody answers there; is the service running?") from error
    except ValueError as error:
        raise GatedError(f"{path}: the answer is longer than {LIMIT} bytes") from error
    if not line:
        raise GatedError(f"{path}: the other side closed without an answer")
    answer = _parsed(path, line)
    if not answer.get("ok"):
        raise RequestRefused(str(answer.get("error", "refused without a reason")))
    return answer.get("result")


async def stream(path: Path, do: str, silence_s: float | None = None, **args: Any) -> AsyncIterator[Any]:
    """Ask for a stream and yield its items; ends when the other side does.

    Raises GatedError when nobody answers, or nothing was heard for `silence_s` seconds.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LIMIT)
    except OSError as error:
        raise GatedError(f"{path}: nobody answers there; is the service running?") from error
    try:
        writer.write(_line({"do": do, **args}))
        while line := await _next(path, reader, writer, silence_s):
            item = _parsed(path, line)
            if item.get("ok") is False:
                raise RequestRefused(str(item.get("error")))
            yield item
    finally:
        writer.close()


async def _next(
    path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence_s: float | None
) -> bytes:
    """The next line of a stream, empty at its end. Raises GatedError."""
    try:
        async with asyncio.timeout(silence_s):
            await writer.drain()
            return await reader.readline()
    except TimeoutError as error:
        raise GatedError(f"{path}: silent for more than {silence_s} s") from error
    except OSError as error:
        raise GatedError(f"{path}: the connection broke") from error
    except ValueError as error:
        raise GatedError(f"{path}: a line is longer than {LIMIT} bytes") from error


def _parsed(path: Path, line: bytes) -> dict[str, Any]:
    """One line of the other side. Raises GatedError for half a line, as one who is killed leaves behind."""
    try:
        item = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise GatedError(f"{path}: the other side broke off in the middle of a line") from error
    if not isinstance(item, dict):
        raise GatedError(f"{path}: the other side does not speak as gated does")
    return item
