"""Runs of TREC: what goes in comes out, and two runs compare as independent implementations compare them."""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest

RUNS = Path(__file__).resolve().parents[1] / "data" / "trec"
GOLDEN = Path(__file__).resolve().parents[2] / "analyzer" / "stats" / "tests" / "golden" / "statistics.json"
NAMES = ["cranfield-english_bm25", "cranfield-standard_classic"]
P = 0.9

needs_new_python = pytest.mark.skipif(sys.version_info < (3, 11), reason="ranx and rbo are pinned for Python 3.11 and later")


def text_of(name: str) -> str:
    with gzip.open(RUNS / f"{name}.run.gz", "rt", encoding="utf-8") as lines:
        return lines.read()


def rankings(run: str) -> dict[str, list[tuple[str, float]]]:
    """The documents of each query in the order of their ranks, with their scores."""
    queries = defaultdict(list)
    for line in run.splitlines():
        query, _, document, rank, score, _tag = line.split()
        queries[query].append((int(rank), document, float(score)))
    return {query: [(document, score) for _, document, score in sorted(lines)] for query, lines in queries.items()}


def import_run(tidemark, data, path: Path, version: str, day: int) -> str:
    told = ["--corpus", "cran", "--corpus-version", version, "--at", f"2026-10-{day:02}T00:00:00Z"]
    return tidemark("import", *told, path, data=data).stdout


def compared(tidemark, data, code: int) -> dict:
    windows = ["--corpus", "cran", "--reference", "version:v1", "--current", "version:v2"]
    report = tidemark("compare", *windows, "--format", "json", "--fail-on", "integrity", data=data, code=code).stdout
    return json.loads(report)["retrieval"]


def comparison(tidemark, directory: Path, runs: list[str], code: int = 0) -> dict:
    for place, run in enumerate(runs, start=1):
        path = directory / f"{place}.run"
        path.write_text(run, encoding="utf-8")
        import_run(tidemark, directory / "store", path, f"v{place}", place)
    return compared(tidemark, directory / "store", code)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_is_imported_exported_and_imported_again_is_the_same(name, tidemark, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert "225 retrievals" in import_run(tidemark, first, RUNS / f"{name}.run.gz", "v1", 1)
    exported = tmp_path / "exported.run"
    tidemark("export", "--corpus", "cran", "--format", "trec", "--output", exported, data=first)
    assert rankings(exported.read_text(encoding="utf-8")) == rankings(text_of(name))
    import_run(tidemark, second, exported, "v1", 1)
    again = tidemark("export", "--corpus", "cran", "--format", "trec", data=second).stdout
    assert again == exported.read_text(encoding="utf-8")
    assert "0 retrievals, 0 outputs" in import_run(tidemark, second, exported, "v1", 1)
    events = [tidemark("export", "--corpus", "cran", data=data).stdout for data in (first, second)]
    assert sorted(events[0].splitlines()) == sorted(events[1].splitlines())


@needs_new_python
def test_the_jaccard_of_two_runs_is_that_of_ranx(tidemark, tmp_path):
    from ranx import Qrels, Run, evaluate

    runs = [text_of(name) for name in NAMES]
    report = comparison(tidemark, tmp_path, runs)
    first, second = ({q: dict(documents) for q, documents in rankings(run).items()} for run in runs)
    relevant = Qrels({query: dict.fromkeys(documents, 1) for query, documents in first.items()})
    # Of two sets, one taken as what is relevant to the other: J = F1 / (2 - F1).
    f1 = evaluate(relevant, Run(second), "f1", return_mean=False)
    assert report["matched_queries"] == 225
    assert report["mean_jaccard"] == pytest.approx(fmean(score / (2 - score) for score in f1), rel=1e-9)


@needs_new_python
def test_the_rbo_of_two_runs_without_ties_is_that_of_the_package_rbo(tidemark, tmp_path):
    import rbo

    first, second = (rankings(text_of(name)) for name in NAMES)
    tied = {q for run in (first, second) for q, found in run.items() if len({score for _, score in found}) < len(found)}
    free = [query for query in first if query not in tied]
    assert len(free) == 150

    def lines(run):
        return "".join(
            f"{query} Q0 {document} {rank} {score} t\n"
            for query in free for rank, (document, score) in enumerate(run[query], start=1)
        )

    report = comparison(tidemark, tmp_path, [lines(first), lines(second)])
    ids = lambda run, query: [document for document, _ in run[query]]  # noqa: E731
    expected = [rbo.RankingSimilarity(ids(first, query), ids(second, query)).rbo_ext(p=P) for query in free]
    assert report["matched_queries"] == 150
    assert report["mean_rbo"] == pytest.approx(fmean(expected), rel=1e-9)


def test_the_rbo_of_two_runs_with_ties_is_the_golden_one(tidemark, tmp_path):
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
    tied = [case for case in cases if case["fn"] == "rbo_ext_tied" and case["inputs"]["p"] == P]
    assert tied

    def lines(side):
        return "".join(
            f"q{number} Q0 {document} {rank} {score} t\n"
            for number, case in enumerate(tied) for rank, (document, score) in enumerate(case["inputs"][side], start=1)
        )

    # So few queries are no evidence for a verdict; the mean is told all the same.
    report = comparison(tidemark, tmp_path, [lines("a"), lines("b")])
    assert report["mean_rbo"] == pytest.approx(fmean(case["expected"] for case in tied), rel=1e-9)


def judged(run: str) -> str:
    """Judgements made up from a run: the third and the fifth document of each query, and one that it does not have."""
    lines = []
    for query, documents in rankings(run).items():
        lines += [f"{query} 0 {documents[2][0]} 2", f"{query} 0 {documents[4][0]} 1", f"{query} 0 elsewhere 1"]
    return "\n".join(lines)


@needs_new_python
def test_judgements_give_the_measures_that_ranx_gives(tidemark, tmp_path):
    from ranx import Qrels, Run, evaluate

    runs = [text_of(name) for name in NAMES]
    qrels = tmp_path / "qrels.txt"
    qrels.write_text(judged(runs[0]), encoding="utf-8")
    told = tidemark("import", "--format", "qrels", "--corpus", "cran", qrels, data=tmp_path / "store").stdout
    assert told.endswith("675 judgements of 225 queries\n")
    for place, run in enumerate(runs, start=1):
        path = tmp_path / f"{place}.run"
        path.write_text(run, encoding="utf-8")
        import_run(tidemark, tmp_path / "store", path, f"v{place}", place)
    windows = ["--corpus", "cran", "--reference", "version:v1", "--current", "version:v2", "--fail-on", "integrity"]
    report = json.loads(tidemark("compare", *windows, "--format", "json", data=tmp_path / "store").stdout)["relevance"]
    assert report["queries"] == 225
    relevant = Qrels.from_dict({
        query: {line.split()[2]: int(line.split()[3]) for line in judged(runs[0]).splitlines() if line.split()[0] == query}
        for query in rankings(runs[0])
    })
    names = {"ndcg_at_10": "ndcg@10", "recall_at_10": "recall@10", "reciprocal_rank": "mrr"}
    assert [measure["name"] for measure in report["measures"]] == list(names)
    for measure in report["measures"]:
        for side, run in zip(("reference", "current"), runs):
            # In the order that was served: ranx sorts by score, and documents with the same score stand as they like.
            served = {q: {d: -rank for rank, (d, _) in enumerate(found)} for q, found in rankings(run).items()}
            expected = evaluate(relevant, Run.from_dict(served), names[measure["name"]])
            assert measure[side] == pytest.approx(expected, rel=1e-9), (measure["name"], side)
    printed = tidemark("compare", *windows, data=tmp_path / "store").stdout
    assert "nDCG@10" in printed and "225 judged queries" in printed


def put(tidemark, directory: Path, content, version: str = "v1", day: int = 1, code: int = 0) -> str:
    path = directory / f"{version}-{day}.run"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told = ["--corpus", "cran", "--corpus-version", version, "--at", f"2026-10-{day:02}T00:00:00Z"]
    return tidemark("import", "--format", "trec", *told, path, data=directory / "store", code=code).stdout


def run_of(tidemark, directory: Path, *more: str):
    return tidemark("export", "--format", "trec", *more, data=directory / "store")


def refused(tidemark, directory: Path, *more: str, code: int = 2) -> str:
    output = directory / "refused.run"
    said = tidemark("export", "--format", "trec", "--output", output, *more, data=directory / "store", code=code).stderr
    assert not output.exists()
    return said


def put_events(tidemark, directory: Path, *events: dict) -> None:
    of_all = {"occurred_at": "2026-10-01T00:00:00Z", "corpus": "cran", "corpus_version": "v1"}
    lines = "".join(json.dumps({**of_all, **event}) + "\n" for event in events)
    tidemark("import", "-", data=directory / "store", stdin=lines)


def event(query: str, *scores, kind: str = "cosine") -> dict:
    results = [{"doc_id": f"d{i}", "score": score} for i, score in enumerate(scores)]
    return {"query": {"fingerprint": query}, "retriever": {"name": "t", "score_kind": kind}, "results": results}


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_runs_and_judgements_are_read_compressed(codec, tidemark, tmp_path):
    import pyarrow

    def compressed(text: str) -> bytes:
        return gzip.compress(text.encode()) if codec == "gzip" else pyarrow.compress(text.encode(), codec="zstd", asbytes=True)

    assert "225 retrievals" in put(tidemark, tmp_path, compressed(text_of(NAMES[0])))
    qrels = tmp_path / "qrels"
    qrels.write_bytes(compressed("\ufeff1 0 184 2\n1 0 29 0\n"))
    told = tidemark("import", "--format", "qrels", "--corpus", "cran", qrels, data=tmp_path / "store").stdout
    assert told.endswith("2 judgements of 1 queries\n")


def test_tags_exponents_and_negative_scores_go_through(tidemark, tmp_path):
    run = "1 Q0 a 1 -1e-3 dense\n1 Q0 b 2 -2.5E2 dense\n1 Q0 a 1 1.5e3 bm25\n2 Q0 c 1 7 bm25\n"
    assert "3 retrievals" in put(tidemark, tmp_path, run)
    exported = run_of(tidemark, tmp_path).stdout
    assert sorted(exported.splitlines()) == [
        "1 Q0 a 1 -0.001 dense", "1 Q0 a 1 1500 bm25", "1 Q0 b 2 -250 dense", "2 Q0 c 1 7 bm25",
    ]


def test_a_byte_order_mark_is_no_part_of_a_query_and_other_bytes_are_refused_by_their_line(tidemark, tmp_path):
    run = b"\xef\xbb\xbf1 Q0 a 1 2 t\n1 Q0 caf\xe9 2 1 t\n"
    said = put(tidemark, tmp_path, run, code=1)
    assert "1 retrievals" in said and ".run:2: is not UTF-8" in said
    assert run_of(tidemark, tmp_path).stdout == "1 Q0 a 1 2 t\n"


def test_a_run_deeper_than_the_limit_is_cut_and_is_the_same_event_when_it_comes_back(tidemark, tmp_path):
    run = "".join(f"1 Q0 d{rank} {rank} {5000 - rank} t\n" for rank in range(1, 1_501))
    assert "500 results cut off" in put(tidemark, tmp_path, run)
    exported = run_of(tidemark, tmp_path).stdout
    assert len(exported.splitlines()) == 1_000
    assert "0 retrievals, 0 outputs" in put(tidemark, tmp_path, exported)
    assert "0 retrievals, 0 outputs" in put(tidemark, tmp_path, run)


def test_many_lines_that_are_wrong_are_counted(tidemark, tmp_path):
    said = put(tidemark, tmp_path, "1 Q0 a 1 2 t\n" + "1 Q0 a\n" * 50_000, code=1)
    assert "1 retrievals" in said and "50,000 refused" in said and "and 49,980 more" in said


def test_a_run_is_of_one_version_and_of_one_corpus(tidemark, tmp_path):
    put(tidemark, tmp_path, "1 Q0 a 1 2 t\n", "v1")
    put(tidemark, tmp_path, "1 Q0 b 1 2 t\n", "v2")
    said = refused(tidemark, tmp_path)
    assert "the query 1 was asked of version v" in said and "add --corpus-version" in said
    assert run_of(tidemark, tmp_path, "--corpus-version", "v1").stdout == "1 Q0 a 1 2 t\n"
    assert run_of(tidemark, tmp_path, "--corpus-version", "v2").stdout == "1 Q0 b 1 2 t\n"
    lines = tidemark("export", "--corpus-version", "v2", data=tmp_path / "store").stdout.splitlines()
    assert [json.loads(line)["corpus_version"] for line in lines] == ["v2"]
    put_events(tidemark, tmp_path, {**event("2", 1), "corpus": "med"})
    assert "add --corpus NAME" in refused(tidemark, tmp_path, "--corpus-version", "v1")


def test_distances_are_negated_and_that_is_told(tidemark, tmp_path):
    put_events(tidemark, tmp_path, event("1", 0, 0.25, 2, kind="distance"))
    exported = run_of(tidemark, tmp_path)
    assert exported.stdout == "1 Q0 d0 1 0 t\n1 Q0 d1 2 -0.25 t\n1 Q0 d2 3 -2 t\n"
    assert "1 retrievals have distances; they are written negated" in exported.stderr


def test_scores_that_do_not_follow_the_ranks_are_written_only_when_that_is_asked_for(tidemark, tmp_path):
    put_events(tidemark, tmp_path, event("1", 0.5, 0.75))
    said = refused(tidemark, tmp_path)
    assert "of the query 1 do not descend with the ranks" in said and "add --scores rank" in said
    assert run_of(tidemark, tmp_path, "--scores", "rank").stdout == "1 Q0 d0 1 2 t\n1 Q0 d1 2 1 t\n"
    assert "--format trec" in tidemark("export", "--scores", "rank", data=tmp_path / "store", code=2).stderr


def test_a_retrieval_without_scores_gets_them_from_its_ranks_and_that_is_told(tidemark, tmp_path):
    put_events(tidemark, tmp_path, event("1", 0.5, None), event("2", 0.75))
    exported = run_of(tidemark, tmp_path)
    assert exported.stdout == "1 Q0 d0 1 2 t\n1 Q0 d1 2 1 t\n2 Q0 d0 1 0.75 t\n"
    assert "1 retrievals lack scores" in exported.stderr
    assert "of the query 1 has a document without a score" in refused(tidemark, tmp_path, "--scores", "given")
