"""A server that answers as it is told, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    path: str
    lines: list[bytes]
    at: float


def answer(status, body, headers=None):
    return status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers or {}


def accept(lines):
    return answer(202, {"events": [{"status": "accepted"} for _ in lines]})


class Stub:
    """Gives each of ``answers`` once, then ``always``: functions of the lines of a request."""

    def __init__(self) -> None:
        self.answers, self.always = [], accept
        self.requests, self.events = [], []
        stub, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                lines = self.rfile.read(int(self.headers["content-length"])).splitlines()
                with lock:
                    stub.requests.append(Request(self.path, lines, time.monotonic()))
                    answering = stub.answers.pop(0) if stub.answers else stub.always
                status, body, headers = answering(lines)
                with lock:
                    stub.keep(lines, body)
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_) -> None:
                """A client that went away is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def keep(self, lines, body) -> None:
        """What it said it has, as often as it said so."""
        try:
            told = json.loads(body)["events"]
            taken = [line for line, event in zip(lines, told) if event["status"] == "accepted"]
        except (ValueError, TypeError, KeyError):
            return
        self.events.extend(json.loads(line) for line in taken)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
