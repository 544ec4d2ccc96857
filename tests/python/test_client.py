"""The Python client: nothing acknowledged is lost, nothing is doubled, and its counters agree with the table."""

from __future__ import annotations

import contextvars
import math
import multiprocessing
import os
import socket
import threading
import time
import uuid
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest
from stub_server import Stub, accept, answer

from tidemark import Tidemark, TidemarkError

QUICK = {"linger_s": 0.02, "first_pause_s": 0.02, "longest_pause_s": 0.2, "retries": 200}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def record(client: Tidemark, numbers) -> None:
    for number in numbers:
        client.record_retrieval(f"q{number}", [("a", 0.5)], attributes={"n": number})


def adds_up(counters) -> bool:
    """Everything is accounted for, and nothing waits any more."""
    known = counters.acknowledged + counters.rejected + counters.unfit + counters.dropped + counters.spilled
    return counters.recorded == known and counters.waiting == 0


def eventually(holds) -> bool:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def files(directory: Path) -> list[Path]:
    return [file for file in directory.rglob("*") if file.suffix in (".retrievals", ".outputs")]


@pytest.fixture
def stub():
    stub = Stub()
    yield stub
    stub.stop()


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
    assert (counters.recorded, counters.unfit) == (1_004, 3)
    assert counters.dropped_queue_full >= 400
    assert counters.acknowledged == 0
    assert adds_up(counters)


def test_a_server_that_restarts_loses_and_doubles_nothing(serve, tmp_path):
    port = free_port()
    data, address = tmp_path / "store", f"127.0.0.1:{port}"
    server = serve(data=data, listen=address)
    client = Tidemark(f"http://{address}", corpus="c", shutdown_s=60, **QUICK)
    stop = threading.Event()

    def record_all() -> None:
        number = 0
        while not stop.is_set():
            client.record_retrieval({"fingerprint": f"q{number}"}, [("a", 0.5)], attributes={"n": number})
            number += 1
            time.sleep(0.001)

    recorder = threading.Thread(target=record_all)
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
    assert len(files(spill)) == 2
    server = serve(listen=f"127.0.0.1:{port}")
    later = Tidemark(server.url, corpus="c", spill=spill, **QUICK)
    assert eventually(lambda: not later.counters().spilled)
    assert (later.close().acknowledged, list(Path(spill).iterdir())) == (51, [])
    assert len(server.events()) == 50


def test_a_spill_directory_has_a_limit(tmp_path):
    client = Tidemark(f"http://127.0.0.1:{free_port()}", corpus="c", spill=tmp_path, spill_bytes=10_000, **QUICK)
    for number in range(500):
        client.record_retrieval(f"q{number}", [("a", 0.5)])
    client.flush(30)
    counters = client.close()
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 10_000
    assert counters.dropped_spill_full > 0 and "spill_bytes" in client.last_error
    assert adds_up(counters)


def test_clients_that_share_a_spill_directory_neither_overwrite_nor_send_each_others_events(stub, tmp_path):
    nowhere = f"http://127.0.0.1:{free_port()}"
    first, second = (Tidemark(nowhere, corpus="c", spill=tmp_path, **QUICK) for _ in range(2))
    record(first, range(40))
    record(second, range(40, 80))
    assert first.flush(30) and second.flush(30)
    assert (first.counters().spilled, second.counters().spilled) == (40, 40)
    meanwhile = Tidemark(stub.url, corpus="c", spill=tmp_path, **QUICK)
    assert meanwhile.close().recorded == 0, "both are still there"
    assert adds_up(first.close()) and adds_up(second.close())
    later = Tidemark(stub.url, corpus="c", spill=tmp_path, **QUICK)
    assert eventually(lambda: later.counters().spilled == 0)
    assert (later.close().acknowledged, list(tmp_path.iterdir())) == (80, [])
    assert sorted(event["attributes"]["n"] for event in stub.events) == list(range(80))


def test_what_any_client_left_behind_is_taken_over_and_what_it_did_not_finish_is_not(stub, tmp_path):
    run = tmp_path / "0006-ab.run"
    run.mkdir()
    (run / "0000000000000001-1.outputs").write_bytes(b'{"event_id": "third"}\n')
    (run / "0000000000000000-2.retrievals").write_bytes(b'{"event_id": "first"}\n{"event_id": "second"}\n')
    (run / "0000000000000002-9.outputs.unfinished").write_bytes(b'{"event_id": "fou')
    with Tidemark(stub.url, corpus="c", spill=tmp_path, **QUICK) as client:
        assert client.counters().recorded == 3
        assert eventually(lambda: client.counters().acknowledged == 3)
    assert [event["event_id"] for event in stub.events] == ["first", "second", "third"]
    assert [request.path for request in stub.requests] == ["/v1/retrievals", "/v1/outputs"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("with_spill", [False, True])
def test_a_server_that_never_answers_delays_the_end_by_no_more_than_it_may_take(with_spill, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = Tidemark(url, corpus="c", spill=tmp_path if with_spill else None, shutdown_s=0.5, **QUICK)
        record(client, range(700))
        assert eventually(lambda: client.counters().waiting == 700) and not client.flush(0.3)
        began = time.monotonic()
        counters = client.close()
        assert time.monotonic() - began < 5
    assert adds_up(counters), counters
    assert (counters.spilled, counters.dropped_at_end) == ((700, 0) if with_spill else (0, 700))


@pytest.mark.parametrize("status", [401, 403, 404, 405, 415, 503])
def test_a_refusal_that_is_no_fault_of_the_events_is_tried_again_and_told(status, stub, tmp_path):
    stub.answers = [lambda lines: answer(status, {"detail": "the key may not write", "hint": "ask for another"})] * 4
    with Tidemark(stub.url, corpus="c", spill=tmp_path, **QUICK) as client:
        record(client, [1])
        assert eventually(lambda: client.counters().acknowledged == 1), "files of the spill are tried for ever"
        assert client.last_error == f"{status}: the key may not write; ask for another"
    assert adds_up(client.counters())
    stub.answers = [lambda lines: answer(status, {})] * 100
    with Tidemark(stub.url, corpus="c", **{**QUICK, "retries": 3}) as client:
        record(client, [2])
        assert client.flush(30)
    assert (client.counters().dropped_gave_up, client.counters().rejected) == (1, 0)
    assert len(stub.requests) == 4 + 1 + 4, "three tries after the first"


def test_a_batch_that_is_too_large_is_halved_and_only_an_event_that_is_too_large_is_rejected(stub):
    stub.always = lambda lines: accept(lines) if sum(map(len, lines)) < 2_000 else answer(413, {})
    with Tidemark(stub.url, corpus="c", **QUICK) as client:
        record(client, range(50))
        client.record_retrieval("q" * 3_000, [])
        assert client.flush(30)
    counters = client.counters()
    assert (counters.acknowledged, counters.rejected, counters.retries) == (50, 1, 0)
    assert sorted(event["attributes"]["n"] for event in stub.events) == list(range(50))


def test_the_thread_survives_whatever_is_answered(stub):
    bodies = [b"", b"null", b"[]", b"7", b"{", b"\xff"]
    bodies += [b'{"events": null}', b'{"events": [null]}', b'{"events": [{"status": []}]}']
    stub.answers = [lambda lines, body=body: answer(202, body) for body in bodies] + [lambda lines: answer(99_999, {})]
    with Tidemark(stub.url, corpus="c", **QUICK) as client:
        record(client, [1])
        assert client.flush(30), client.counters()
        assert (client.counters().acknowledged, client.counters().retries) == (1, len(stub.requests) - 1)


NO_ADDRESSES = ["http://no host:1", "http://[::1", "http://127.0.0.1:x", "nonsense", f"http://{'a' * 70}.b"]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_an_address_that_is_none_is_told_and_counted(url):
    with Tidemark(url, corpus="c", **{**QUICK, "retries": 2}) as client:
        record(client, [1])
        assert client.flush(30)
    assert adds_up(client.counters()) and client.counters().dropped_gave_up == 1
    assert "does not answer" in client.last_error


def test_what_is_in_hand_takes_room_in_memory(stub):
    release = threading.Event()
    stub.always = lambda lines: release.wait(20) and accept(lines)
    with Tidemark(stub.url, corpus="c", queue_bytes=100_000, **QUICK) as client:
        for number in range(200):
            client.record_retrieval("q" * 1_000, [], attributes={"n": number})
            time.sleep(0.001)
        assert 50 < client.counters().waiting < 100, "each takes more than a thousand bytes"
        release.set()
        assert client.flush(30)
        assert adds_up(client.counters())


def test_the_server_is_asked_again_when_it_said_and_what_was_put_aside_needs_no_new_event(stub, tmp_path):
    stub.answers = [lambda lines: answer(503, {}, {"retry-after": "1"})]
    with Tidemark(stub.url, corpus="c", spill=tmp_path, **QUICK) as client:
        record(client, [1])
        assert client.flush(0.9), "with a place on disk nobody waits in memory"
        assert client.counters().spilled == 1
        record(client, [2])
        assert eventually(lambda: client.counters().acknowledged == 2)
    assert stub.requests[1].at - stub.requests[0].at >= 1, "the pause is one for all batches"


def test_of_a_file_that_was_taken_in_part_only_the_rest_is_sent_again(stub, tmp_path):
    away = Tidemark(f"http://127.0.0.1:{free_port()}", corpus="c", spill=tmp_path, **QUICK)
    record(away, range(10))
    assert away.flush(30) and away.close().spilled == 10
    later = {"status": "rejected", "retry_after_s": 0}
    # Each time one event is taken, so each time is progress: no number of tries ends it.
    stub.answers = [
        lambda lines: answer(429, {"events": [{"status": "accepted"}] + [later] * (len(lines) - 1)}) for _ in range(8)
    ]
    with Tidemark(stub.url, corpus="c", spill=tmp_path, **{**QUICK, "retries": 0}) as client:
        assert eventually(lambda: client.counters().acknowledged == 10)
        assert adds_up(client.counters()) and client.counters().acknowledged_again == 0
    assert [len(request.lines) for request in stub.requests] == [10, 9, 8, 7, 6, 5, 4, 3, 2]


def test_what_is_recorded_within_an_operation_is_part_of_it(stub):
    with Tidemark(stub.url, corpus="c", **QUICK) as client, Tidemark(stub.url, corpus="c", **QUICK) as other:
        with client.operation("outer", principal="user:7", top_k=3):
            client.record_retrieval("1", [])
            with client.operation("inner"):
                client.record_retrieval("2", [])
                client.record_retrieval("3", [], operation_id="named")
                thread = threading.Thread(target=client.record_retrieval, args=("4", []))
                thread.start()
                thread.join()
                contextvars.copy_context().run(client.record_retrieval, "5", [])
                other.record_retrieval("6", [])
            client.record_output("7")
        client.record_retrieval("8", [])
        with pytest.raises(ZeroDivisionError), client.operation():
            raise ZeroDivisionError
        client.record_retrieval("9", [])
        assert client.flush(30) and other.flush(30)
    events = {event.get("query", event.get("output"))["text"]: event for event in stub.events}
    operations = [events[str(number)].get("operation_id") for number in range(1, 10)]
    assert operations == ["outer", "inner", "named", None, "inner", None, "outer", None, None]
    assert (events["1"]["principal"], events["1"]["requested"]) == ("user:7", {"top_k": 3})
    assert events["7"]["principal"] == "user:7" and "principal" not in events["2"]


def test_values_of_numpy_times_and_ids_are_written_and_what_is_no_number_is_left_out(stub):
    numpy = pytest.importorskip("numpy")
    key, moment = uuid.uuid4(), datetime(2026, 11, 18, 9, 30, tzinfo=timezone.utc)
    with Tidemark(stub.url, corpus="c", **QUICK) as client:
        results = [(numpy.int64(7), numpy.float32(0.5)), (key, numpy.float64("nan")), numpy.str_("s")]
        results.append({"doc_id": "d", "score": math.inf})
        embedding = numpy.array([0.5, 1.0], dtype=numpy.float32)
        client.record_retrieval({"text": "q", "embedding": embedding}, results, attributes={"at": moment, "n": numpy.int8(3)})
        client.record_retrieval({"text": "q", "embedding": [1.0, math.nan]}, results[:1], latency_ms=math.nan)
        client.record_output("a", operation_id=key, scores={"good": numpy.float64(1), "bad": math.nan})
        assert client.flush(30)
        assert (client.counters().not_finite, client.counters().unfit, client.counters().acknowledged) == (3, 0, 3)
    first, second, output = sorted(stub.events, key=lambda event: int(event["event_id"].rpartition("-")[2]))
    assert [(document["doc_id"], document.get("score")) for document in first["results"]] == [
        (7, 0.5), (str(key), None), ("s", None), ("d", None),
    ]
    assert first["query"]["embedding"] == [0.5, 1.0]
    assert first["attributes"] == {"at": "2026-11-18T09:30:00.000000Z", "n": 3}
    assert second["query"] == {"text": "q"} and "latency_ms" not in second
    assert (output["operation_id"], output["scores"]) == (str(key), {"good": 1.0})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_is_forked_sends_its_own_events_and_none_of_the_parents(stub, tmp_path):
    release = threading.Event()
    stub.always = lambda lines: release.wait(20) and accept(lines)
    client = Tidemark(stub.url, corpus="c", spill=tmp_path, **QUICK)
    closed = Tidemark(stub.url, corpus="c", **QUICK)
    closed.close()
    record(client, range(10))
    child = os.fork()
    if child == 0:
        record(client, range(10, 20))
        record(closed, [99])
        ended = client.close()
        os._exit(0 if (ended.recorded, ended.acknowledged) == (10, 10) and closed.counters().dropped == 1 else 1)
    time.sleep(0.2)
    release.set()
    assert os.waitpid(child, 0)[1] == 0
    record(client, range(20, 30))
    assert client.flush(30) and client.close().acknowledged == 20
    assert Counter(event["attributes"]["n"] for event in stub.events) == Counter(range(30))
    assert list(tmp_path.iterdir()) == []


def work(client: Tidemark, numbers: range) -> None:
    record(client, numbers)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
def test_a_child_of_multiprocessing_sends_what_it_has_when_it_ends(stub):
    with Tidemark(stub.url, corpus="c", **{**QUICK, "linger_s": 5}) as client:
        fork = multiprocessing.get_context("fork")
        children = [fork.Process(target=work, args=(client, range(10 * n, 10 * n + 10))) for n in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join(30)
            assert child.exitcode == 0
    assert sorted(event["attributes"]["n"] for event in stub.events) == list(range(30))
