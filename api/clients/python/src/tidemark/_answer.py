"""What an answer of the server says of each event that was sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Optional, Union


@dataclass(frozen=True)
class Answered:
    """Each event was answered."""

    acknowledged: int = 0
    #: Those of them that the server had already.
    again: int = 0
    rejected: int = 0
    #: The places of those that the server takes later, and when.
    later: list[int] = field(default_factory=list)
    pause_s: float = 0.0
    #: Why the first of them was not taken.
    reason: Optional[str] = None


@dataclass(frozen=True)
class TooLarge:
    """The request is too large; parts of it may be taken."""


@dataclass(frozen=True)
class Rejected:
    """The server will never take it, for what it is."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """Nothing was taken, for a reason that may pass; the same can be sent again."""

    reason: str
    pause_s: float = 0.0


Outcome = Union[Answered, TooLarge, Rejected, Failed]


def read(status: int, retry_after: Optional[str], body: bytes, sent: int) -> Outcome:
    """Reads the answer to a request of so many events. Whatever it says, it is read as something."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    answered = _each(answer, sent) if status in (202, 400, 422, 429) else None
    if answered is not None:
        return answered
    if status == 413:
        return TooLarge()
    if status in (400, 422):
        return Rejected(_reason(status, answer))
    # Also what no retry will mend, such as 401 or 404: that is for whoever runs the service to mend, and no fault of the
    # events.
    asked = (retry_after or "").strip()
    return Failed(_reason(status, answer), float(asked) if asked.isascii() and asked.isdigit() else 0.0)


def _each(answer: dict[str, Any], sent: int) -> Optional[Answered]:
    events = answer.get("events")
    if not isinstance(events, list) or len(events) != sent:
        return None
    counts = {"accepted": 0, "duplicate": 0, "rejected": 0}
    later: list[int] = []
    pause_s, reason = 0.0, None
    for place, event in enumerate(events):
        if not isinstance(event, dict) or event.get("status") not in list(counts):
            return None
        wait = event.get("retry_after_s")
        if event["status"] == "rejected" and isinstance(wait, (int, float)):
            later.append(place)
            pause_s = max(pause_s, float(wait))
        else:
            counts[event["status"]] += 1
        if reason is None and event.get("reason") is not None:
            reason = f"{event.get('field') or 'the event'}: {event['reason']}"
    acknowledged = counts["accepted"] + counts["duplicate"]
    return Answered(acknowledged, counts["duplicate"], counts["rejected"], later, pause_s, reason)


def _reason(status: int, answer: dict[str, Any]) -> str:
    """The status, and what the problem says of it."""
    said = [answer[member] for member in ("detail", "hint") if isinstance(answer.get(member), str)]
    if said:
        return f"{status}: {'; '.join(said)}"
    if status == 202:
        return "202, but not the answer of a Tidemark server; check the address"
    return f"{status}; check the address, and what is between this service and the server"
