"""How the client works, and what became of what it recorded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How the threads work. All limits are hard."""

    #: Events in memory at most, with those that are being sent.
    queue_events: int = 10_000
    #: Bytes that they take at most. One request of 4 MiB comes on top.
    queue_bytes: int = 16 * 1024 * 1024
    #: Events that are sent at a time; 5,000 at most.
    batch_events: int = 500
    #: How long an event waits for others before it is sent.
    linger_s: float = 0.1
    #: How long one request may take.
    timeout_s: float = 10.0
    #: How often a batch is tried again before it is given up. With a spill it is put aside sooner, and tried for ever.
    retries: int = 20
    #: The first pause between two tries; each is twice as long as the one before, and a part of it is left to chance.
    first_pause_s: float = 0.1
    #: The longest pause. What the server asks for with ``Retry-After`` comes on top, up to ten minutes.
    longest_pause_s: float = 10.0
    #: How long the end may take, when what is left is sent.
    shutdown_s: float = 5.0


@dataclass(frozen=True)
class Counters:
    """What became of what was recorded.

    Whenever nothing moves, ``recorded`` is the sum of ``acknowledged``, ``rejected``, ``unfit``, all that was dropped,
    ``spilled`` and ``waiting``; after the end nothing is ``waiting``.
    """

    #: Events that were given to the client, and those of earlier processes that it took over from the spill directory.
    recorded: int = 0
    #: Events of which the server said that they are on its disk.
    acknowledged: int = 0
    #: Those of them that it had already: an answer to an earlier try was lost.
    acknowledged_again: int = 0
    #: Events that the server refused for what they are.
    rejected: int = 0
    #: Events that cannot be written as JSON, because they hold something that no event holds.
    unfit: int = 0
    #: Events that held NaN or an infinite number, which JSON has not: it was left out and the rest sent. They are counted
    #: with the others as well.
    not_finite: int = 0
    #: Events that were dropped because too many waited, or because they were recorded after the end.
    dropped_queue_full: int = 0
    #: Events that were dropped because the server did not take them in all tries.
    dropped_gave_up: int = 0
    #: Events that were dropped because the spill directory was full, or could not be written or read.
    dropped_spill_full: int = 0
    #: Events that were dropped because the client was closed and its time was over.
    dropped_at_end: int = 0
    #: Events that wait in memory.
    waiting: int = 0
    #: Events in the spill directory that are this client's to send.
    spilled: int = 0
    #: Requests that were tried again.
    retries: int = 0

    @property
    def dropped(self) -> int:
        """All that was dropped."""
        return self.dropped_queue_full + self.dropped_gave_up + self.dropped_spill_full + self.dropped_at_end
