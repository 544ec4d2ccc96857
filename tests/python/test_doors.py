"""One rule for all doors: whatever an event is sent as, it is the same event, or refused for the same reason."""

from __future__ import annotations

import io
import json
import math
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import pytest

DATA = Path(__file__).resolve().parents[1] / "data" / "doors"
AT = "2026-11-18T09:30:00Z"
OTLP_NANOSECONDS = "1795080600000000000"

# What differs by nature: an id that is made of the bytes, the span, or the row.
OWN = {"event_id", "operation_id", "trace_id", "span_id", "attempt"}


@dataclass
class Case:
    """An input by what is special about it, and what every door makes of it."""

    name: str
    changes: dict[str, Any]
    expected: Optional[dict[str, Any]] = None
    # The field that is wrong, and a part of what is said of it.
    refused: Optional[tuple[str, str]] = None
    # Whether a span can say it.
    span: bool = True

    @property
    def event(self) -> dict[str, Any]:
        event = {
            "occurred_at": AT,
            "corpus": "wiki",
            "query": {"fingerprint": "q"},
            "results": [{"doc_id": "a", "score": 0.5}, {"doc_id": "b", "score": 0.25}],
            **self.changes,
        }
        return {name: value for name, value in event.items() if value is not ...}


def results(*documents: Any) -> dict[str, Any]:
    return {"results": [{"doc_id": document} if isinstance(document, str) else document for document in documents]}


def scored(score: Any) -> dict[str, Any]:
    return results({"doc_id": "a", "score": score}, {"doc_id": "b", "score": 0.25})


def kept(*documents: tuple[str, Optional[float]], **more: Any) -> dict[str, Any]:
    return {"results": [{"doc_id": doc_id, "score": score} for doc_id, score in documents], **more}


UNKNOWN = kept(("a", None), ("b", 0.25), marks=["number.not_finite"])
OUTSIDE = "lies outside of the years 2000 to 2099"
CASES = [
    Case("plain", {}, kept(("a", 0.5), ("b", 0.25))),
    Case("empty", results(), kept()),
    Case("one document twice", results("a", "a"), kept(("a", None), ("a#2", None), marks=["doc_id.repeated"])),
    Case("NaN", scored(math.nan), UNKNOWN),
    Case("infinity", scored(math.inf), UNKNOWN),
    Case("minus infinity", scored(-math.inf), UNKNOWN),
    Case("no score", scored(None), kept(("a", None), ("b", 0.25))),
    Case("a score as a text", scored("0.5"), kept(("a", 0.5), ("b", 0.25))),
    Case("a score that is a word", scored("high"), refused=("results[0].score", "is the text \"high\"; expected a number")),
    Case("whole numbers as ids", results({"doc_id": 9007199254740993}), kept(("9007199254740993", None))),
    Case("an id without a text", results({"doc_id": ""}), refused=("results[0].doc_id", "is empty"), span=False),
    Case("documents as ids alone", {"results": ["a", "b"]}, kept(("a", None), ("b", None)), span=False),
    Case("ranks", results({"doc_id": "b", "rank": 2}, {"doc_id": "a", "rank": 1}), kept(("a", None), ("b", None)), span=False),
    Case("a rank twice", results({"doc_id": "b", "rank": 1}, {"doc_id": "a", "rank": 1}),
         refused=("results", "have the rank 1 twice"), span=False),
    Case("negative tokens", results({"doc_id": "a", "tokens": -1}),
         refused=("results[0].tokens", "expected a whole number that is not negative"), span=False),
    Case("another zone", {"occurred_at": "2026-11-18T10:30:00+01:00"}, {"occurred_at": AT}, span=False),
    Case("no zone", {"occurred_at": "2026-11-18T09:30:00"}, {"occurred_at": AT, "marks": ["time.assumed_utc"]}, span=False),
    Case("a space", {"occurred_at": "2026-11-18 09:30:00"}, {"occurred_at": AT, "marks": ["time.assumed_utc"]}, span=False),
    Case("seconds", {"occurred_at": 1795080600}, {"occurred_at": "2026-11-19T09:30:00Z"}, span=False),
    Case("milliseconds", {"occurred_at": 1795080600000}, {"occurred_at": "2026-11-19T09:30:00Z"}, span=False),
    Case("another millennium", {"occurred_at": "9999-01-01T00:00:00Z"}, refused=("occurred_at", OUTSIDE), span=False),
    Case("no time", {"occurred_at": "yesterday"}, refused=("occurred_at", "is not an RFC 3339 time"), span=False),
    Case("a query as a text", {"query": "why"}, {"results": kept(("a", 0.5), ("b", 0.25))["results"]}, span=False),
    Case("no query", {"query": {"text": " "}}, refused=("query", "has neither text nor fingerprint"), span=False),
    Case("no corpus", {"corpus": ...}, refused=("corpus", "is missing"), span=False),
    Case("a path", {"corpus": "../../etc"}, refused=("corpus", "has a `.`, `..` or empty part"), span=False),
    Case("an attempt 0", {"attempt": 0}, refused=("attempt", "is 0; the first attempt is 1")),
    Case("a segment", {"segment": {"locale": "de"}}, {"segment": {"locale": "de"}}),
    Case("attributes", {"attributes": {"a": [1, {"b": None}]}}, {"attributes": {"a": [1, {"b": None}]}}, span=False),
    Case("parameters", {"retriever": {"name": "faq", "params": {"ef": 128}}},
         {"retriever": {"name": "faq", "params": {"ef": 128}, "score_kind": "other"}}, span=False),
    Case("a kind of scores", {"retriever": {"score_kind": "warmth"}}, refused=("score_kind", "warmth"), span=True),
    Case("latency NaN", {"latency_ms": math.nan}, {"marks": ["number.not_finite"]}, span=False),
    Case("embedding NaN", {"query": {"fingerprint": "q", "embedding": [0.5, math.nan]}},
         {"query": {"fingerprint": "q"}, "marks": ["number.not_finite"]}, span=False),
]


def check(case: Case, event: Optional[dict], refusal: Optional[str], door: str) -> dict:
    """The event without what is its own, once it is what every door makes of it."""
    if case.refused:
        field, reason = case.refused
        assert refusal and field in refusal and reason in refusal, f"{door}: {case.name}: {refusal} {event}"
        return {}
    assert event, f"{door}: {case.name}: {refusal}"
    assert event.get("marks") == case.expected.get("marks"), f"{door}: {case.name}"
    for name, value in case.expected.items():
        assert event[name] == value, f"{door}: {case.name}"
    # Each store has a key of its own.
    asked = {name: value for name, value in event["query"].items() if not str(value).startswith("fp:")}
    return {**{name: value for name, value in event.items() if name not in OWN}, "query": asked}


def post(server, path: str, body: bytes, **headers: str) -> tuple[int, dict]:
    request = urllib.request.Request(server.url + path, data=body, method="POST", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def told(answer: dict) -> Optional[str]:
    [event] = answer["events"]
    return None if event["status"] == "accepted" else f"{event.get('field')} {event['reason']}"


def table(event: dict):
    """A row of plain columns, as a program without nested types has it."""
    import pyarrow as pa

    flat = {name: json.dumps(value) if isinstance(value, (dict, list)) else value for name, value in event.items()}
    return pa.table({name: [value] for name, value in flat.items()})


def stream(event: dict) -> bytes:
    import pyarrow as pa

    sink, rows = io.BytesIO(), table(event)
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def any_value(value: Any) -> dict:
    if isinstance(value, float):
        names = {math.inf: "Infinity", -math.inf: "-Infinity"}
        return {"doubleValue": "NaN" if math.isnan(value) else names.get(value, value)}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def span(event: dict) -> bytes:
    said = {"openinference.span.kind": "RETRIEVER", "rag.corpus.name": event["corpus"], "rag.retriever.name": "faq"}
    said["rag.query.fingerprint"] = event["query"]["fingerprint"]
    said.update({f"rag.segment.{key}": value for key, value in event.get("segment", {}).items()})
    said.update({"rag.attempt": event["attempt"]} if "attempt" in event else {})
    said.update({f"rag.{name.replace('_', '.')}": value for name, value in event.get("retriever", {}).items()})
    for place, document in enumerate(event["results"]):
        for name, field in [("doc_id", "id"), ("score", "score")]:
            if document.get(name) is not None:
                said[f"retrieval.documents.{place}.document.{field}"] = document[name]
    if not event["results"]:
        said["output.value"] = "[]"
    attributes = [{"key": key, "value": any_value(value)} for key, value in said.items()]
    ids = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": event["event_id"].removeprefix("OTLP").zfill(16)}
    one = {**ids, "name": "retrieve", "startTimeUnixNano": OTLP_NANOSECONDS, "endTimeUnixNano": OTLP_NANOSECONDS,
           "attributes": attributes}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}).encode()


@pytest.fixture(scope="module")
def doors(tidemark, tmp_path_factory):
    """Each case through each door: what was stored, or what was said."""
    import pyarrow.parquet

    from conftest import Server

    made: dict[str, dict[str, tuple[Optional[dict], Optional[str]]]] = {}
    directory = tmp_path_factory.mktemp("doors")
    for case in CASES:
        ways = made[case.name] = {}
        event = {"event_id": "e", **case.event}
        lines = directory / f"{case.name}.ndjson"
        lines.write_text(json.dumps(event) + "\n", encoding="utf-8")
        pyarrow.parquet.write_table(table(event), directory / f"{case.name}.parquet")
        for form in ("ndjson", "parquet"):
            store = directory / f"{case.name}-{form}"
            file = directory / f"{case.name}.{form}"
            code = 1 if case.refused else 0
            said = tidemark("import", file, data=store, code=code)
            stored = [json.loads(line) for line in tidemark("export", data=store).stdout.splitlines()]
            ways[form] = (stored[0] if stored else None, said.stdout if case.refused else None)
    for door in ("JSON", "Arrow", "OTLP"):
        server = Server(tidemark, directory / f"store-{door}")
        answers: dict[str, Optional[str]] = {}
        for number, case in enumerate(CASES):
            # A corpus of its own, so that each is found again; those that name a wrong one are refused anyway.
            event = {"event_id": f"{door}{number + 1}", **case.event}
            if event.get("corpus") == "wiki":
                event["corpus"] = f"wiki{number}"
            if door == "OTLP":
                if case.span:
                    status, answer = post(server, "/v1/traces", span(event), **{"content-type": "application/json"})
                    said = answer.get("partialSuccess", {}).get("errorMessage")
                    answers[case.name] = said.replace("rag.score.kind", "score_kind") if said else None
                continue
            body = json.dumps(event).encode() if door == "JSON" else stream(event)
            answers[case.name] = told(post(server, "/v1/retrievals", body)[1])
        stored = {event["corpus"]: {**event, "corpus": "wiki"} for event in server.events()}
        server.stop()
        for number, case in enumerate(CASES):
            if case.name in answers:
                made[case.name][door] = (stored.get(f"wiki{number}"), answers[case.name])
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_event_is_the_same_through_every_door(doors, case):
    made = {door: check(case, event, refusal, door) for door, (event, refusal) in doors[case.name].items()}
    assert len(made) == (5 if case.span else 4)
    of_span = made.pop("OTLP", {})
    for door, event in made.items():
        assert event == made["JSON"], door
    for name in {"results", "segment", "marks"} & set(of_span):
        assert of_span[name] == made["JSON"][name]


def test_tables_of_other_programs_hold_the_same_events(tidemark, tmp_path):
    expected = None
    files = sorted((DATA / "tables").iterdir(), key=lambda file: file.name != "duckdb.parquet")
    for file in files:
        if file.name == "half.parquet":
            said = tidemark("import", file, data=tmp_path / file.name, code=1).stderr
            assert "is compressed as BROTLI" in said and "use zstd, snappy, lz4_raw or gzip" in said
            continue
        tidemark("import", file, data=tmp_path / file.name)
        stored = [json.loads(line) for line in tidemark("export", data=tmp_path / file.name).stdout.splitlines()]
        of = sorted(
            (event["query"]["fingerprint"] is not None, event["occurred_at"][:16], [document["doc_id"].lstrip("d") for document in event["results"]])
            for event in stored
        )
        expected = expected or of
        assert len(of) == 240 and of == expected, file.name


def test_spans_of_other_programs_are_events_with_what_they_say(serve):
    server = serve()
    for file in sorted((DATA / "otlp").iterdir()):
        status, answer = post(server, "/v1/traces", file.read_bytes(), **{"content-type": "application/json"})
        assert (status, answer) == (200, {}), file.name
    found = {
        event["corpus"]: ([(document["doc_id"], document["score"]) for document in event["results"]], event.get("marks"))
        for event in server.events()
    }
    server.stop()
    ten = found.pop("order-of-ten")
    assert [doc_id for doc_id, _ in ten[0]] == [f"d{rank}" for rank in range(12)]
    assert found == {
        "blob-output-value": ([("a1", 0.9), ("b2", 0.7)], ["doc_id.output_value"]),
        "empty-genai-array": ([], None),
        "empty-oi-output": ([], None),
        "genai-nan-json": ([("a1", None), ("b2", None)], ["number.not_finite"]),
        "int-ids": ([("9007199254740993", 0.9), ("9007199254740992", 0.8)], None),
        "nan-score": ([("a1", None), ("b2", 0.5)], ["number.not_finite"]),
        "text-score": ([("a1", 0.91), ("b2", 0.5)], None),
    }


def test_runs_are_read_or_what_they_lack_is_said(tidemark, tmp_path):
    def run(name: str, code: int = 0):
        arguments = ("import", "--corpus", "cran", "--at", AT, DATA / "trec" / name)
        return tidemark(*arguments, data=tmp_path / name, code=code)

    assert "60 retrievals" in run("tabs-rank0.run").stdout
    assert "60 events doc_id.repeated" in run("dup-docs.run").stdout
    assert "1 events number.not_finite" in run("inf-score.run").stdout
    said = run("five-columns.run", code=1).stderr
    assert "looks like a run of TREC in which the sixth column" in said and "--format trec" in said


@pytest.mark.parametrize(("separator", "name"), [("\t", "tabs"), (",", "commas")])
def test_a_table_of_text_is_named_for_what_it_is(tidemark, tmp_path, separator, name):
    file = tmp_path / "events.txt"
    file.write_text(separator.join(["occurred_at", "corpus"]) + "\n" + separator.join([AT, "wiki"]) + "\n", encoding="utf-8")
    said = tidemark("import", file, data=tmp_path / "store", code=1).stderr
    assert f"looks like a table of text with 2 columns between {name}" in said and "--format parquet" in said
