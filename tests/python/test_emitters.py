"""Real emitters: the SDK and the exporters of OpenTelemetry, and the instrumentors of OpenInference around real retrievers."""

from __future__ import annotations

import gzip
import json
import sys
import urllib.error
import urllib.request

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the emitters are pinned for Python 3.11 and later", allow_module_level=True)

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode
from openinference.instrumentation.langchain import LangChainInstrumentor
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

RESOURCE = {"service.name": "support", "rag.corpus.name": "handbook", "rag.corpus.version": "v12"}


def provider(server, over: str, limits: SpanLimits | None = None) -> TracerProvider:
    exporters = {
        "grpc": lambda: GrpcExporter(endpoint=f"http://{server.grpc}", insecure=True),
        "http": lambda: HttpExporter(endpoint=f"{server.url}/v1/traces"),
        "gzip": lambda: HttpExporter(endpoint=f"{server.url}/v1/traces", compression=Compression.Gzip),
    }
    provider = TracerProvider(resource=Resource.create(RESOURCE), span_limits=limits)
    provider.add_span_processor(BatchSpanProcessor(exporters[over]()))
    return provider


def langchain_store() -> InMemoryVectorStore:
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=16))
    pages = [Document(id=f"page-{i}", page_content=f"text {i}", metadata={"source": f"s{i}.md"}) for i in range(20)]
    store.add_documents(pages)
    return store


def documents(event: dict) -> list[tuple[str, float | None]]:
    return [(document["doc_id"], document["score"]) for document in event["results"]]


@pytest.mark.parametrize("over", ["grpc", "http", "gzip"])
def test_what_langchain_retrieves_arrives_as_it_was_returned(over, serve):
    server = serve("--text", "full")
    spans = provider(server, over)
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=spans)
    try:
        retriever = langchain_store().as_retriever(search_kwargs={"k": 4})
        returned = {f"question {i}": [page.id for page in retriever.invoke(f"question {i}")] for i in range(10)}
    finally:
        instrumentor.uninstrument()
    spans.shutdown()
    events = server.events()
    # The instrumentor emits neither ids nor scores; the ids stand in the output of the span.
    assert {event["query"]["text"]: documents(event) for event in events} == {
        query: [(page, None) for page in pages] for query, pages in returned.items()
    }
    for event in events:
        assert (event["service"], event["corpus"], event["corpus_version"]) == ("support", "handbook", "v12")
        assert event["marks"] == ["doc_id.output_value"]
        assert event["operation_id"] == event["trace_id"]


def test_retrieval_and_answer_of_a_chain_are_one_operation(serve, tidemark):
    server = serve("--text", "full")
    spans = provider(server, "http")
    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=spans)
    try:
        retriever = langchain_store().as_retriever()
        prompt = ChatPromptTemplate.from_template("{context} {question}")
        model = FakeListChatModel(responses=["Forty-two."])
        chain = {"context": retriever, "question": RunnablePassthrough()} | prompt | model
        assert chain.invoke("what is it").content == "Forty-two."
    finally:
        instrumentor.uninstrument()
    spans.shutdown()
    [retrieval] = server.events()
    [output] = [json.loads(line) for line in tidemark("export", "--kind", "outputs", data=server.data).stdout.splitlines()]
    assert output["output"]["text"] == "Forty-two."
    assert output["operation_id"] == retrieval["operation_id"]


def test_what_llama_index_retrieves_arrives_as_it_was_returned(serve):
    server = serve("--text", "full")
    spans = provider(server, "grpc")
    instrumentor = LlamaIndexInstrumentor()
    instrumentor.instrument(tracer_provider=spans)
    try:
        nodes = [TextNode(id_=f"node-{i}", text=f"text {i}", metadata={"page": i}) for i in range(20)]
        index = VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=8))
        retriever = index.as_retriever(similarity_top_k=3)
        returned = {}
        for number in range(5):
            found = retriever.retrieve(f"question {number}")
            returned[f"question {number}"] = [(node.node.node_id, node.score) for node in found]
        index.as_query_engine(llm=MockLLM(), similarity_top_k=3).query("and the last")
    finally:
        instrumentor.uninstrument()
    spans.shutdown()
    assert server.metric('tidemark_otlp_spans_total{result="rejected"}') == 0
    events = {event["query"]["text"]: event for event in server.events()}
    assert returned == {query: documents(events[query]) for query in returned}
    assert len(events["and the last"]["results"]) == 3
    # The embedding of the query is a span of its own.
    assert all(len(event["query"]["embedding"]) == 8 for event in events.values())


def test_a_span_of_the_genai_conventions_arrives(serve):
    server = serve("--text", "full")
    spans = provider(server, "http")
    tracer = spans.get_tracer("test")
    with tracer.start_as_current_span("retrieval handbook") as span:
        span.set_attribute("gen_ai.operation.name", "retrieval")
        span.set_attribute("gen_ai.data_source.id", "ds-1")
        span.set_attribute("gen_ai.retrieval.top_k", 2)
        span.set_attribute("gen_ai.retrieval.query.text", "q")
        span.set_attribute("gen_ai.retrieval.documents", json.dumps([{"id": "a", "score": 0.5}, {"id": "b"}]))
    spans.shutdown()
    [event] = server.events()
    assert documents(event) == [("a", 0.5), ("b", None)]
    assert event["requested"] == {"top_k": 2}
    # What the resource says about the corpus comes before the id of a data source.
    assert event["corpus"] == "handbook"


def test_documents_that_a_plain_sdk_drops_mark_the_event_truncated(serve):
    server = serve("--text", "full")
    spans = provider(server, "http", SpanLimits(max_span_attributes=64))
    with spans.get_tracer("test").start_as_current_span("retrieve") as span:
        span.set_attribute("openinference.span.kind", "RETRIEVER")
        span.set_attribute("input.value", "q")
        # The SDK drops the oldest, so what names the span is set last here as instrumentors do.
        for i in reversed(range(100)):
            span.set_attribute(f"retrieval.documents.{i}.document.id", f"d{i}")
        span.set_attribute("openinference.span.kind", "RETRIEVER")
        span.set_attribute("input.value", "q")
    spans.shutdown()
    [event] = server.events()
    assert "truncated.attributes" in event["marks"]
    assert [document["doc_id"] for document in event["results"]] == [f"d{i}" for i in range(len(event["results"]))]
    assert 0 < len(event["results"]) < 100


def test_malformed_requests_are_refused_and_nothing_is_stored(serve):
    server = serve()

    def post(body: bytes, kind: str, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(
            f"{server.url}/v1/traces", data=body, headers={"content-type": kind, **headers}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    assert post(b"\xff\xff\xff", "application/x-protobuf")[0] == 400
    assert post(gzip.compress(b"\xff\xff"), "application/x-protobuf", **{"content-encoding": "gzip"})[0] == 400
    assert post(b"{", "application/json")[0] == 400
    assert post(b"", "text/plain")[0] == 415
    assert post(b"", "application/x-protobuf") == (200, b"")
    assert server.events() == []


def test_what_is_too_large_or_unknown_over_grpc_is_refused_in_words(serve):
    import grpc
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

    server = serve()
    channel = grpc.insecure_channel(server.grpc, options=[("grpc.max_send_message_length", -1)])

    def refusal(call, *arguments, **options) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as refused:
            call(*arguments, **options)
        return refused.value.code().name, refused.value.details()

    def request(*spans: Span) -> ExportTraceServiceRequest:
        return ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])])

    export = TraceServiceStub(channel).Export
    # Two bytes each as they are sent, hundreds in memory.
    empty = request(*[Span() for _ in range(300_000)])
    assert refusal(export, empty)[0] == "INVALID_ARGUMENT"
    assert "the limit is 67108864" in refusal(export, empty)[1]
    assert refusal(export, request(Span(name="x" * 17_000_000)))[0] == "OUT_OF_RANGE"
    bomb = request(Span(name="x" * 17_000_000))
    assert refusal(export, bomb, compression=grpc.Compression.Gzip)[0] == "RESOURCE_EXHAUSTED"
    method = "/opentelemetry.proto.collector.trace.v1.TraceService/"
    assert refusal(channel.unary_unary(method + "Export"), b"\xff")[0] == "INVALID_ARGUMENT"
    assert refusal(channel.unary_unary(method + "Import"), b"")[0] == "UNIMPLEMENTED"
    assert server.events() == []
