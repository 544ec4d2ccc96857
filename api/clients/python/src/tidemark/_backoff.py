"""When the server may be asked again, whatever there is to send."""

from __future__ import annotations

import random
import time

from ._settings import Settings

# The longest pause that a server can ask for.
ASKED_MAX_S = 600.0


class Backoff:
    """The pauses between requests that fail."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: Requests that failed one after the other.
        self.failures = 0
        self._not_before = 0.0

    def left_s(self) -> float:
        """How long it is until the next request may be made."""
        return max(self._not_before - time.monotonic(), 0.0)

    def succeeded(self) -> None:
        """A request was answered, and all of it taken or refused."""
        self.failures, self._not_before = 0, 0.0

    def progressed(self, asked_s: float) -> None:
        """A part was taken; the rest is to come later."""
        self.failures = 0
        self._not_before = time.monotonic() + self.pause_s(1, asked_s)

    def failed(self, asked_s: float) -> None:
        """Nothing was taken."""
        self.failures += 1
        self._not_before = time.monotonic() + self.pause_s(self.failures, asked_s)

    def pause_s(self, failures: int, asked_s: float) -> float:
        """What the server asks for, and besides twice as long each time, of which half is left to chance.

        Clients that were sent away together do not come back together.
        """
        doubled = self._settings.first_pause_s * float(2 ** min(failures - 1, 16))
        return min(asked_s, ASKED_MAX_S) + min(doubled, self._settings.longest_pause_s) * random.uniform(0.5, 1.0)
