"""The handlers for LangChain and LlamaIndex: what belongs together is one operation, and the application is left as it is."""

from __future__ import annotations

import asyncio
import json
import sys
import threading

import pytest
from stub_server import Stub

from tidemark import Tidemark

if sys.version_info < (3, 11):
    pytest.skip("the frameworks are pinned for Python 3.11 and later", allow_module_level=True)

QUICK = {"linger_s": 0.02, "first_pause_s": 0.02, "longest_pause_s": 0.2, "retries": 200}


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
    from llama_index.core.instrumentation import get_dispatcher
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
            get_dispatcher().event_handlers.remove(handler)
        assert client.flush()
    [event] = server.events()
    returned = [(node.node.node_id, node.score) for node in answer.source_nodes]
    assert [(document["doc_id"], document["score"]) for document in event["results"]] == returned
    [output] = [
        json.loads(line) for line in server.tidemark("export", "--kind", "outputs", data=server.data).stdout.splitlines()
    ]
    assert (output["output"]["text"], output["operation_id"]) == (str(answer), event["operation_id"])
