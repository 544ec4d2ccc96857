"""What went in comes out, and goes in again: export and import lose nothing and repeat nothing."""

from __future__ import annotations

import io
import json
import struct
import urllib.error
import urllib.request

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

# When an event reached a store is of the store, not of the event.
OF_THE_STORE = ["received_at"]


def float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def comparable(event: dict) -> dict:
    """An event without what does not count: empty parts, and digits of embeddings beyond a 32-bit float."""
    event = json.loads(json.dumps(event))
    for part in (event.get("query"), event.get("output")):
        if part and part.get("embedding"):
            part["embedding"] = [float32(value) for value in part["embedding"]]
    if event.get("retriever", {}).get("params") == {}:
        del event["retriever"]["params"]
    return event


def by_id(events: list[dict]) -> dict[str, dict]:
    listed = {event["event_id"]: comparable(event) for event in events}
    assert len(listed) == len(events)
    return listed


def table(data, name: str) -> pl.DataFrame:
    return pl.scan_delta(str(data / name)).drop(OF_THE_STORE).sort("event_id").collect()


@pytest.fixture(scope="session")
def exported(tidemark, demo, tmp_path_factory):
    """Both tables of the demo as NDJSON files."""
    directory = tmp_path_factory.mktemp("export")
    for kind, corpus in (("retrievals", ["--corpus", "cran"]), ("outputs", [])):
        output = directory / f"{kind}.ndjson"
        tidemark("export", "--kind", kind, *corpus, "--format", "ndjson", "--output", output, data=demo.data)
    return directory


@pytest.mark.parametrize("kind", ["retrievals", "outputs"])
def test_an_export_holds_the_recording_field_by_field(kind, exported, recording):
    lines = (exported / f"{kind}.ndjson").read_text(encoding="utf-8").splitlines()
    found, expected = by_id([json.loads(line) for line in lines]), by_id(recording[kind])
    assert found.keys() == expected.keys()
    different = {event: (found[event], expected[event]) for event in expected if found[event] != expected[event]}
    assert not different, next(iter(different.values()))


def test_standard_output_and_a_file_get_the_same(tidemark, demo, exported):
    printed = tidemark("export", "--corpus", "cran", "--format", "ndjson", data=demo.data).stdout
    assert sorted(printed.splitlines()) == sorted((exported / "retrievals.ndjson").read_text("utf-8").splitlines())


def test_a_window_of_an_export_is_half_open(tidemark, demo, recording):
    times = sorted(event["occurred_at"] for event in recording["retrievals"])
    first, last = times[100], times[200]
    window = ["--from", first, "--to", last]
    lines = tidemark("export", *window, data=demo.data).stdout.splitlines()
    found = sorted(json.loads(line)["occurred_at"] for line in lines)
    assert found == [time for time in times if first <= time < last]


def test_an_export_imports_into_the_same_rows_and_only_once(tidemark, demo, exported, tmp_path):
    """INV-02: an event is stored exactly once however often it is sent."""
    data = tmp_path / "second"
    files = [exported / "retrievals.ndjson", exported / "outputs.ndjson"]
    for already in (False, True):
        said = tidemark("import", *files, data=data).stdout
        assert ("stored already" in said) is already
        for name in ("retrievals", "outputs"):
            assert_frame_equal(table(data, name), table(demo.data, name))


def test_resends_within_one_import_are_stored_once(tidemark, recording, tmp_path):
    data = tmp_path / "store"
    events = [json.dumps(event) for event in recording["retrievals"][:50]]
    tidemark("import", "-", data=data, stdin="\n".join(events + events))
    assert table(data, "retrievals").height == len(events)


def test_a_parquet_export_has_the_columns_of_the_table(tidemark, demo, recording, tmp_path):
    output = tmp_path / "export.parquet"
    tidemark("export", "--format", "parquet", "--output", output, data=demo.data)
    frame = pl.read_parquet(output).drop(OF_THE_STORE).sort("event_id")
    stored = table(demo.data, "retrievals")
    assert set(frame.columns) == set(stored.columns)
    assert_frame_equal(frame.select(stored.columns), stored)
    counts = "count(*), count(DISTINCT event_id), sum(len(results))"
    counted = duckdb.connect().execute(f"SELECT {counts} FROM read_parquet(?)", [str(output)]).fetchone()
    events = recording["retrievals"]
    assert counted == (len(events), len(events), sum(len(event["results"]) for event in events))


def test_an_export_that_fails_leaves_no_file(tidemark, tmp_path):
    output = tmp_path / "export.ndjson"
    tidemark("export", "--output", output, data=tmp_path / "no-store", code=1)
    assert list(tmp_path.iterdir()) == []


def written(table: pl.DataFrame, directory) -> dict:
    """The same rows as other programs write them: other types for texts and maps, other compression."""
    import pyarrow.feather
    import pyarrow.parquet

    files = {name: directory / name for name in ("polars.parquet", "polars.arrow", "polars.stream", "pyarrow.feather")}
    table.write_parquet(files["polars.parquet"])
    table.write_ipc(files["polars.arrow"])
    table.write_ipc_stream(files["polars.stream"])
    pyarrow.feather.write_feather(pyarrow.parquet.read_table(directory / "exported.parquet"), files["pyarrow.feather"])
    return files


def test_a_table_that_other_programs_wrote_is_imported_as_the_same_events(tidemark, demo, tmp_path):
    for form in ("parquet", "arrow"):
        export = ["export", "--corpus", "cran", "--format", form, "--output", tmp_path / f"exported.{form}"]
        tidemark(*export, data=demo.data)
    files = written(pl.read_parquet(tmp_path / "exported.parquet"), tmp_path)
    expected = table(demo.data, "retrievals").drop("ingest")
    for name in ("exported.parquet", "exported.arrow", *files):
        store = tmp_path / f"store of {name}"
        assert "3,076 retrievals, 0 outputs imported" in tidemark("import", tmp_path / name, data=store).stdout
        again = tidemark("export", "--corpus", "cran", "--format", "parquet", "--output", tmp_path / "again.parquet", data=store)
        assert again.code == 0
        found = pl.read_parquet(tmp_path / "again.parquet").drop([*OF_THE_STORE, "ingest"]).sort("event_id")
        assert_frame_equal(found, expected, check_column_order=False)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_outputs_are_exported_and_imported_as_the_same_rows(form, tidemark, demo, tmp_path):
    output = tmp_path / f"outputs.{form}"
    tidemark("export", "--kind", "outputs", "--format", form, "--output", output, data=demo.data)
    expected = table(demo.data, "outputs").drop("ingest")
    for said in (f"0 retrievals, {expected.height:,} outputs", f"{expected.height:,} stored already"):
        assert said in tidemark("import", output, data=tmp_path / "store").stdout
    assert_frame_equal(table(tmp_path / "store", "outputs").drop("ingest"), expected)


RETRIEVAL = {
    "event_id": "01931f7c-4a2e-7b1c-9d55-2f1f0e6c1a10", "occurred_at": "2026-11-18T09:30:00.123456Z",
    "operation_id": "op-8812", "attempt": 2, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
    "principal": "svc:support-bot", "service": "support", "environment": "prod", "segment": {"locale": "de", "tier": "gold"},
    "corpus": "handbook", "corpus_version": "2026-11-18",
    "retriever": {
        "name": "dense", "kind": "dense", "version": "7", "score_kind": "cosine", "index": "handbook_v7",
        "embedder": "all-MiniLM-L6-v2", "params": {"hnsw_ef": 128, "exact": False, "of": [1, None]},
    },
    "query": {"text": "how do I reset my badge", "fingerprint": "f1", "embedding": [0.1, -2.5]},
    "requested": {"top_k": 10, "max_context_tokens": 4000, "max_age_s": 2592000, "scope": ["public"], "filter": "lang = de"},
    "results": [
        {
            "doc_id": "hr/badges.md#3", "score": 0.8312, "content_hash": "b3:9f86d081884c7d65", "tokens": 118,
            "updated_at": "2026-11-02T00:00:00Z", "scope": "public",
        },
        {"doc_id": "hr/cards.md#1", "score": None},
    ],
    "results_total": 9, "model": "gpt-x", "prompt_version": "p14", "policy_version": "p:1", "latency_ms": 12.4,
    "cost_usd": 0.000012, "attributes": {"prompt_version": "p14", "nested": {"a": [1.0, "x"]}}, "marks": ["bound.results"],
}
OUTPUT = {
    "event_id": "01931f7c-4a2e-7b1c-9d55-2f1f0e6c1a11", "occurred_at": "2026-11-18T09:30:01Z", "operation_id": "op-8812",
    "attempt": 2, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "principal": "svc:support-bot", "service": "support",
    "model": "gpt-x-2026-10", "prompt_version": "p14", "policy_version": "p:1",
    "output": {"text": "at the desk", "hash": "b3:1", "embedding": [0.1, 0.2], "tokens": 212},
    "citations": ["hr/badges.md#3"], "refusal": False, "scores": {"faithfulness": 0.91}, "feedback": 1.0,
    "latency_ms": 840.0, "cost_usd": 0.0031, "marks": ["redacted.email"],
}


@pytest.mark.parametrize("form", ["ndjson", "parquet", "arrow"])
@pytest.mark.parametrize("kind, event", [("retrievals", RETRIEVAL), ("outputs", OUTPUT)])
def test_export_and_import_lose_no_field(kind, event, form, tidemark, tmp_path):
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "exported"
    tidemark("import", "--text", "full", "-", data=first, stdin=json.dumps(event))
    tidemark("export", "--kind", kind, "--format", form, "--output", file, data=first)
    tidemark("import", "--text", "full", file, data=second)
    exported = [json.loads(tidemark("export", "--kind", kind, data=data).stdout) for data in (first, second)]
    assert exported[0] == exported[1]
    # What was sent, and not only what was stored first.
    stored = {key: value for key, value in exported[0].items() if key not in ("query", "results")}
    assert stored == {key: value for key, value in event.items() if key not in ("query", "results")}
    for part in event.get("query", {}):
        assert exported[0]["query"][part] == event["query"][part]
    for found, sent in zip(exported[0].get("results", []), event.get("results", [])):
        assert {key: value for key, value in found.items() if value is not None} == {k: v for k, v in sent.items() if v is not None}


def test_texts_that_are_not_kept_are_counted(tidemark, tmp_path):
    lines = f"{json.dumps(RETRIEVAL)}\n{json.dumps(OUTPUT)}\n"
    assert "2 texts were not kept (--text none)" in tidemark("import", "-", data=tmp_path / "none", stdin=lines).stdout
    assert "not kept" not in tidemark("import", "--text", "full", "-", data=tmp_path / "full", stdin=lines).stdout


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_an_empty_window_is_exported_and_imported(form, tidemark, demo, tmp_path):
    file = tmp_path / f"empty.{form}"
    tidemark("export", "--from", "2001-01-01", "--to", "2001-01-02", "--format", form, "--output", file, data=demo.data)
    assert "0 retrievals, 0 outputs imported" in tidemark("import", file, data=tmp_path / "store").stdout


def rows(*scores, **more):
    """Retrievals as another program would make a table of them."""
    import pyarrow as pa

    count = len(scores)
    columns = {
        "occurred_at": ["2026-11-18T09:30:00Z"] * count, "corpus": ["handbook"] * count,
        "query": [{"fingerprint": f"q{row}"} for row in range(count)],
        "results": [[{"doc_id": "a", "score": score, "tokens": 118.0}] for score in scores],
        **{name: [value] * count for name, value in more.items()},
    }
    return pa.table(columns)


def test_a_row_beyond_the_limit_of_an_event_is_refused_alone(tidemark, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    attributes = pa.array([None, json.dumps({"x": "y" * 5_000_000}), None])
    pyarrow.parquet.write_table(rows(0.5, 0.25, 0.75).append_column("attributes", attributes), tmp_path / "long.parquet")
    said = tidemark("import", tmp_path / "long.parquet", data=tmp_path / "store", code=1).stdout
    assert "2 retrievals" in said and "long.parquet:2: has more than 4194304 bytes, the limit" in said


def test_a_table_of_rows_without_end_that_are_no_events_is_given_up(tidemark, tmp_path):
    import pyarrow as pa

    (tmp_path / "nulls.arrows").write_bytes(stream(pa.table({"corpus": pa.nulls(2_000_000)})))
    said = tidemark("import", tmp_path / "nulls.arrows", data=tmp_path / "store", code=1).stderr
    assert "nulls.arrows has 1000000 rows one after the other that are no events" in said


def stream(table, compression=None) -> bytes:
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def post(server, body: bytes):
    request = urllib.request.Request(server.url + "/v1/retrievals", data=body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_streams_of_pyarrow_are_taken_row_by_row(serve):
    server = serve()
    status, answer = post(server, stream(rows(0.5, float("nan"), 0.25)))
    assert (status, answer["accepted"], answer["events"][1]["marks"]) == (202, 3, ["number.not_finite"])
    status, answer = post(server, stream(rows(0.5).slice(0, 0)))
    assert (status, answer["accepted"], answer["events"]) == (202, 0, [])
    status, answer = post(server, stream(rows(*[0.5] * 20_001)))
    assert (status, answer["detail"]) == (413, "the batch has more than 20000 events; none of them was stored")
    status, answer = post(server, stream(rows(*[0.5] * 100), compression="lz4"))
    assert status == 422 and "its buffers are compressed" in answer["detail"]
    status, answer = post(server, stream(rows(0.5, 0.25, corpsu="handbook", colour="red")))
    assert status == 422 and answer["detail"].count("corpsu (did you mean corpus?), colour;") == 1
    status, answer = post(server, stream(rows(0.75, __index_level_0__=7)))
    assert (status, answer["accepted"], answer["ignored_columns"]) == (202, 1, ["__index_level_0__"])
    found = server.events()
    assert sorted(str(event["results"][0]["score"]) for event in found) == ["0.25", "0.5", "0.75", "None"]
    assert {event["results"][0]["tokens"] for event in found} == {118}
