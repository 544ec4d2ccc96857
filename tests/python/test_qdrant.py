"""`RecordedQdrant` against the engine of Qdrant: the embedded one, behind the gRPC service that its client speaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent import futures
from pathlib import Path

import pytest
from conftest import ROOT

if sys.version_info < (3, 11):
    pytest.skip("Qdrant is pinned for Python 3.11 and later", allow_module_level=True)

import grpc
import qdrant_edge as edge
from qdrant_client import grpc as qdrant

TENANTS = ["a", "b", "a", "a", "b", "a", "a"]


def shard(directory: Path) -> edge.EdgeShard:
    config = edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=2, distance=edge.Distance.Cosine))
    directory.mkdir()
    created = edge.EdgeShard.create(str(directory), config)
    for number, tenant in enumerate(TENANTS):
        point = edge.Point(number, [0.1 * number, 1.0], {"tenant": tenant})
        created.update(edge.UpdateOperation.upsert_points([point]))
    return created


def conditions(message) -> list:
    """A filter of `match any` conditions, the only ones that are sent here."""
    return [edge.FieldCondition(one.field.key, match=edge.MatchAny(list(one.field.match.keywords.strings))) for one in message.must]


class Points(qdrant.PointsServicer):
    def __init__(self, points: edge.EdgeShard) -> None:
        self.points, self.asked = points, []

    def Query(self, request, context):
        if request.collection_name != "handbook":
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no collection {request.collection_name}")
        self.asked.append(request)
        found = self.points.query(
            edge.QueryRequest(
                limit=request.limit,
                offset=request.offset,
                query=edge.Query.Nearest(list(request.query.nearest.dense.data)),
                filter=edge.Filter(must=conditions(request.filter)),
            )
        )
        points = [
            qdrant.ScoredPoint(id=qdrant.PointId(num=point.id), score=point.score, version=point.version) for point in found
        ]
        return qdrant.QueryResponse(result=points)

    def QueryBatch(self, request, context):
        answers = [self.Query(query, context) for query in request.query_points]
        return qdrant.QueryBatchResponse(result=[qdrant.BatchResult(result=answer.result) for answer in answers])


@pytest.fixture
def engine(tmp_path):
    service = Points(shard(tmp_path / "shard"))
    server = grpc.server(futures.ThreadPoolExecutor(2))
    qdrant.add_PointsServicer_to_server(service, server)
    service.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(None)


def example() -> Path:
    command = [os.environ.get("CARGO", "cargo"), "build", "--locked", "-p", "tidemark-client", "--features", "qdrant"]
    built = subprocess.run(
        [*command, "--example", "recorded_qdrant", "--message-format=json-render-diagnostics"],
        cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", check=True,
    )
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return Path([message["executable"] for message in messages if message.get("executable")][-1])


def documents(event: dict) -> list:
    return [(document["doc_id"], document["score"]) for document in event["results"]]


def test_a_query_is_bounded_before_it_leaves_and_recorded_as_it_was_answered(engine, serve, tidemark):
    server = serve("--text", "full")
    ended = subprocess.run(
        [example(), engine.url, server.url], env=tidemark.environment(), capture_output=True, encoding="utf-8", timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    limits = [(asked.limit, asked.offset) for asked in engine.asked]
    assert limits == [(3, 0), (2, 0), (2, 1)], "fifty were asked for, and what an offset leaves out counts too"
    *_, refused, failed, counted = ended.stdout.splitlines()
    assert "may not name points by their id" in refused
    assert "there is no collection nowhere" in failed
    assert counted == "1 failed, 1 refused"
    expected = engine.points.query(
        edge.QueryRequest(
            limit=3,
            query=edge.Query.Nearest([0.1, 0.9]),
            filter=edge.Filter(must=[edge.FieldCondition("tenant", match=edge.MatchAny(["a"]))]),
        )
    )
    events = {event["query"]["text"]: event for event in server.events()}
    assert len(events) == 3
    event = events["how do I reset my badge"]
    found = documents(event)
    assert found == [(str(point.id), pytest.approx(point.score, rel=1e-6)) for point in expected]
    assert {TENANTS[int(doc_id)] for doc_id, _ in found} == {"a"}
    assert event["attributes"]["point_versions"] == [point.version for point in expected]
    assert event["marks"] == ["bound.top_k"]
    assert event["requested"]["top_k"] == 3 and event["requested"]["scope"] == ["a"]
    assert event["retriever"]["index"] == "handbook"
    assert event["query"]["embedding"] == [pytest.approx(0.1), pytest.approx(0.9)]
    first, second = events["who has a badge"], events["who has none"]
    assert (documents(first), documents(second)) == (found[:2], found[1:])
    assert ("marks" not in first or first["marks"] == []) and second["marks"] == ["bound.top_k"]
