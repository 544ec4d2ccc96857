"""Asking the server. Unlike recording, this waits and raises."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Optional


class TidemarkError(Exception):
    """The server did not answer, or answered with a problem; the message says what to do."""

    def __init__(self, message: str, problem: Optional[dict[str, Any]] = None) -> None:
        super().__init__(message)
        #: The problem as the server described it (RFC 9457), if it did.
        self.problem = problem or {}


def ask(
    url: str, body: Optional[dict[str, Any]] = None, accept: str = "application/json", timeout_s: float = 60.0
) -> tuple[bytes, Mapping[str, str]]:
    """What the server answers, and its headers."""
    content = None if body is None else json.dumps(body, allow_nan=False).encode()
    headers = {"accept": accept, "content-type": "application/json"}
    request = urllib.request.Request(url, data=content, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return response.read(), response.headers
    except urllib.error.HTTPError as error:
        try:
            problem = json.loads(error.read())
            message = f"{error.code}: {problem['detail']}; {problem['hint']}"
        except (ValueError, KeyError, TypeError):
            problem, message = None, f"{error.code} {error.reason}"
        raise TidemarkError(message, problem) from None
    except (urllib.error.URLError, OSError) as error:
        raise TidemarkError(f"{url} does not answer: {error}; is `tidemark serve` running there?") from error
