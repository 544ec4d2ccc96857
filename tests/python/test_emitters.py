"""Real emitters: the SDK and the exporters of OpenTelemetry, and the instrumentors of OpenInference around real retrievers."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
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
    # Not tonic's OUT_OF_RANGE, which exporters try again for ever.
    assert refusal(export, request(Span(name="x" * 17_000_000)))[0] == "INVALID_ARGUMENT"
    bomb = request(Span(name="x" * 17_000_000))
    assert refusal(export, bomb, compression=grpc.Compression.Gzip)[0] == "RESOURCE_EXHAUSTED"
    method = "/opentelemetry.proto.collector.trace.v1.TraceService/"
    assert refusal(channel.unary_unary(method + "Export"), b"\xff")[0] == "INVALID_ARGUMENT"
    assert refusal(channel.unary_unary(method + "Import"), b"")[0] == "UNIMPLEMENTED"
    assert server.events() == []


def span_attributes(span, query: str) -> None:
    span.set_attribute("openinference.span.kind", "RETRIEVER")
    span.set_attribute("input.value", query)
    span.set_attribute("retrieval.documents.0.document.id", "a")


def test_many_exporters_over_grpc_are_all_served(serve):
    server = serve("--text", "full")
    each = [provider(server, "grpc") for _ in range(12)]

    def export(number: int) -> None:
        for turn in range(20):
            with each[number].get_tracer("test").start_as_current_span("retrieve") as span:
                span_attributes(span, f"{number}/{turn}")
            assert each[number].force_flush()

    threads = [threading.Thread(target=export, args=(number,)) for number in range(len(each))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    [spans.shutdown() for spans in each]
    queries = sorted(event["query"]["text"] for event in server.events())
    assert queries == sorted(f"{number}/{turn}" for number in range(12) for turn in range(20))


def test_calls_that_send_nothing_keep_nobody_else_waiting_for_long(serve):
    import grpc

    server = serve()
    channel = grpc.insecure_channel(server.grpc)
    stream = channel.stream_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    release = threading.Event()

    def nothing():
        release.wait()
        yield b""

    idle = [stream.future(nothing()) for _ in range(4)]
    time.sleep(0.5)
    try:
        event = {"occurred_at": "2026-11-18T09:30:00Z", "corpus": "c", "query": {"fingerprint": "q"}, "results": []}
        request = urllib.request.Request(f"{server.url}/v1/retrievals", data=json.dumps(event).encode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 202, "bodies over HTTP have room of their own"
    finally:
        release.set()
        [call.exception() for call in idle]


def test_whoever_is_over_quota_over_grpc_learns_when_to_come_again(serve, tmp_path):
    import grpc
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

    policy = tmp_path / "policy.yaml"
    policy.write_text("bounds: {events_per_second: 1}\n", encoding="utf-8")
    server = serve("--policy", str(policy))
    export = TraceServiceStub(grpc.insecure_channel(server.grpc)).Export

    def text(key: str, value: str) -> KeyValue:
        return KeyValue(key=key, value=AnyValue(string_value=value))

    def request(number: int) -> ExportTraceServiceRequest:
        attributes = [
            text("openinference.span.kind", "RETRIEVER"),
            text("input.value", "q"),
            text("retrieval.documents.0.document.id", "a"),
        ]
        now = time.time_ns()
        span = Span(
            trace_id=bytes([1] * 16), span_id=number.to_bytes(8, "big"), name="retrieve",
            start_time_unix_nano=now, end_time_unix_nano=now + 1_000, attributes=attributes,
        )
        resource = Resource(attributes=[text("service.name", "support")])
        return ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=[span])])]
        )

    for number in range(1, 100):
        try:
            assert export(request(number)).partial_success.rejected_spans == 0
        except grpc.RpcError as refused:
            assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            [details] = [value for key, value in refused.trailing_metadata() if key == "grpc-status-details-bin"]
            [detail] = Status.FromString(details).details
            wait = RetryInfo()
            assert detail.Unpack(wait) and wait.retry_delay.seconds >= 1
            break
    else:
        pytest.fail("a quota of one event a second took 99")
    assert server.metric('tidemark_grpc_calls_total{code="ResourceExhausted"}') == 1
    assert len(server.events()) == number - 1


@pytest.mark.parametrize("text", ["none", "redacted"])
def test_no_text_of_a_span_reaches_the_disk_or_the_log_unless_the_policy_keeps_it(text, serve):
    server = serve("--text", text)
    # What no policy but `full` keeps, and what `redacted` keeps.
    secret, word = "canary-17@example.org", "zebrafish"
    said = f"{word} is {secret}"
    spans = provider(server, "http")
    tracer = spans.get_tracer("test")
    with tracer.start_as_current_span("retrieve") as span:
        span_attributes(span, said)
        span.set_attribute("retrieval.documents.0.document.content", said)
        span.set_attribute("retrieval.documents.0.document.metadata", json.dumps({"author": said}))
        span.set_attribute("output.value", said)
        span.set_attribute("metadata", json.dumps({"mail": secret}))
        span.set_attribute("session.id", secret)
        with tracer.start_as_current_span("llm") as inner:
            inner.set_attribute("openinference.span.kind", "LLM")
            inner.set_attribute("input.value", said)
            inner.set_attribute("llm.output_messages.0.message.content", said)
    # One that is refused, so that there is a reason to tell.
    with tracer.start_as_current_span("retrieve") as span:
        span_attributes(span, said)
        span.set_attribute("retrieval.documents.0.document.score", said)
    spans.shutdown()
    assert server.metric('tidemark_otlp_spans_total{result="rejected"}') == 1
    [event] = server.events()
    assert ("text" in event["query"]) == (text == "redacted")
    written = {path.name: path.read_bytes() for path in server.data.parent.rglob("*") if path.is_file()}
    assert server.log.name in written
    canaries = [secret] if text == "redacted" else [secret, word]
    assert [name for name, content in written.items() for canary in canaries if canary.encode() in content] == []
