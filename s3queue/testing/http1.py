"""Requests and answers of HTTP/1.1 as whole messages, and connections that are closed or broken. For `FaultProxy`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

#: Bytes of the head of a message, at most.
LIMIT = 1 << 20
#: For so long a client may take the rest of its answer, in seconds.
_LINGER_S = 5.0
_NO_BODY = (204, 304)


class Message(NamedTuple):
    """A request or an answer as it came: its first line and headers with the empty line, and its body."""

    head: bytes
    body: bytes


class Broken(Exception):
    """The other side is gone, or does not speak HTTP/1.1."""


class Server:
    """The connection to the server that goes with one connection of a client."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: Message) -> Message:
        if self._reader is None or self._writer is None or self._reader.at_eof() or self._writer.is_closing():
            self.close()
            self._reader, self._writer = await asyncio.open_connection(*self._address, limit=LIMIT)
        self._writer.write(request.head + request.body)
        await self._writer.drain()
        while True:
            answer = await read_message(self._reader, None, asked=request.head)
            if answer is None:
                raise Broken
            if not answer.head.startswith(b"HTTP/1.1 1"):  # not the last word
                return answer

    async def ask_without_body(self, request: Message) -> None:
        """Break off after the headers, and wait until the server has made up its mind."""
        reader, writer = await asyncio.open_connection(*self._address, limit=LIMIT)
        try:
            writer.write(request.head)
            writer.write_eof()
            async with asyncio.timeout(_LINGER_S):
                await reader.read()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.transport.abort()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None


async def read_message(
    reader: asyncio.StreamReader, client: asyncio.StreamWriter | None, asked: bytes = b""
) -> Message | None:
    """The next request, or the answer to the request ``asked``. None: the connection ended between two.

    Args:
        client: told to go on where it asks whether it may send its body.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise Broken from end
        return None
    except asyncio.LimitOverrunError as long:
        raise Broken from long
    fields = _fields(head)
    if client is not None and fields.get(b"expect", b"").lower() == b"100-continue":
        client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))
    try:
        return Message(head, await _read_body(reader, head, fields, asked))
    except (asyncio.IncompleteReadError, ValueError) as cut:
        raise Broken from cut


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in lines}


async def _read_body(reader: asyncio.StreamReader, head: bytes, fields: dict[bytes, bytes], asked: bytes) -> bytes:
    if asked:
        status = int(head.split(b" ", 2)[1])
        if asked.startswith(b"HEAD ") or status in _NO_BODY or status < 200:
            return b""
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            body += line + await reader.readexactly(size + 2)
            if size == 0:
                return body
    if b"content-length" in fields:
        return await reader.readexactly(int(fields[b"content-length"]))
    return await reader.read() if asked else b""


def made_up(status: str, code: str, request: Message) -> Message:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made up by a proxy</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return Message(head.encode(), b"" if request.head.startswith(b"HEAD ") else body)


async def write_answer(client: asyncio.StreamWriter, answer: Message) -> bool:
    """Returns whether the client is still there."""
    with contextlib.suppress(OSError):
        client.write(answer.head + answer.body)
        await client.drain()
    return not client.is_closing()


async def close(client: asyncio.StreamWriter) -> None:
    """Close the connection, after what was written to it has gone; a client that does not read is not waited for."""
    try:
        client.close()
        async with asyncio.timeout(_LINGER_S):
            await client.wait_closed()
    except (OSError, TimeoutError):
        pass
    finally:
        client.transport.abort()


def reset(client: asyncio.StreamWriter) -> None:
    """Break the connection with RST, so that its other end learns at once."""
    connection: socket.socket | None = client.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    abort: Callable[[], None] = client.transport.abort
    abort()
