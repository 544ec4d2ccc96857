"""The Python client: nothing acknowledged is lost, nothing is doubled, and its counters agree with the table."""

from __future__ import annotations

import json
import math
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from tidemark import Tidemark, TidemarkError

QUICK = {"linger_s": 0.02, "first_pause_s": 0.02, "longest_pause_s": 0.2, "retries": 200}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_an_operation_arrives_with_its_retrieval_and_its_output(serve):
    server = serve("--text", "full")
    with Tidemark(server.url, service="support", corpus="handbook", corpus_version="v12", **QUICK) as tidemark:
        with tidemark.operation(principal="user:7") as operation:
            documents = [("hr/badges.md#3", 0.83), {"doc_id": "b", "tokens": 12}, ("c", None), 4]
            operation.record_retrieval("how do I reset my badge", documents, top_k=4)
            operation.record_output("Hold it to the reader.", model="small-1", scores={"faithful": 1.0})
        assert tidemark.flush()
        counters = tidemark.counters()
        assert (counters.recorded, counters.acknowledged, counters.dropped) == (2, 2, 0)
        deadline = time.monotonic() + 20
        while True:
            try:
                trace = tidemark.trace(operation.id)
                break
            except TidemarkError as error:
                assert error.problem["status"] == 404 and time.monotonic() < deadline
                time.sleep(0.2)
        [retrieval] = trace["retrievals"]
        assert retrieval["results"][0]["doc_id"] == "hr/badges.md#3"
    [event] = server.events()
    found = [(document["doc_id"], document["score"]) for document in event["results"]]
    assert found == [("hr/badges.md#3", 0.83), ("b", None), ("c", None), ("4", None)]
    assert (event["principal"], event["requested"], event["corpus_version"]) == ("user:7", {"top_k": 4}, "v12")


def test_sql_and_comparisons_are_answered(serve, tidemark, demo):
    polars = pytest.importorskip("polars")
    server = serve(data=demo.data)
    with Tidemark(server.url, corpus="cran") as client:
        table = client.sql("SELECT corpus_version, count(*) AS n FROM retrievals GROUP BY 1 ORDER BY 1")
        assert table.column_names == ["corpus_version", "n"]
        frame = client.sql("SELECT count(*) AS n FROM retrievals", polars=True)
        assert isinstance(frame, polars.DataFrame) and frame["n"].sum() == sum(table["n"].to_pylist())
        versions = [version for version in table["corpus_version"].to_pylist() if version]
        report = client.compare(f"version:{versions[0]}", f"version:{versions[1]}")
        assert report["retrieval"]["matched_queries"] > 0
        with pytest.raises(TidemarkError, match="422"):
            client.sql("DROP TABLE retrievals")
    server.stop()


def test_recording_neither_waits_nor_raises_whatever_is_recorded():
    nowhere = f"http://127.0.0.1:{free_port()}"
    client = Tidemark(nowhere, queue_events=100, shutdown_s=0.1, **QUICK)
    began = time.monotonic()
    for number in range(1_000):
        client.record_retrieval(f"q{number}", [("a", 0.5)], corpus="c")
    client.record_retrieval("q", [("a", math.nan)], corpus="c")
    client.record_retrieval("q", [{"doc_id": object()}], corpus="c")
    client.record_retrieval("q", None, corpus="c")
    client.record_retrieval("q", [("a", "b", "c")], corpus="c")
    assert time.monotonic() - began < 5
    counters = client.close()
    assert counters.recorded == 1_004
    assert counters.unfit == 4
    assert counters.dropped_queue_full >= 400
    assert counters.acknowledged == 0
    assert counters.recorded == counters.unfit + counters.dropped + counters.waiting


def test_a_server_that_restarts_loses_and_doubles_nothing(serve, tmp_path):
    port = free_port()
    data, address = tmp_path / "store", f"127.0.0.1:{port}"
    server = serve(data=data, listen=address)
    client = Tidemark(f"http://{address}", corpus="c", shutdown_s=60, **QUICK)
    stop = threading.Event()

    def record() -> None:
        number = 0
        while not stop.is_set():
            client.record_retrieval({"fingerprint": f"q{number}"}, [("a", 0.5)], attributes={"n": number})
            number += 1
            time.sleep(0.001)

    recorder = threading.Thread(target=record)
    recorder.start()
    for _ in range(3):
        time.sleep(1)
        server.kill()
        time.sleep(0.3)
        server = serve(data=data, listen=address)
    time.sleep(0.5)
    stop.set()
    recorder.join()
    assert client.flush(60)
    counters = client.close()
    assert counters.retries > 0
    assert counters.dropped == counters.rejected == counters.unfit == counters.waiting == 0
    assert counters.acknowledged == counters.recorded
    stored = [event["attributes"]["n"] for event in server.events()]
    assert sorted(stored) == list(range(counters.recorded))


def test_what_cannot_be_sent_waits_on_disk_for_a_later_process(serve, tmp_path):
    spill, port = tmp_path / "spill", free_port()
    client = Tidemark(f"http://127.0.0.1:{port}", corpus="c", spill=spill, **QUICK)
    for number in range(50):
        client.record_retrieval(f"q{number}", [("a", 0.5)])
    client.record_output("four", operation_id="op")
    assert client.flush(30)
    first = client.close()
    assert (first.recorded, first.spilled, first.dropped) == (51, 51, 0)
    assert any(Path(spill).iterdir())
    server = serve(listen=f"127.0.0.1:{port}")
    later = Tidemark(server.url, corpus="c", spill=spill, **QUICK)
    deadline = time.monotonic() + 30
    while later.counters().spilled and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (later.close().acknowledged, list(Path(spill).iterdir())) == (51, [])
    assert len(server.events()) == 50


def test_a_spill_directory_has_a_limit(tmp_path):
    client = Tidemark(f"http://127.0.0.1:{free_port()}", corpus="c", spill=tmp_path, spill_bytes=10_000, **QUICK)
    for number in range(500):
        client.record_retrieval(f"q{number}", [("a", 0.5)])
    client.flush(30)
    counters = client.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10_000
    assert counters.dropped_spill_full > 0
    assert counters.recorded == counters.spilled + counters.dropped


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the frameworks are pinned for Python 3.11 and later")
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


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the frameworks are pinned for Python 3.11 and later")
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
