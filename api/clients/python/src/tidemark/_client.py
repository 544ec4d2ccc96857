"""The client: recording in the background, questions in the foreground."""

from __future__ import annotations

import json
import os
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import quote

from ._sender import Counters, Sender, Settings
from ._server import ask

if TYPE_CHECKING:
    import polars
    import pyarrow

#: A document: its id, its id and score, or all of its fields (``doc_id``, ``score``, ``content_hash``, ``tokens``, …).
Document = Union[str, int, "tuple[Union[str, int], Optional[float]]", Mapping[str, Any]]

ARROW = "application/vnd.apache.arrow.stream"


class Tidemark:
    """Records for one service, and asks its server.

    ``service``, ``corpus`` and ``corpus_version`` are what every event has that does not say otherwise.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:7700",
        *,
        service: Optional[str] = None,
        environment: Optional[str] = None,
        corpus: Optional[str] = None,
        corpus_version: Optional[str] = None,
        retriever: Optional[Mapping[str, Any]] = None,
        spill: Optional[Union[str, "os.PathLike[str]"]] = None,
        spill_bytes: int = 64 * 1024 * 1024,
        **settings: Any,
    ) -> None:
        self._url = url.rstrip("/")
        self._service, self._environment = service, environment
        self._corpus, self._corpus_version, self._retriever = corpus, corpus_version, retriever
        self._sender = Sender(self._url, Settings(**settings), spill, spill_bytes)

    def record_retrieval(
        self,
        query: Union[str, Mapping[str, Any]],
        results: Iterable[Document],
        *,
        corpus: Optional[str] = None,
        corpus_version: Optional[str] = None,
        retriever: Optional[Mapping[str, Any]] = None,
        top_k: Optional[int] = None,
        operation_id: Optional[str] = None,
        trace_id: Optional[str] = None,
        attempt: Optional[int] = None,
        principal: Optional[str] = None,
        segment: Optional[Mapping[str, str]] = None,
        latency_ms: Optional[float] = None,
        occurred_at: Optional[datetime] = None,
        attributes: Optional[Mapping[str, Any]] = None,
        **fields: Any,
    ) -> None:
        """Records what a retriever returned, best first. Neither blocks nor raises."""
        self._sender.put("/v1/retrievals", lambda: {
            "occurred_at": time_of(occurred_at),
            "operation_id": operation_id,
            "trace_id": trace_id,
            "attempt": attempt,
            "principal": principal,
            "service": self._service,
            "environment": self._environment,
            "segment": segment,
            "corpus": corpus or self._corpus or self._service,
            "corpus_version": corpus_version or self._corpus_version,
            "retriever": retriever or self._retriever,
            "query": {"text": query} if isinstance(query, str) else query,
            "requested": None if top_k is None else {"top_k": top_k},
            "results": [document_of(document) for document in results],
            "latency_ms": latency_ms,
            "attributes": attributes,
            **fields,
        })

    def record_output(
        self,
        text: Optional[str] = None,
        *,
        operation_id: Optional[str] = None,
        trace_id: Optional[str] = None,
        model: Optional[str] = None,
        prompt_version: Optional[str] = None,
        citations: Optional[Sequence[str]] = None,
        scores: Optional[Mapping[str, float]] = None,
        refusal: Optional[bool] = None,
        feedback: Optional[float] = None,
        latency_ms: Optional[float] = None,
        occurred_at: Optional[datetime] = None,
        output: Optional[Mapping[str, Any]] = None,
        **fields: Any,
    ) -> None:
        """Records what a model answered with the retrieved context. It needs an operation or a trace."""
        self._sender.put("/v1/outputs", lambda: {
            "occurred_at": time_of(occurred_at),
            "operation_id": operation_id,
            "trace_id": trace_id,
            "service": self._service,
            "model": model,
            "prompt_version": prompt_version,
            "output": {"text": text} if output is None else output,
            "citations": citations,
            "scores": scores,
            "refusal": refusal,
            "feedback": feedback,
            "latency_ms": latency_ms,
            **fields,
        })

    def operation(self, operation_id: Optional[str] = None, **fields: Any) -> "Operation":
        """One operation of the application: what is recorded within belongs together."""
        return Operation(self, operation_id or str(uuid.uuid4()), fields)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Waits until everything is answered, put aside or dropped; whether it is."""
        return self._sender.flush(timeout_s)

    def counters(self) -> Counters:
        """What became of what was recorded so far."""
        return self._sender.counters()

    def close(self) -> Counters:
        """Sends what is left and ends; tells what became of everything."""
        return self._sender.close()

    def __enter__(self) -> "Tidemark":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def compare(
        self, reference: str, current: str, *, corpus: Optional[str] = None, segment: Optional[Mapping[str, str]] = None
    ) -> dict[str, Any]:
        """Compares two windows, such as ``version:v1`` or ``2026-11-01/2026-11-08``; the report as the server gives it."""
        corpus = corpus or self._corpus or self._service
        body = {"corpus": corpus, "reference": reference, "current": current, "segment": dict(segment or {})}
        report: dict[str, Any] = json.loads(ask(f"{self._url}/v1/comparisons", body)[0])
        return report

    def trace(self, trace_id: str) -> dict[str, Any]:
        """What is stored of a trace or an operation."""
        stored: dict[str, Any] = json.loads(ask(f"{self._url}/v1/traces/{quote(trace_id, safe='')}")[0])
        return stored

    def sql(self, query: str, *, polars: bool = False) -> "Union[pyarrow.Table, polars.DataFrame]":
        """Asks the tables ``retrievals`` and ``outputs`` in SQL."""
        try:
            import pyarrow.ipc
        except ImportError as error:
            raise ImportError("answers to SQL are Arrow tables: pip install 'tidemark-client[arrow]'") from error
        answer, headers = ask(f"{self._url}/v1/sql", {"query": query}, accept=ARROW)
        table = pyarrow.ipc.open_stream(answer).read_all()
        if headers.get("tidemark-truncated") == "true":
            warnings.warn(f"the answer was cut off after {table.num_rows} rows; ask for less", stacklevel=2)
        if not polars:
            return table
        try:
            import polars as pl
        except ImportError as error:
            raise ImportError("Polars is not installed: pip install 'tidemark-client[polars]'") from error
        return pl.from_arrow(table)


class Operation:
    """One operation; a context manager so that its extent is seen. Errors pass through it unchanged."""

    def __init__(self, client: Tidemark, operation_id: str, fields: Mapping[str, Any]) -> None:
        self.id = operation_id
        self._client, self._fields = client, fields

    def record_retrieval(self, query: Union[str, Mapping[str, Any]], results: Iterable[Document], **fields: Any) -> None:
        """As :meth:`Tidemark.record_retrieval`."""
        self._client.record_retrieval(query, results, **{**self._fields, "operation_id": self.id, **fields})

    def record_output(self, text: Optional[str] = None, **fields: Any) -> None:
        """As :meth:`Tidemark.record_output`."""
        shared = {name: value for name, value in self._fields.items() if name in ("trace_id", "principal")}
        self._client.record_output(text, **{**shared, "operation_id": self.id, **fields})

    def __enter__(self) -> "Operation":
        return self

    def __exit__(self, *_: object) -> None:
        return None


def time_of(given: Optional[datetime]) -> str:
    """RFC 3339 in UTC; a time without a zone is local, as Python has it."""
    moment = datetime.now(timezone.utc) if given is None else given.astimezone(timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def document_of(document: Document) -> dict[str, Any]:
    """A document with the names of its fields."""
    if isinstance(document, Mapping):
        return dict(document)
    if isinstance(document, (str, int)):
        return {"doc_id": document}
    doc_id, score = document
    return {"doc_id": doc_id, "score": None if score is None else float(score)}
