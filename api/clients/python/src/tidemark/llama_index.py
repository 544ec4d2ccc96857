"""LlamaIndex: a handler of its events that records what retrievers return and models answer."""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from typing import Any, Optional

from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.query import QueryEndEvent, QueryStartEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from pydantic import PrivateAttr

from ._client import Tidemark


# The operation that runs in this context, and how many queries deep.
CURRENT: ContextVar[tuple[Optional[str], int]] = ContextVar("tidemark_operation", default=(None, 0))


class TidemarkHandler(BaseEventHandler):
    """``TidemarkHandler.install(tidemark)`` once, and every retrieval and answer of the process is recorded.

    What happens within one query of an engine is one operation; a retrieval by itself is one of its own.
    """

    _client: Tidemark = PrivateAttr()

    def __init__(self, client: Tidemark) -> None:
        super().__init__()
        self._client = client

    @classmethod
    def class_name(cls) -> str:
        return "TidemarkHandler"

    @classmethod
    def install(cls, client: Tidemark) -> "TidemarkHandler":
        """Adds a handler to the dispatcher at the root."""
        handler = cls(client)
        get_dispatcher().add_event_handler(handler)
        return handler

    def handle(self, event: BaseEvent, **_: Any) -> None:
        operation, depth = CURRENT.get()
        if isinstance(event, QueryStartEvent):
            # An engine may ask other engines.
            CURRENT.set((operation or str(uuid.uuid4()), depth + 1))
        elif isinstance(event, ExceptionEvent):
            CURRENT.set((None, 0))
        elif isinstance(event, RetrievalEndEvent):
            asked = getattr(event.str_or_query_bundle, "query_str", event.str_or_query_bundle)
            results = [{"doc_id": node.node.node_id, "score": node.score} for node in event.nodes]
            self._client.record_retrieval(str(asked), results, operation_id=operation)
        elif isinstance(event, QueryEndEvent) and operation is not None:
            CURRENT.set((operation, depth - 1) if depth > 1 else (None, 0))
            if depth == 1:
                self._client.record_output(str(event.response), operation_id=operation)
