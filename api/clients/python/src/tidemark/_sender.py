"""Sending in the background: a bounded queue, a thread that decides, retries, a place on disk for what cannot be sent."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Optional, Union
from weakref import WeakSet

from ._answer import Answered, Failed, Outcome, Rejected, TooLarge
from ._backoff import Backoff
from ._settings import Counters, Settings
from ._spill import Spill
from ._transport import Transport
from ._values import encode

# Events of one request at most; the server takes 20,000.
REQUEST_EVENTS = 5_000
# Bytes of one request; the server takes 32 MiB.
REQUEST_BYTES = 4 * 1024 * 1024
# What an event takes in memory besides its line.
EVENT_BYTES = 200
# Requests that fail one after the other before events are put aside, if there is a place for them.
FAILURES_BEFORE_SPILL = 3
# How often the thread looks up while a request runs.
LOOK_UP_S = 0.05
# How long a request may take beyond its time, which its socket keeps for each step and not for all.
BEYOND_S = 1.0
# How long the end may take beyond its time, for the disk.
DISK_S = 30.0

Line = tuple[str, bytes]


class Sender:
    """The queue and its thread. ``put`` neither blocks nor raises."""

    def __init__(self, url: str, settings: Settings, spill: Optional[Union[str, "os.PathLike[str]"]], spill_bytes: int) -> None:
        self.url = url
        self.settings = settings
        self._spill_directory = None if spill is None else Path(spill)
        self._spill_bytes = spill_bytes
        self._closed = False
        self._spill: Optional[Spill] = None
        self._transport: Optional[Transport] = None
        self._reset()
        SENDERS.add(self)
        self._start()

    def _reset(self) -> None:
        """Nothing waits, nothing is counted, no thread runs."""
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)
        self._queue: deque[Line] = deque()
        # Of all that waits or is in hand.
        self._bytes = 0
        self._in_hand = 0
        self._flushing = 0
        self._deadline: Optional[float] = None
        self._counts = {field.name: 0 for field in fields(Counters)}
        self.last_error: Optional[str] = None
        self._run = uuid.uuid4().hex
        self._next = 0
        self._thread: Optional[threading.Thread] = None
        # What only the thread touches: what it took out of the queue, the batch that it sends, the pauses.
        self._backlog: deque[Line] = deque()
        self._requests: deque[tuple[str, list[bytes]]] = deque()
        self._backoff = Backoff(self.settings)

    def _start(self) -> None:
        if self._spill_directory is not None:
            self._spill = Spill(self._spill_directory, self._spill_bytes)
            # They count as recorded, so that the sum is right when they are sent.
            self._counts["spilled"] = self._spill.events
            self._counts["recorded"] += self._spill.events
        self._transport = Transport(self.url)
        thread = threading.Thread(target=self._work, name="tidemark-send", daemon=True)
        thread.start()
        self._thread = thread
        atexit.register(self.close)
        # A child of multiprocessing ends without atexit, but not without its finalizers.
        multiprocessing = sys.modules.get("multiprocessing")
        if multiprocessing is not None and multiprocessing.parent_process() is not None:
            from multiprocessing.util import Finalize

            Finalize(None, self.close, exitpriority=10)

    def after_fork(self) -> None:
        """A child has the queue twice and the threads not at all: what waits is the parent's to send.

        The child starts with nothing, and its threads with its first event. What was closed stays closed.
        """
        if self._spill is not None:
            self._spill.forget()
        if self._transport is not None:
            self._transport.forget()
        self._spill = self._transport = None
        self._reset()

    # What callers do.

    def put(self, path: str, event: Callable[[], dict[str, Any]]) -> None:
        """Takes an event, or counts it as dropped. What is not known of it is left out."""
        with self._lock:
            self._counts["recorded"] += 1
            number = self._next
            self._next += 1
            if self._thread is None and not self._closed:
                try:
                    self._start()
                except Exception as error:  # noqa: BLE001 - whatever is missing, recording does not raise
                    self.last_error = f"nothing is sent from this process: {error!r}"
        try:
            known = {name: value for name, value in event().items() if value is not None}
            line, left_out = encode({"event_id": f"{self._run}-{number}", **known})
        except Exception as error:  # noqa: BLE001 - whatever a caller passes in, recording does not raise
            self._tell(f"an event cannot be written as JSON: {error}")
            self._count("unfit")
            return
        size = len(line) + EVENT_BYTES
        with self._lock:
            self._counts["not_finite"] += left_out
            full = len(self._queue) + self._in_hand >= self.settings.queue_events
            if self._closed or self._thread is None or full or self._bytes + size > self.settings.queue_bytes:
                self._counts["dropped_queue_full"] += 1
                return
            self._queue.append((path, line))
            self._bytes += size
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
        """Sends what is left for as long as the settings say; then it is put aside or dropped."""
        with self._lock:
            self._closed = True
            if self._deadline is None:
                self._deadline = time.monotonic() + self.settings.shutdown_s
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            # When the time is over the thread waits for no request, only for the disk.
            thread.join(max(self._deadline - time.monotonic(), 0.0) + DISK_S)
        atexit.unregister(self.close)
        return self.counters()

    def _count(self, name: str, count: int = 1) -> None:
        with self._lock:
            self._counts[name] = max(self._counts[name] + count, 0)

    def _tell(self, error: str) -> None:
        self.last_error = error

    # What the thread does.

    def _work(self) -> None:
        """One batch of new events and one that was put aside, in turns: neither waits for all of the other."""
        going = True
        while going:
            try:
                ended = not self._backlog and not self._take()
                self._send_batch()
                sent = self._send_spilled()
                going = not (self._over() or (ended and not sent))
            except Exception as error:  # noqa: BLE001 - the thread outlives whatever goes wrong with one batch
                self._tell(f"what was being sent was dropped: {error!r}; please report it")
                self._drop_batch()
                self._backoff.failed(0.0)
        with self._lock:
            self._backlog.extend(self._swap())
        self._put_backlog_aside("dropped_at_end")
        if self._spill is not None:
            self._spill.end()
        if self._transport is not None:
            self._transport.leave()

    def _take(self) -> bool:
        """Gets what waits when it fills a batch or has waited long enough, or nothing; false at the end."""
        idle = 0.0 if self._spill_is_due() else self.settings.linger_s
        began, since = time.monotonic(), None
        with self._lock:
            while True:
                now = time.monotonic()
                if self._queue:
                    since = since or now
                    left = since + self.settings.linger_s - now
                    full = len(self._queue) >= self.settings.batch_events
                    if full or left <= 0 or self._flushing or self._closed:
                        self._backlog = self._swap()
                        return True
                elif self._closed:
                    return False
                else:
                    left = began + idle - now
                    if left <= 0:
                        return True
                self._wake.wait(left)

    def _swap(self) -> "deque[Line]":
        taken, self._queue = self._queue, deque()
        self._in_hand += len(taken)
        return taken

    def _settled(self, events: int, size: int) -> None:
        with self._lock:
            self._in_hand -= events
            self._bytes -= size
            if not self._queue and not self._in_hand:
                self._idle.notify_all()

    def _over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _next_batch(self) -> "tuple[deque[tuple[str, list[bytes]]], int, int]":
        """The next events of the backlog in requests of a size that is taken; how many they are, and their bytes."""
        count = min(len(self._backlog), max(self.settings.batch_events, 1), REQUEST_EVENTS)
        batch = [self._backlog.popleft() for _ in range(count)]
        return deque(requests(batch)), count, sum(len(line) + EVENT_BYTES for _, line in batch)

    def _send_batch(self) -> None:
        self._requests, events, size = self._next_batch()
        try:
            while self._requests:
                self._deliver()
        finally:
            self._settled(events, size)

    def _drop_batch(self) -> None:
        while self._requests:
            _, lines = self._requests.popleft()
            self._count("dropped_gave_up", len(lines))
            self._count("waiting", -len(lines))

    def _deliver(self) -> None:
        """Sends the first request until it is answered, put aside or given up."""
        tries = 0
        while self._requests[0][1]:
            path, lines = self._requests[0]
            given_up = tries > self.settings.retries or (self._spill is not None and self._is_down())
            if self._over() or given_up:
                self._put_aside(path, lines, "dropped_at_end" if self._over() else "dropped_gave_up")
                break
            left = self._backoff.left_s()
            if left > 0:
                self._pause(left)
                self._relieve()
                continue
            if tries:
                self._count("retries")
            later = self._exchange(path, lines)
            settled = len(lines) - len(later)
            self._requests[0] = path, [lines[place] for place in later]
            self._count("waiting", -settled)
            tries = 0 if settled else tries + 1
        self._requests.popleft()

    def _is_down(self) -> bool:
        """Whether it is no use to wait for the server with what could be put aside."""
        left = self._backoff.left_s()
        return left > self.settings.longest_pause_s or (left > 0 and self._backoff.failures >= FAILURES_BEFORE_SPILL)

    def _spill_is_due(self) -> bool:
        return bool(self._spill) and self._backoff.left_s() <= 0

    def _send_spilled(self) -> bool:
        """Sends the oldest batch that was put aside, if the server may be asked now; whether all of it was answered."""
        if self._spill is None or not self._spill_is_due() or self._over():
            return False
        batch = self._spill.oldest()
        try:
            lines = batch.lines()
        except OSError as error:
            self._tell(f"a file of the spill directory cannot be read: {error}")
            events = self._spill.pass_over()
            self._count("spilled", -events)
            self._count("dropped_spill_full", events)
            return True
        later = self._exchange(batch.path, lines)
        if lines and len(later) == len(lines):
            return False
        self._count("spilled", len(later) - len(lines))
        try:
            self._spill.settle([lines[place] for place in later])
        except OSError as error:
            self._tell(f"the spill directory cannot be written: {error}")
        return not later

    def _exchange(self, path: str, lines: list[bytes]) -> list[int]:
        """Sends lines, in parts if they are too large together; the places of those that have to be sent again."""
        outcome = self._post(path, lines)
        if isinstance(outcome, TooLarge) and len(lines) > 1:
            half = len(lines) // 2
            later = self._exchange(path, lines[:half])
            if self._backoff.left_s() > 0:
                return [*later, *range(half, len(lines))]
            return [*later, *(half + place for place in self._exchange(path, lines[half:]))]
        if isinstance(outcome, Answered):
            return self._count_answered(outcome, len(lines))
        if isinstance(outcome, Failed):
            self._tell(outcome.reason)
            self._backoff.failed(outcome.pause_s)
            return list(range(len(lines)))
        too_large = "413: an event is larger than what the server takes"
        self._tell(outcome.reason if isinstance(outcome, Rejected) else too_large)
        self._count("rejected", len(lines))
        self._backoff.succeeded()
        return []

    def _count_answered(self, answered: Answered, sent: int) -> list[int]:
        self._count("acknowledged", answered.acknowledged)
        self._count("acknowledged_again", answered.again)
        self._count("rejected", answered.rejected)
        if answered.reason is not None:
            self._tell(answered.reason)
        if not answered.later:
            self._backoff.succeeded()
        elif len(answered.later) < sent:
            self._backoff.progressed(answered.pause_s)
        else:
            self._backoff.failed(answered.pause_s)
        return answered.later

    def _post(self, path: str, lines: list[bytes]) -> Outcome:
        """One request. It is left behind when it takes too long, or when the time for the end is over."""
        timeout_s = self.settings.timeout_s
        if self._deadline is not None:
            timeout_s = min(timeout_s, self._deadline - time.monotonic())
        if timeout_s <= 0:
            return Failed("the client was closed before everything was sent; give it more time with shutdown_s")
        if self._transport is None:
            self._transport = Transport(self.url)
        until = time.monotonic() + timeout_s + BEYOND_S
        self._transport.post(path, lines, timeout_s)
        while not self._over() and time.monotonic() < until:
            left = until if self._deadline is None else self._deadline
            outcome = self._transport.outcome(min(LOOK_UP_S, left - time.monotonic()))
            if outcome is not None:
                return outcome
            self._relieve()
        self._transport.leave()
        self._transport = None
        return Failed(f"{self.url} does not answer in time")

    def _pause(self, pause_s: float) -> None:
        until = time.monotonic() + pause_s
        with self._lock:
            while True:
                left = (until if self._deadline is None else min(until, self._deadline)) - time.monotonic()
                if left <= 0:
                    return
                self._wake.wait(left)

    def _relieve(self) -> None:
        """Makes room for new events while the server does not answer."""
        if self._spill is None:
            return
        with self._lock:
            many = len(self._queue) + self._in_hand > self.settings.queue_events // 2
            if not self._queue or not (many or self._bytes > self.settings.queue_bytes // 2):
                return
            self._backlog.extend(self._swap())
        self._put_backlog_aside("dropped_gave_up")

    def _put_backlog_aside(self, without: str) -> None:
        while self._backlog:
            aside, events, size = self._next_batch()
            for path, lines in aside:
                self._put_aside(path, lines, without)
            self._settled(events, size)

    def _put_aside(self, path: str, lines: list[bytes], without: str) -> None:
        """Writes events into the spill directory; ``without`` one they are dropped."""
        counter = without
        if self._spill is not None:
            counter = "dropped_spill_full"
            try:
                if self._spill.put(path, lines):
                    counter = "spilled"
                else:
                    self._tell("the spill directory is full; give it more with spill_bytes")
            except OSError as error:
                self._tell(f"the spill directory cannot be written: {error}")
        self._count(counter, len(lines))
        self._count("waiting", -len(lines))


def requests(batch: list[Line]) -> list[tuple[str, list[bytes]]]:
    """Events by where they go, in requests of a size that is taken."""
    grouped: list[tuple[str, list[bytes]]] = []
    open_ones: dict[str, tuple[list[bytes], int]] = {}
    for path, line in batch:
        lines, size = open_ones.get(path, ([], 0))
        if not lines or size + len(line) >= REQUEST_BYTES:
            lines, size = [], 0
            grouped.append((path, lines))
        lines.append(line)
        open_ones[path] = lines, size + len(line) + 1
    return grouped


#: All that there are, for a process that forks.
SENDERS: "WeakSet[Sender]" = WeakSet()


def _after_fork() -> None:
    for sender in SENDERS:
        sender.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
