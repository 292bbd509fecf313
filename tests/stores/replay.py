"""A server that gives prepared answers, or breaks off in prepared ways, over real sockets, and counts requests."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from tests.deadline import DEADLINE_S


class Answer(NamedTuple):
    """What comes back for a request, byte by byte as given.

    Attributes:
        then: after the answer: ``keep`` the connection, ``close`` it, ``reset`` it, or ``hang``: no answer at all, until
            the client gives up.
    """

    data: bytes = b""
    then: str = "keep"


def reply(status: int, body: str = "", *, then: str = "keep", **headers: str) -> Answer:
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if status not in (204, 304):
        lines.append(f"Content-Length: {len(body.encode())}")
    return Answer(("\r\n".join([*lines, "", ""]) + body).encode(), then)


def error(status: int, code: str = "", message: str = "as the server words it") -> Answer:
    """In the XML of S3, GCS and Azure."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return reply(status, "" if status == 304 else body, Content_Type="application/xml")


CLOSE, RESET, HANG = Answer(then="close"), Answer(then="reset"), Answer(then="hang")
GARBAGE = Answer(b"this is not HTTP\r\n\r\n", "close")


class Replay:
    """Gives ``answers`` in turn, and the last one again and again."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self._arrived = threading.Condition()
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        self._serving: list[threading.Thread] = []

    def say(self, *answers: Answer) -> None:
        """From now on, and count anew."""
        with self._arrived:
            self.answers, self.requests = list(answers), []

    def count(self, expected: int) -> int:
        """Requests since `say`. Waits for ``expected`` of them: a client may give up before its request is read here."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self.requests) >= expected, DEADLINE_S)
            return len(self.requests)

    def stop(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for thread in self._serving:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(0.2)
            thread = threading.Thread(target=self._serve, args=(client,))
            self._serving.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while request := self._receive(client):
                with self._arrived:
                    self.requests.append(request)
                    self._arrived.notify_all()
                    answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                client.sendall(answer.data)
                if answer.then == "hang":
                    while client.recv(1000):
                        pass
                if answer.then == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if answer.then != "keep":
                    return

    def _receive(self, client: socket.socket) -> bytes:
        data = b""
        while not data or not self._whole(data):
            try:
                part = client.recv(1 << 16)
            except TimeoutError:
                if self._over.is_set():
                    return b""
                continue
            if not part:
                return b""
            data += part
        return data

    @staticmethod
    def _whole(data: bytes) -> bool:
        head, end, body = data.partition(b"\r\n\r\n")
        sizes = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        return bool(end) and len(body) >= int(sizes[0] if sizes else 0)


@contextmanager
def replay(*answers: Answer) -> Iterator[Replay]:
    server = Replay(answers)
    try:
        yield server
    finally:
        server.stop()


def stop_listening(listener: socket.socket, accepting: threading.Thread) -> None:
    """Close it, and end the thread that accepts there. One that is left in `accept` waits for a number that the next socket
    has, and takes a connection of that when its call is begun again."""
    listener.shutdown(socket.SHUT_RDWR)
    accepting.join()
    listener.close()


def refused_address() -> str:
    """Where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"
