"""Sending in the background: a bounded queue, one thread, retries, a place on disk for what cannot be sent."""

from __future__ import annotations

import atexit
import http.client
import json
import os
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlsplit

# The server takes 32 MiB.
REQUEST_BYTES = 8 * 1024 * 1024
# Tries after which events are put aside, if there is a place for them.
TRIES_BEFORE_SPILL = 3


@dataclass(frozen=True)
class Counters:
    """What became of what was recorded.

    When everything is sent, ``recorded`` is the sum of ``acknowledged``, ``rejected``, ``unfit`` and all that was dropped;
    before, the rest is ``waiting`` or ``spilled``.
    """

    #: Events that were given to the client.
    recorded: int = 0
    #: Events of which the server said that they are on its disk.
    acknowledged: int = 0
    #: Those of them that it had already: an answer to an earlier try was lost.
    acknowledged_again: int = 0
    #: Events that the server refused for what they are.
    rejected: int = 0
    #: Events that cannot be written as JSON, because they hold NaN or something that no event holds.
    unfit: int = 0
    #: Events that were dropped because too many waited.
    dropped_queue_full: int = 0
    #: Events that were dropped because the server did not take them in all tries.
    dropped_gave_up: int = 0
    #: Events that were dropped because the spill directory was full or could not be written.
    dropped_spill_full: int = 0
    #: Events that were dropped because the client was closed and its time was over.
    dropped_at_end: int = 0
    #: Events that wait in memory.
    waiting: int = 0
    #: Events in the spill directory, with those of earlier processes.
    spilled: int = 0
    #: Requests that were tried again.
    retries: int = 0

    @property
    def dropped(self) -> int:
        """All that was dropped."""
        return self.dropped_queue_full + self.dropped_gave_up + self.dropped_spill_full + self.dropped_at_end


@dataclass(frozen=True)
class Settings:
    """How the thread works. All limits are hard."""

    queue_events: int = 10_000
    queue_bytes: int = 16 * 1024 * 1024
    batch_events: int = 500
    linger_s: float = 0.1
    timeout_s: float = 10.0
    retries: int = 20
    first_pause_s: float = 0.1
    longest_pause_s: float = 10.0
    shutdown_s: float = 5.0


class Sender:
    """The queue and its thread. ``put`` neither blocks nor raises."""

    def __init__(self, url: str, settings: Settings, spill: "Optional[os.PathLike[str] | str]", spill_bytes: int) -> None:
        self.url = url
        self.settings = settings
        self._spill_directory = None if spill is None else Path(spill)
        self._spill_bytes = spill_bytes
        self._start()
        # A process that forks has the queue twice and the thread once: what waits is the parent's to send.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start)
        atexit.register(self.close)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._queue: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._in_hand = 0
        self._flushing = 0
        self._closed = False
        self._deadline: Optional[float] = None
        self._counts = {field.name: 0 for field in fields(Counters)}
        self._run = uuid.uuid4().hex
        self._next = 0
        self._connection: Optional[http.client.HTTPConnection] = None
        self._spill = None
        if self._spill_directory is not None:
            self._spill = Spill(self._spill_directory, self._spill_bytes)
            # They count as recorded, so that the sum is right when they are sent.
            self._counts["spilled"] = self._counts["recorded"] = self._spill.events
        self._thread = threading.Thread(target=self._work, name="tidemark-send", daemon=True)
        self._thread.start()

    # What callers do.

    def put(self, path: str, event: Callable[[], dict[str, Any]]) -> None:
        """Takes an event, or counts it as dropped. What is not known of it is left out."""
        with self._lock:
            self._counts["recorded"] += 1
            number = self._next
            self._next += 1
        try:
            known = {name: value for name, value in event().items() if value is not None}
            line = json.dumps({"event_id": f"{self._run}-{number}", **known}, allow_nan=False).encode()
        except Exception:  # noqa: BLE001 - whatever a caller passes in, recording does not raise
            self._count("unfit")
            return
        with self._lock:
            full = len(self._queue) >= self.settings.queue_events or self._bytes + len(line) > self.settings.queue_bytes
            if self._closed or full:
                self._counts["dropped_queue_full"] += 1
                return
            self._queue.append((path, line))
            self._bytes += len(line)
            self._counts["waiting"] += 1
            if len(self._queue) == self.settings.batch_events:
                self._wake.notify()

    def flush(self, timeout_s: float) -> bool:
        """Waits until everything is answered, put aside or dropped; whether it is."""
        until = time.monotonic() + timeout_s
        with self._lock:
            self._flushing += 1
            self._wake.notify()
            while self._queue or self._in_hand:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._idle.wait(left)
            self._flushing -= 1
            return not (self._queue or self._in_hand)

    def counters(self) -> Counters:
        """What became of what was recorded so far."""
        with self._lock:
            return Counters(**self._counts)

    def close(self) -> Counters:
        """Sends what is left for as long as the settings say."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._deadline = time.monotonic() + self.settings.shutdown_s
            self._wake.notify()
        self._thread.join(max(0.0, (self._deadline or 0.0) - time.monotonic()) + 0.5)
        atexit.unregister(self.close)
        return self.counters()

    def _count(self, name: str, count: int = 1) -> None:
        with self._lock:
            self._counts[name] += count

    # What the thread does.

    def _work(self) -> None:
        self._send_spilled()
        while True:
            batch = self._take()
            if batch is None:
                break
            delivered = all([self._deliver(path, lines) for path, lines in requests(batch)])
            self._settled(len(batch))
            if delivered:
                self._send_spilled()
            if self._over():
                break
        left = self._drain(lambda: len(self._queue))
        for path, lines in requests(left):
            self._put_aside(path, lines, "dropped_at_end")
        self._settled(len(left))

    def _take(self) -> Optional[list[tuple[str, bytes]]]:
        """The next batch: a full one, or what has waited long enough; none at the end."""
        since = None
        with self._lock:
            while True:
                if self._queue:
                    since = since or time.monotonic()
                    left = since + self.settings.linger_s - time.monotonic()
                    full = len(self._queue) >= self.settings.batch_events
                    if full or left <= 0 or self._flushing or self._closed:
                        break
                    self._wake.wait(left)
                elif self._closed:
                    return None
                else:
                    since = None
                    self._wake.wait(self.settings.linger_s)
        return self._drain(lambda: min(len(self._queue), self.settings.batch_events))

    def _drain(self, count: Callable[[], int]) -> list[tuple[str, bytes]]:
        with self._lock:
            taken = [self._queue.popleft() for _ in range(count())]
            self._bytes -= sum(len(line) for _, line in taken)
            self._in_hand += len(taken)
        return taken

    def _settled(self, count: int) -> None:
        with self._lock:
            self._in_hand -= count
            if not self._queue and not self._in_hand:
                self._idle.notify_all()

    def _over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _deliver(self, path: str, lines: list[bytes]) -> bool:
        """Sends until it is answered or given up; whether it was answered."""
        tries = 0
        while lines:
            status, answer, pause = self._post(path, lines)
            later = self._settle(status, answer, lines, waiting=True)
            if not later:
                return True
            told = [event.get("retry_after_s") or 0 for event in (answer or {}).get("events", [])]
            lines, pause, tries = later, max([pause, *told]), tries + 1
            given_up = tries > self.settings.retries or self._over()
            if given_up or (self._spill is not None and tries >= TRIES_BEFORE_SPILL):
                self._put_aside(path, lines, "dropped_gave_up")
                return False
            self._count("retries")
            self._pause(min(max(pause, self._backoff(tries)), self.settings.longest_pause_s))
            self._relieve()
        return True

    def _settle(self, status: int, answer: Optional[dict[str, Any]], lines: list[bytes], *, waiting: bool) -> list[bytes]:
        """Counts what was answered; gives what has to be sent again."""
        events = (answer or {}).get("events")
        if status in (202, 400, 422, 429) and isinstance(events, list) and len(events) == len(lines):
            later = []
            for event, line in zip(events, lines):
                if event.get("status") in ("accepted", "duplicate"):
                    self._count("acknowledged")
                    self._count("acknowledged_again", int(event["status"] == "duplicate"))
                elif event.get("retry_after_s") is not None:
                    later.append(line)
                else:
                    self._count("rejected")
        elif 400 <= status < 500 and status not in (408, 429):
            self._count("rejected", len(lines))
            later = []
        else:
            later = lines
        if waiting:
            self._count("waiting", len(later) - len(lines))
        return later

    def _backoff(self, tries: int) -> float:
        """Twice as long each time, and half of it by chance."""
        whole = min(self.settings.first_pause_s * float(2 ** min(tries - 1, 16)), self.settings.longest_pause_s)
        return whole * random.uniform(0.5, 1.0)

    def _pause(self, pause: float) -> None:
        until = time.monotonic() + pause
        with self._lock:
            while True:
                now = time.monotonic()
                left = until - now if self._deadline is None else min(until, self._deadline) - now
                if left <= 0:
                    return
                self._wake.wait(left)

    def _relieve(self) -> None:
        """Makes room for new events while the server does not answer."""
        if self._spill is None:
            return
        half_full = len(self._queue) > self.settings.queue_events // 2 or self._bytes > self.settings.queue_bytes // 2
        excess = self._drain(lambda: len(self._queue) if half_full else 0)
        for path, lines in requests(excess):
            self._put_aside(path, lines, "dropped_gave_up")
        self._settled(len(excess))

    def _put_aside(self, path: str, lines: list[bytes], without: str) -> None:
        self._count("waiting", -len(lines))
        if self._spill is None:
            self._count(without, len(lines))
            return
        try:
            kept = self._spill.put(path, lines)
        except OSError:
            kept = False
        self._count("spilled" if kept else "dropped_spill_full", len(lines))

    def _send_spilled(self) -> None:
        """Sends what was put aside, as long as it is answered."""
        while self._spill is not None and not self._over():
            try:
                oldest = self._spill.oldest()
                if oldest is None:
                    return
                file, path, lines = oldest
                status, answer, _ = self._post(path, lines)
                told = (answer or {}).get("events", [])
                # What the server takes later stays where it is, with what it has already: it knows those again.
                if status >= 500 or status in (0, 408) or any("retry_after_s" in event for event in told):
                    return
                if self._settle(status, answer, lines, waiting=False):
                    return
                self._spill.remove(file)
                self._count("spilled", -len(lines))
            except OSError:
                return

    def _post(self, path: str, lines: list[bytes]) -> tuple[int, Optional[dict[str, Any]], float]:
        """Status, answer and the pause that is asked for; status 0 if there was no answer."""
        url = urlsplit(self.url)
        kept = self._connection is not None
        try:
            if self._connection is None:
                secure = url.scheme == "https"
                kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
                self._connection = kind(url.netloc, timeout=self.settings.timeout_s)
            headers = {"content-type": "application/x-ndjson"}
            self._connection.request("POST", url.path.rstrip("/") + path, b"\n".join(lines), headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            # A connection that was kept may have been closed meanwhile; that says nothing about the server.
            return self._post(path, lines) if kept else (0, None, 0.0)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        pause = response.headers.get("retry-after", "0")
        return response.status, answer, float(pause) if pause.isdigit() else 0.0


def requests(batch: list[tuple[str, bytes]]) -> list[tuple[str, list[bytes]]]:
    """Events by where they go, in requests of a size that is taken."""
    grouped: list[tuple[str, list[bytes]]] = []
    open_ones: dict[str, int] = {}
    for path, line in batch:
        if open_ones.get(path, REQUEST_BYTES) + len(line) > REQUEST_BYTES:
            grouped.append((path, []))
            open_ones[path] = 0
        [group for group in grouped if group[0] == path][-1][1].append(line)
        open_ones[path] += len(line)
    return grouped


class Spill:
    """Batches on disk: one file each, complete or not there, the oldest sent first."""

    SUFFIXES = {"/v1/retrievals": ".retrievals", "/v1/outputs": ".outputs"}

    def __init__(self, directory: Path, bytes_max: int) -> None:
        self.directory, self.bytes_max = directory, bytes_max
        directory.mkdir(parents=True, exist_ok=True)
        files = self._files()
        self.bytes = sum(file.stat().st_size for file in files)
        self.events = sum(file.read_bytes().count(b"\n") for file in files)
        self._next = max((int(file.stem) for file in files), default=-1) + 1

    def put(self, path: str, lines: list[bytes]) -> bool:
        """Puts a batch aside; false if there is no room for it."""
        content = b"".join(line + b"\n" for line in lines)
        if self.bytes + len(content) > self.bytes_max:
            return False
        file = self.directory / f"{self._next:016}{self.SUFFIXES[path]}"
        unfinished = file.with_name(file.name + ".unfinished")
        with unfinished.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        unfinished.rename(file)
        self._next += 1
        self.bytes += len(content)
        return True

    def oldest(self) -> Optional[tuple[Path, str, list[bytes]]]:
        """The file, where its events go, and its events."""
        for file in self._files():
            path = next(path for path, suffix in self.SUFFIXES.items() if suffix == file.suffix)
            return file, path, file.read_bytes().splitlines()
        return None

    def remove(self, file: Path) -> None:
        """A batch was sent."""
        self.bytes -= file.stat().st_size
        file.unlink()

    def _files(self) -> list[Path]:
        ours = [file for file in self.directory.iterdir() if file.suffix in self.SUFFIXES.values() and file.stem.isdigit()]
        return sorted(ours)
