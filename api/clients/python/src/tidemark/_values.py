"""Events as JSON: what Python has and JSON has not is written as what it stands for."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Set
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Optional
from uuid import UUID


def encode(event: Mapping[str, Any]) -> tuple[bytes, bool]:
    """An event as a line, and whether a number was left out of it that is none."""
    try:
        return json.dumps(event, default=plain, allow_nan=False).encode(), False
    except ValueError:
        return json.dumps(finite(event), default=plain, allow_nan=False).encode(), True


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays and scalars of NumPy and of what looks like it, times, UUIDs, paths, sets."""
    if isinstance(value, datetime):
        return time_of(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (UUID, os.PathLike)):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value, key=str)
    for convert in ("tolist", "item"):
        if hasattr(value, convert):
            return getattr(value, convert)()
    raise TypeError(f"{type(value).__name__} is nothing that an event holds")


def finite(value: Any) -> Any:
    """The same without NaN and infinite numbers. A list keeps its length; a vector without a component is none."""
    if isinstance(value, Mapping):
        entries = {name: finite(inner) for name, inner in value.items() if not _is_no_number(inner)}
        embedding = entries.get("embedding")
        if isinstance(embedding, list) and None in embedding:
            del entries["embedding"]
        return entries
    if isinstance(value, (list, tuple)):
        return [None if _is_no_number(inner) else finite(inner) for inner in value]
    return value if value is None or isinstance(value, (str, int, float)) else finite(plain(value))


def _is_no_number(value: Any) -> bool:
    try:
        return not isinstance(value, (str, bytes, int)) and not math.isfinite(value)
    except (TypeError, ValueError):
        return False


def time_of(given: Optional[datetime]) -> str:
    """RFC 3339 in UTC; a time without a zone is local, as Python has it."""
    moment = datetime.now(timezone.utc) if given is None else given.astimezone(timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
