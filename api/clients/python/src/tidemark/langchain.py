"""LangChain: a callback that records what retrievers return and models answer."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, Optional
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from ._client import Tidemark

# Runs that are remembered; those that never end are forgotten in the end.
RUNS = 10_000


class TidemarkCallback(BaseCallbackHandler):
    """``retriever.invoke(question, config={"callbacks": [TidemarkCallback(tidemark)]})``

    Retrievals and answers of one chain are one operation. The id of a document is ``Document.id``, else the first of
    ``id_keys`` in its metadata.
    """

    def __init__(self, client: Tidemark, id_keys: tuple[str, ...] = ("id", "doc_id", "chunk_id", "source", "url")) -> None:
        self._client, self._id_keys = client, id_keys
        # For each run: the run at the top of its chain, what was asked, and when it began.
        self._runs: OrderedDict[UUID, tuple[UUID, Optional[str], float]] = OrderedDict()

    def _begin(self, run_id: UUID, parent_run_id: Optional[UUID], asked: Optional[str] = None) -> None:
        above = None if parent_run_id is None else self._runs.get(parent_run_id, (parent_run_id, None, 0.0))
        top = run_id if above is None else above[0]
        self._runs[run_id] = (top, asked, time.monotonic())
        while len(self._runs) > RUNS:
            self._runs.popitem(last=False)

    def _end(self, run_id: UUID) -> tuple[str, Optional[str], Optional[float]]:
        top, asked, began = self._runs.pop(run_id, (run_id, None, None))
        return str(top), asked, None if began is None else (time.monotonic() - began) * 1000

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: Optional[UUID] = None, **_: Any) -> None:
        self._begin(run_id, parent_run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        self._runs.pop(run_id, None)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._runs.pop(run_id, None)

    def on_retriever_start(self, serialized: Any, query: str, *, run_id: UUID, parent_run_id: Optional[UUID] = None, **_: Any) -> None:
        self._begin(run_id, parent_run_id, query)

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **_: Any) -> None:
        operation, asked, took = self._end(run_id)
        if asked is not None:
            results = [self._document(document) for document in documents]
            self._client.record_retrieval(asked, results, operation_id=operation, latency_ms=took)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._runs.pop(run_id, None)

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, parent_run_id: Optional[UUID] = None, **_: Any) -> None:
        self._begin(run_id, parent_run_id)

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, parent_run_id: Optional[UUID] = None, **_: Any) -> None:
        self._begin(run_id, parent_run_id)

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
        operation, _asked, took = self._end(run_id)
        texts = [generation.text for generations in response.generations for generation in generations[:1]]
        model = (response.llm_output or {}).get("model_name")
        self._client.record_output("\n".join(texts), operation_id=operation, model=model, latency_ms=took)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._runs.pop(run_id, None)

    def _document(self, document: Any) -> dict[str, Any]:
        keyed = (document.metadata.get(key) for key in self._id_keys)
        doc_id = document.id or next((value for value in keyed if value is not None), None)
        # Without an id the text stands for the document.
        return {"doc_id": doc_id if doc_id is not None else document.page_content[:200], "score": document.metadata.get("score")}
