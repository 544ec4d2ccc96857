"""The handlers for LangChain and LlamaIndex: what belongs together is one operation, and the application is left as it is."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from stub_server import Stub

from tidemark import Tidemark

if sys.version_info < (3, 11):
    pytest.skip("the frameworks are pinned for Python 3.11 and later", allow_module_level=True)

QUICK = {"linger_s": 0.02, "first_pause_s": 0.02, "longest_pause_s": 0.2, "retries": 200}


@pytest.fixture
def stub():
    stub = Stub()
    yield stub
    stub.stop()


@pytest.fixture
def client(stub):
    with Tidemark(stub.url, service="support", retriever={"kind": "dense"}, **QUICK) as client:
        yield client


@pytest.fixture
def handler(client):
    from tidemark.llama_index import TidemarkHandler

    handler = TidemarkHandler.install(client)
    yield handler
    handler.remove()


def sent(client: Tidemark, stub: Stub) -> tuple[list[dict], list[dict]]:
    """The retrievals and the outputs, in the order in which they were recorded."""
    assert client.flush(30)
    events = sorted(stub.events, key=lambda event: int(event["event_id"].rpartition("-")[2]))
    stub.events.clear()
    return [event for event in events if "query" in event], [event for event in events if "output" in event]


def index():
    from llama_index.core import MockEmbedding, VectorStoreIndex
    from llama_index.core.schema import TextNode

    nodes = [TextNode(id_=f"node-{i}", text=f"text {i}") for i in range(9)]
    return VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=8))


def retriever_of(*documents, error=None):
    from langchain_core.retrievers import BaseRetriever

    class Handbook(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            if error is not None:
                raise error
            return list(documents)

    return Handbook()


def page(text, id=None, **metadata):
    from langchain_core.documents import Document

    return Document(page_content=text, id=id, metadata=metadata)


def doc_ids(event: dict) -> list:
    return [document["doc_id"] for document in event["results"]]


def test_a_langchain_callback_records_the_chain(serve):
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnablePassthrough

    from test_emitters import langchain_store
    from tidemark.langchain import TidemarkCallback

    server = serve("--text", "full")
    with Tidemark(server.url, service="support", **QUICK) as client:
        retriever = langchain_store().as_retriever(search_kwargs={"k": 3})
        prompt = ChatPromptTemplate.from_template("{context} {question}")
        chain = {"context": retriever, "question": RunnablePassthrough()} | prompt | FakeListChatModel(responses=["four"])
        chain.invoke("what is it", config={"callbacks": [TidemarkCallback(client)]})
        assert client.flush()
    [event] = server.events()
    returned = [page.id for page in retriever.invoke("what is it")]
    assert [document["doc_id"] for document in event["results"]] == returned
    [output] = [
        json.loads(line) for line in server.tidemark("export", "--kind", "outputs", data=server.data).stdout.splitlines()
    ]
    assert (output["output"]["text"], output["operation_id"]) == ("four", event["operation_id"])


def test_a_llama_index_handler_records_queries(serve):
    from llama_index.core import MockEmbedding, VectorStoreIndex
    from llama_index.core.llms import MockLLM
    from llama_index.core.schema import TextNode

    from tidemark.llama_index import TidemarkHandler

    server = serve("--text", "full")
    with Tidemark(server.url, service="support", **QUICK) as client:
        handler = TidemarkHandler.install(client)
        try:
            nodes = [TextNode(id_=f"node-{i}", text=f"text {i}") for i in range(9)]
            index = VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=8))
            answer = index.as_query_engine(llm=MockLLM(), similarity_top_k=2).query("what is it")
        finally:
            handler.remove()
        assert client.flush()
    [event] = server.events()
    returned = [(node.node.node_id, node.score) for node in answer.source_nodes]
    assert [(document["doc_id"], document["score"]) for document in event["results"]] == returned
    [output] = [
        json.loads(line) for line in server.tidemark("export", "--kind", "outputs", data=server.data).stdout.splitlines()
    ]
    assert (output["output"]["text"], output["operation_id"]) == (str(answer), event["operation_id"])


def test_a_stream_of_llama_index_is_left_to_whoever_asked(client, stub, handler):
    from llama_index.core.llms import MockLLM

    engine = index().as_query_engine(llm=MockLLM(max_tokens=7), streaming=True, similarity_top_k=2)
    answer = engine.query("what is it")
    assert client.flush(30)
    assert len(list(answer.response_gen)) == 7
    retrievals, outputs = sent(client, stub)
    assert (len(retrievals), outputs, handler._spans.open_spans) == (1, [], {})


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_query_of_llama_index_that_fails_leaves_nothing_behind(asynchronous, client, stub, handler):
    from llama_index.core.llms import MockLLM

    class Broken(MockLLM):
        def complete(self, *_, **__):
            raise RuntimeError("no model")

        async def acomplete(self, *_, **__):
            raise RuntimeError("no model")

    def ask(llm):
        engine = index().as_query_engine(llm=llm, similarity_top_k=2)
        return asyncio.run(engine.aquery("what is it")) if asynchronous else engine.query("what is it")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            ask(Broken())
    first, second = ask(MockLLM()), ask(MockLLM())
    retrievals, outputs = sent(client, stub)
    operations = [event["operation_id"] for event in retrievals]
    assert len(set(operations)) == 4, "each query is one of its own"
    assert [event["operation_id"] for event in outputs] == operations[2:]
    assert [event["output"]["text"] for event in outputs] == [str(first), str(second)]
    index().as_retriever().retrieve("what is it")
    [[alone], outputs] = sent(client, stub)
    assert "operation_id" not in alone and outputs == []
    assert handler._spans.open_spans == {}


def test_both_handlers_record_into_the_operation_that_they_run_in(client, stub, handler):
    from langchain_core.runnables import RunnableLambda
    from llama_index.core.llms import MockLLM

    from tidemark.langchain import TidemarkCallback

    chain = RunnableLambda(lambda text: text) | retriever_of(page("a", id="1"))
    with client.operation("op", principal="user:7"):
        chain.invoke("q", config={"callbacks": [TidemarkCallback(client)]})
        asyncio.run(chain.ainvoke("q", config={"callbacks": [TidemarkCallback(client)]}))
        index().as_query_engine(llm=MockLLM()).query("what is it")
    chain.invoke("q", config={"callbacks": [TidemarkCallback(client)]})
    retrievals, outputs = sent(client, stub)
    assert [event["operation_id"] == "op" for event in retrievals] == [True, True, True, False]
    assert [event.get("principal") for event in retrievals] == ["user:7"] * 3 + [None]
    assert [event["operation_id"] for event in outputs] == ["op"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_retriever_in_a_tool_of_an_agent_belongs_to_the_run_at_the_top(asynchronous, client, stub):
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.runnables import RunnableLambda
    from langchain_core.tools import tool

    from tidemark.langchain import TidemarkCallback

    retriever, model = retriever_of(page("a", id="1")), FakeListChatModel(responses=["four"])

    @tool
    def look_up(question: str) -> str:
        """Looks something up."""
        return str(retriever.invoke(question))

    @tool
    async def alook_up(question: str) -> str:
        """Looks something up."""
        return str(await retriever.ainvoke(question))

    def agent(question):
        return model.invoke(look_up.invoke(question))

    async def aagent(question):
        return await model.ainvoke(await alook_up.ainvoke(question))

    chain = RunnableLambda(agent, afunc=aagent) | RunnableLambda(lambda answer: answer)
    config = {"callbacks": [TidemarkCallback(client)]}
    for _ in range(2):
        asyncio.run(chain.ainvoke("q", config=config)) if asynchronous else chain.invoke("q", config=config)
    retrievals, outputs = sent(client, stub)
    operations = [event["operation_id"] for event in retrievals]
    assert len(set(operations)) == 2
    assert [event["operation_id"] for event in outputs] == operations
    assert [event["retriever"] for event in retrievals] == [{"name": "Handbook", "kind": "dense"}] * 2


def test_a_retriever_that_raises_is_not_recorded_and_does_not_change_what_follows(client, stub):
    from tidemark.langchain import TidemarkCallback

    callback = TidemarkCallback(client)
    config = {"callbacks": [callback], "run_name": "faq"}
    for _ in range(2):
        with pytest.raises(KeyError):
            retriever_of(error=KeyError("gone")).invoke("q", config=config)
    retriever_of(page("a", id="1")).invoke("q", config=config)
    [[event], outputs] = sent(client, stub)
    assert (event["retriever"]["name"], doc_ids(event), outputs) == ("faq", ["1"], [])
    assert not callback._runs


def test_documents_of_langchain_without_an_id_are_told_apart_and_never_named_by_their_text(client, stub):
    from tidemark.langchain import TidemarkCallback

    def ids(*documents):
        retriever_of(*documents).invoke("q", config={"callbacks": [TidemarkCallback(client)]})
        [[event], _] = sent(client, stub)
        return doc_ids(event)

    assert ids(page("a", id="1", doc_id="x"), page("b", doc_id=7), page("c", chunk_id="y")) == ["1", "7", "y"]
    alone = ids(page("a", source="a.md"), page("b", url="http://b"), page("c", source="c.md", id=""))
    assert alone == ["a.md", "http://b", "c.md"]
    parts = ids(page("one", source="a.md"), page("two", source="a.md"), page("one", source="a.md"))
    assert len(set(parts)) == len(parts) == 2 and all(part.startswith("a.md#") for part in parts)
    parents = ids(page("one", doc_id="p"), page("two", doc_id="p"))
    assert len(set(parents)) == 2 and all(part.startswith("p#") for part in parents)
    unnamed = ids(page("a secret"), page("another"), page("a secret"))
    assert len(set(unnamed)) == len(unnamed) == 2
    assert all(part.startswith("blake2b:") and "secret" not in part for part in unnamed)
    assert unnamed[1:] == ids(page("another")), "the same text has the same id"
