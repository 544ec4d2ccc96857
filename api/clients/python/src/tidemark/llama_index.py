"""LlamaIndex: a handler of its events that records what retrievers return and models answer."""

from __future__ import annotations

import inspect
import uuid
from typing import Any, Optional

from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.query import QueryEndEvent, QueryStartEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from pydantic import PrivateAttr

from ._client import Tidemark


class QuerySpan(BaseSpan):
    """A span, the query that it is a part of, and the operation of that."""

    query_id: Optional[str] = None
    operation_id: Optional[str] = None


class QuerySpans(BaseSpanHandler[QuerySpan]):
    """The spans that are open. One that ends, also with an error, is forgotten."""

    @classmethod
    def class_name(cls) -> str:
        return "TidemarkQuerySpans"

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Optional[Any] = None,
        parent_span_id: Optional[str] = None,
        tags: Optional[dict[str, Any]] = None,
        **_: Any,
    ) -> QuerySpan:
        above = self.open_spans.get(parent_span_id or "")
        if above is None:
            return QuerySpan(id_=id_, parent_id=parent_span_id)
        return QuerySpan(id_=id_, parent_id=parent_span_id, query_id=above.query_id, operation_id=above.operation_id)

    def prepare_to_exit_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Optional[Any] = None,
        result: Optional[Any] = None,
        **_: Any,
    ) -> Optional[QuerySpan]:
        return self.open_spans.get(id_)

    def prepare_to_drop_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Optional[Any] = None,
        err: Optional[BaseException] = None,
        **_: Any,
    ) -> Optional[QuerySpan]:
        return self.open_spans.get(id_)


class TidemarkHandler(BaseEventHandler):
    """``TidemarkHandler.install(tidemark)`` once, and every retrieval and answer of the process is recorded.

    What happens within one query of an engine is one operation; within ``tidemark.operation()`` it is that one. A retrieval
    by itself is one of its own. Of an answer that is streamed only the retrievals are recorded: the stream is the caller's.
    """

    _client: Tidemark = PrivateAttr()
    _spans: QuerySpans = PrivateAttr()

    def __init__(self, client: Tidemark) -> None:
        super().__init__()
        self._client = client
        self._spans = QuerySpans(open_spans={}, completed_spans=[], dropped_spans=[], current_span_ids={})

    @classmethod
    def class_name(cls) -> str:
        return "TidemarkHandler"

    @classmethod
    def install(cls, client: Tidemark) -> "TidemarkHandler":
        """Adds a handler to the dispatcher at the root."""
        handler = cls(client)
        get_dispatcher().add_event_handler(handler)
        get_dispatcher().add_span_handler(handler._spans)
        return handler

    def remove(self) -> None:
        """Takes it out of the dispatcher again."""
        root = get_dispatcher()
        root.event_handlers = [handler for handler in root.event_handlers if handler is not self]
        root.span_handlers = [handler for handler in root.span_handlers if handler is not self._spans]

    def handle(self, event: BaseEvent, **_: Any) -> None:
        span = self._spans.open_spans.get(event.span_id or "")
        if isinstance(event, QueryStartEvent):
            # An engine may ask other engines: the first one is the query.
            if span is not None and span.query_id is None:
                within = self._client.current_operation()
                span.query_id, span.operation_id = span.id_, str(uuid.uuid4()) if within is None else within.id
        elif isinstance(event, RetrievalEndEvent):
            asked = getattr(event.str_or_query_bundle, "query_str", event.str_or_query_bundle)
            results = [{"doc_id": node.node.node_id, "score": node.score} for node in event.nodes]
            self._client.record_retrieval(str(asked), results, operation_id=None if span is None else span.operation_id)
        elif isinstance(event, QueryEndEvent) and span is not None and span.query_id == span.id_:
            # Only what is complete: the text of a stream is there once, for whoever asked.
            if isinstance(event.response, (Response, PydanticResponse)):
                self._client.record_output(str(event.response), operation_id=span.operation_id)
