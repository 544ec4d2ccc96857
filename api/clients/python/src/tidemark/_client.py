"""The client: recording in the background, questions in the foreground."""

from __future__ import annotations

import json
import os
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar, Token
from datetime import datetime
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import quote

from ._sender import Sender
from ._server import ask
from ._settings import Counters, Settings
from ._values import time_of

if TYPE_CHECKING:
    import polars
    import pyarrow

#: A document: its id, its id and score, or all of its fields (``doc_id``, ``score``, ``content_hash``, ``tokens``, …).
Document = Union[str, int, "tuple[Union[str, int], Optional[float]]", Mapping[str, Any]]

#: The operation that this thread or task is within.
CURRENT: "ContextVar[Optional[Operation]]" = ContextVar("tidemark_operation", default=None)

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
        within = self.current_operation(operation_id)
        self._sender.put("/v1/retrievals", lambda: {
            "service": self._service,
            "environment": self._environment,
            "corpus": self._corpus or self._service,
            "corpus_version": self._corpus_version,
            "retriever": self._retriever,
            **({} if within is None else within.shared),
            **known({
                "occurred_at": time_of(occurred_at),
                "operation_id": operation_id,
                "trace_id": trace_id,
                "attempt": attempt,
                "principal": principal,
                "segment": segment,
                "corpus": corpus,
                "corpus_version": corpus_version,
                "retriever": retriever,
                "query": {"text": query} if isinstance(query, str) else query,
                "requested": None if top_k is None else {"top_k": top_k},
                "results": [document_of(document) for document in results],
                "latency_ms": latency_ms,
                "attributes": attributes,
                **fields,
            }),
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
        within = self.current_operation(operation_id)
        self._sender.put("/v1/outputs", lambda: {
            "service": self._service,
            **({} if within is None else within.shared_with_outputs),
            **known({
                "occurred_at": time_of(occurred_at),
                "operation_id": operation_id,
                "trace_id": trace_id,
                "model": model,
                "prompt_version": prompt_version,
                "output": {"text": text} if output is None else output,
                "citations": citations,
                "scores": scores,
                "refusal": refusal,
                "feedback": feedback,
                "latency_ms": latency_ms,
                **fields,
            }),
        })

    def operation(self, operation_id: Optional[str] = None, **fields: Any) -> "Operation":
        """One operation of the application: what this client records within it belongs together, also by its handlers.

        ``fields`` are what its events have that do not say otherwise.
        """
        return Operation(self, operation_id or str(uuid.uuid4()), fields)

    def current_operation(self, operation_id: Optional[str] = None) -> "Optional[Operation]":
        """The operation that this thread or task is within, unless another one is named."""
        within = CURRENT.get()
        if within is None or within.client is not self or operation_id not in (None, within.id):
            return None
        return within

    def _retriever_named(self, name: Optional[str]) -> Optional[dict[str, Any]]:
        """The retriever as it was declared, under this name if it has none of its own."""
        return {**({} if name is None else {"name": name}), **(self._retriever or {})} or None

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Waits until everything is answered, put aside or dropped; whether it is."""
        return self._sender.flush(timeout_s)

    def counters(self) -> Counters:
        """What became of what was recorded so far."""
        return self._sender.counters()

    @property
    def last_error(self) -> Optional[str]:
        """The last thing that went wrong, and what to do about it; it may have passed since."""
        return self._sender.last_error

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
    """One operation: within it, what its client records in this thread or task is part of it.

    Operations may be nested; the innermost one counts. Errors pass through unchanged.
    """

    def __init__(self, client: Tidemark, operation_id: str, fields: Mapping[str, Any]) -> None:
        self.id, self.client = operation_id, client
        self._fields = dict(fields)
        self._entered: "list[Token[Optional[Operation]]]" = []
        requested = {"requested": {"top_k": fields["top_k"]}} if "top_k" in fields else {}
        named = {name: value for name, value in fields.items() if name != "top_k"}
        #: What its retrievals have, unless they say otherwise.
        self.shared = known({**named, **requested, "operation_id": operation_id})
        shared = ("operation_id", "trace_id", "principal")
        #: And its outputs.
        self.shared_with_outputs = {name: value for name, value in self.shared.items() if name in shared}

    def record_retrieval(self, query: Union[str, Mapping[str, Any]], results: Iterable[Document], **fields: Any) -> None:
        """As :meth:`Tidemark.record_retrieval`."""
        self.client.record_retrieval(query, results, **{**self._fields, "operation_id": self.id, **fields})

    def record_output(self, text: Optional[str] = None, **fields: Any) -> None:
        """As :meth:`Tidemark.record_output`."""
        self.client.record_output(text, **{**self.shared_with_outputs, **fields})

    def __enter__(self) -> "Operation":
        self._entered.append(CURRENT.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        try:
            CURRENT.reset(self._entered.pop())
        except ValueError:
            # It was left in another context than it was entered in, which has nothing to go back to.
            pass


def known(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event without what is not known of it."""
    return {name: value for name, value in event.items() if value is not None}


def document_of(document: Document) -> dict[str, Any]:
    """A document with the names of its fields."""
    if isinstance(document, Mapping):
        return dict(document)
    if not isinstance(document, (tuple, list)):
        return {"doc_id": document}
    doc_id, score = document
    return {"doc_id": doc_id, "score": None if score is None else float(score)}
