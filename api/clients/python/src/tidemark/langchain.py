"""LangChain: a callback that records what retrievers return and models answer."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from ._client import Tidemark

# Runs that are remembered; those that never end are forgotten in the end.
RUNS = 10_000
# Where a document comes from: several may come from one place.
PLACES = ("source", "url")


@dataclass(frozen=True)
class Run:
    """A run, the operation that it is a part of, and what a retriever was asked, by which name."""

    operation_id: str
    asked: Optional[str] = None
    name: Optional[str] = None
    began: float = field(default_factory=time.monotonic)

    def latency_ms(self) -> float:
        return (time.monotonic() - self.began) * 1000


class TidemarkCallback(BaseCallbackHandler):
    """``retriever.invoke(question, config={"callbacks": [TidemarkCallback(tidemark)]})``

    Retrievals and answers below one run are one operation, through all of its chains, tools and agents; within
    ``tidemark.operation()`` it is that one. The id of a document is ``Document.id``, else the first of ``id_keys`` in its
    metadata, else where it comes from, else a hash of its text. Ids of the first two kinds are the same in every result:
    give documents one of them.
    """

    def __init__(self, client: Tidemark, id_keys: Sequence[str] = ("id", "doc_id", "chunk_id")) -> None:
        self._client, self._id_keys = client, tuple(id_keys)
        self._runs: OrderedDict[UUID, Run] = OrderedDict()

    def _begin(
        self, run_id: UUID, parent_run_id: Optional[UUID], asked: Optional[str] = None, name: Optional[str] = None
    ) -> None:
        above = None if parent_run_id is None else self._runs.get(parent_run_id)
        within = self._client.current_operation()
        if above is not None:
            operation_id = above.operation_id
        else:
            operation_id = str(parent_run_id or run_id) if within is None else within.id
        self._runs[run_id] = Run(operation_id, asked, name)
        while len(self._runs) > RUNS:
            self._runs.popitem(last=False)

    def _forget(self, *_: Any, run_id: UUID, **__: Any) -> None:
        self._runs.pop(run_id, None)

    def on_chain_start(self, *_: Any, run_id: UUID, parent_run_id: Optional[UUID] = None, **__: Any) -> None:
        self._begin(run_id, parent_run_id)

    on_chain_end = on_chain_error = _forget

    def on_tool_start(self, *_: Any, run_id: UUID, parent_run_id: Optional[UUID] = None, **__: Any) -> None:
        self._begin(run_id, parent_run_id)

    on_tool_end = on_tool_error = _forget

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: UUID, parent_run_id: Optional[UUID] = None, **more: Any
    ) -> None:
        self._begin(run_id, parent_run_id, query, more.get("name") or name_of(serialized))

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **_: Any) -> None:
        run = self._runs.pop(run_id, None)
        if run is not None and run.asked is not None:
            self._client.record_retrieval(
                run.asked,
                self._results(documents),
                operation_id=run.operation_id,
                retriever=self._client._retriever_named(run.name),
                latency_ms=run.latency_ms(),
            )

    on_retriever_error = _forget

    def on_llm_start(self, *_: Any, run_id: UUID, parent_run_id: Optional[UUID] = None, **__: Any) -> None:
        self._begin(run_id, parent_run_id)

    on_chat_model_start = on_llm_start

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
        run = self._runs.pop(run_id, None) or Run(str(run_id))
        texts = [generation.text for generations in response.generations for generation in generations[:1]]
        model = (response.llm_output or {}).get("model_name")
        self._client.record_output("\n".join(texts), operation_id=run.operation_id, model=model, latency_ms=run.latency_ms())

    on_llm_error = _forget

    def _results(self, documents: Sequence[Any]) -> list[dict[str, Any]]:
        """The documents under ids of which each is there once."""
        named = [(self._name(document), document) for document in documents]
        shared = {name for name, count in Counter(name for name, _ in named).items() if count > 1}
        results: dict[str, dict[str, Any]] = {}
        for name, document in named:
            doc_id = name or content_hash(document)
            if name in shared and name is not None:
                doc_id = f"{name}#{content_hash(document).partition(':')[2][:8]}"
            # The same text under the same name is the same document, and its first rank counts.
            results.setdefault(doc_id, {"doc_id": doc_id, "score": document.metadata.get("score")})
        return list(results.values())

    def _name(self, document: Any) -> Optional[str]:
        given = (document.id, *(document.metadata.get(key) for key in (*self._id_keys, *PLACES)))
        return next((str(name) for name in given if name is not None and name != ""), None)


def name_of(serialized: Any) -> Optional[str]:
    """The name of a component as LangChain describes it."""
    if not isinstance(serialized, Mapping):
        return None
    path = serialized.get("id")
    return serialized.get("name") or (path[-1] if isinstance(path, list) and path else None)


def content_hash(document: Any) -> str:
    """What stands for a document that has no id."""
    return f"blake2b:{hashlib.blake2b(document.page_content.encode(errors='replace'), digest_size=16).hexdigest()}"
