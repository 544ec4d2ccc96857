"""Requests, on a thread of their own: one that hangs can be left behind when the time is over."""

from __future__ import annotations

import http.client
import socket
import threading
from queue import Empty, SimpleQueue
from typing import Optional
from urllib.parse import urlsplit

from ._answer import Failed, Outcome, read

# Of an answer; that to 5,000 events takes a megabyte.
ANSWER_BYTES = 16 * 1024 * 1024

Post = tuple[str, list[bytes], float]


class Transport:
    """One request at a time, over a connection that is kept."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Optional[http.client.HTTPConnection] = None
        self._posts: "SimpleQueue[Optional[Post]]" = SimpleQueue()
        self._outcomes: "SimpleQueue[Outcome]" = SimpleQueue()
        threading.Thread(target=self._work, name="tidemark-post", daemon=True).start()

    def post(self, path: str, lines: list[bytes], timeout_s: float) -> None:
        """Begins a request. Its outcome has to be waited for before the next."""
        self._posts.put((path, lines, timeout_s))

    def outcome(self, wait_s: float) -> Optional[Outcome]:
        """What the request brought, if it ends within that time."""
        try:
            return self._outcomes.get(timeout=max(wait_s, 0.0))
        except Empty:
            return None

    def leave(self) -> None:
        """Nothing more is wanted of it, nor of the request that runs."""
        self._posts.put(None)
        connected = getattr(self._connection, "sock", None)
        if connected is not None:
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def forget(self) -> None:
        """Closes this process's handle of a connection that belongs to the process it was forked from."""
        connected = getattr(self._connection, "sock", None)
        if connected is not None:
            connected.close()

    def _work(self) -> None:
        while True:
            post = self._posts.get()
            if post is None:
                self._disconnect()
                return
            try:
                outcome = self._send(*post)
            except Exception as error:  # noqa: BLE001 - an address that is none, an answer that is no HTTP
                self._disconnect()
                outcome = Failed(f"{self._url} does not answer: {error!r}; is `tidemark serve` running there?")
            self._outcomes.put(outcome)

    def _send(self, path: str, lines: list[bytes], timeout_s: float) -> Outcome:
        url = urlsplit(self._url)
        kept = self._connection is not None
        if self._connection is None:
            kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(url.netloc, timeout=timeout_s)
        self._connection.timeout = timeout_s
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout_s)
        try:
            headers = {"content-type": "application/x-ndjson"}
            self._connection.request("POST", url.path.rstrip("/") + path, b"\n".join(lines), headers)
            response = self._connection.getresponse()
            body = response.read(ANSWER_BYTES)
        except ConnectionError:
            self._disconnect()
            if not kept:
                raise
            # A connection that was kept may have been closed meanwhile; that says nothing about the server.
            return self._send(path, lines, timeout_s)
        if not response.isclosed():
            # More than any answer has: the rest of it would be taken for the next.
            self._disconnect()
        return read(response.status, response.headers.get("retry-after"), body, len(lines))

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
