"""The command line is an interface: exit codes, the contract's keys, the same answer twice, and pipes that close."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess

import pytest

WEEK_1, WEEK_2, WEEK_3 = "2026-10-01..2026-10-08", "2026-10-08..2026-10-15", "2026-10-15..2026-10-22"

# Windows, and the exit code that they must give.
VERDICTS = [
    pytest.param("2026-10-01..2026-10-04", "2026-10-04..2026-10-08", 0, id="two halves of one week are stable"),
    pytest.param(WEEK_1, WEEK_2, 3, id="a declared change is drift"),
    pytest.param(WEEK_2, WEEK_3, 3, id="a silent change is drift"),
    pytest.param("version:v1", "version:v2", 3, id="versions select as times do"),
    pytest.param("2026-10-01..2026-10-01T12:00:00Z", "2026-10-01T12:00:00Z..2026-10-02", 4, id="half a day is too little"),
]

WINDOW = {"selector", "from", "to", "events", "queries", "corpus_versions", "table_version"}
RETRIEVAL = {
    "verdict", "matched_queries", "mean_rbo", "mean_jaccard", "mean_kendall_top_k", "noise_floor", "excess_change",
    "interval", "p_value", "scores",
}
DOCUMENT = {"doc_id", "change", "reference_rank", "current_rank", "reference_score", "current_score", "cause"}
ESCAPE = "\x1b"


@pytest.fixture(scope="session")
def compare(tidemark, demo):
    def run(reference, current, code, *more, form="json"):
        windows = ["--corpus", "cran", "--reference", reference, "--current", current]
        return tidemark("compare", *windows, "--format", form, *more, data=demo.data, code=code)

    return run


@pytest.mark.parametrize(("reference", "current", "code"), VERDICTS)
def test_the_exit_code_is_the_verdict(reference, current, code, compare):
    judged = compare(reference, current, code).json["retrieval"]
    verdicts = {judged["verdict"], judged["scores"]["verdict"]}
    if code == 0:
        assert verdicts == {"stable"}
    elif code == 3:
        assert "drift" in verdicts
    else:
        assert "insufficient_evidence" in verdicts and "drift" not in verdicts


@pytest.mark.parametrize("form", ["text", "markdown"])
@pytest.mark.parametrize(("reference", "current", "code"), VERDICTS)
def test_the_exit_code_does_not_depend_on_the_form_of_the_report(reference, current, code, form, compare):
    compare(reference, current, code, form=form)


def test_fail_on_chooses_what_decides(compare):
    report = compare(WEEK_1, WEEK_2, 3).json
    assert (report["retrieval"]["verdict"], report["retrieval"]["scores"]["verdict"]) == ("drift", "stable")
    compare(WEEK_1, WEEK_2, 0, "--fail-on", "scores")
    compare(WEEK_1, WEEK_2, 3, "--fail-on", "scores,retrieval")
    compare(WEEK_1, WEEK_2, 2, "--fail-on", "nonsense")


@pytest.mark.parametrize(
    "selector",
    ["nonsense", "", "..", "2026-10-08..2026-10-01", "2026-10-01..", "2026-13-01..2026-14-01", "last:", "last:7", "last:-1d", "version:"],
)
def test_a_selector_that_is_nonsense_is_wrong_usage(selector, compare):
    for reference, current in ((selector, WEEK_1), (WEEK_1, selector)):
        refused = compare(reference, current, 2)
        assert refused.stdout == ""
        assert refused.stderr.startswith("error: ") and "hint: " in refused.stderr


def test_an_empty_window_is_an_error_and_no_verdict(compare):
    for reference, current in ((WEEK_1, "2031-01-01..2031-02-01"), ("version:v9", "version:v1")):
        assert "holds no retrieval" in compare(reference, current, 1).stderr


def test_a_report_has_the_keys_of_the_contract(compare):
    report = compare(WEEK_1, WEEK_2, 3).json
    assert {"id", "corpus", "created_at", "reference", "current", "retrieval", "causes", "queries", "notes"} <= report.keys()
    assert report["id"].startswith("cmp_") and report["corpus"] == "cran"
    for side, selector, version in (("reference", WEEK_1, "v1"), ("current", WEEK_2, "v2")):
        assert WINDOW <= report[side].keys()
        assert (report[side]["selector"], report[side]["corpus_versions"]) == (selector, [version])
    assert RETRIEVAL <= report["retrieval"].keys()
    assert {"verdict", "shift", "scale", "order_agreement"} <= report["retrieval"]["scores"].keys()
    low, high = report["retrieval"]["interval"]
    assert 0 < low <= report["retrieval"]["excess_change"] <= high < 1
    for cause in report["causes"]:
        assert {"cause", "affects", "share", "declared", "evidence"} <= cause.keys()
    assert report["queries"]
    for query in report["queries"]:
        assert {"fingerprint", "rbo", "reference_trace", "current_trace"} <= query.keys()


@pytest.mark.parametrize("weeks", [(WEEK_1, WEEK_2), (WEEK_2, WEEK_3)])
def test_shares_of_a_dimension_add_up_to_the_whole_in_order(weeks, compare):
    """INV-09: cause shares add up to the whole change."""
    shares: dict[str, list[float]] = {}
    for cause in compare(*weeks, 3).json["causes"]:
        shares.setdefault(cause["affects"], []).append(cause["share"])
    assert "ranking" in shares
    for parts in shares.values():
        assert sum(parts) == pytest.approx(1, abs=1e-9)
        assert parts == sorted(parts, reverse=True)
    order = ["ranking", "scores", "traffic", "identity"]
    assert list(shares) == [affected for affected in order if affected in shares]


def test_a_window_is_not_compared_with_itself(compare):
    refused = compare(WEEK_1, WEEK_1, 2)
    assert "overlap" in refused.stderr and "before:7d" in refused.stderr


def test_equal_windows_have_no_cause(compare):
    report = compare("2026-10-01..2026-10-04", "2026-10-04..2026-10-08", 0).json
    assert (report["causes"], report["queries"]) == ([], [])
    assert report["retrieval"]["mean_jaccard"] == 1


@pytest.mark.parametrize("weeks", [(WEEK_1, WEEK_2), (WEEK_2, WEEK_3)])
def test_the_same_comparison_gives_the_same_bytes(weeks, compare):
    """INV-08: a verdict recomputes to the same bytes, apart from the time of the report."""

    def timeless() -> str:
        text, replaced = re.subn(r'"created_at": "[^"]+"', '"created_at": null', compare(*weeks, 3).stdout)
        assert replaced == 1
        return text

    first = timeless()
    assert all(timeless() == first for _ in range(3))


def test_a_corpus_diff_counts_documents(tidemark, demo):
    diff = tidemark("corpus", "diff", "cran", "v1", "v2", "--format", "json", data=demo.data).json
    counts = {kind: diff[kind] for kind in ("added", "removed", "modified", "unchanged")}
    assert counts == {"added": 70, "removed": 170, "modified": 140, "unchanged": 1020}
    assert {"added", "removed", "modified"} <= diff["examples"].keys()
    back = tidemark("corpus", "diff", "cran", "v2", "v1", "--format", "json", data=demo.data).json
    assert (back["added"], back["removed"], back["modified"]) == (diff["removed"], diff["added"], diff["modified"])


def test_a_version_that_is_not_registered_is_an_error_that_lists_those_that_are(tidemark, demo):
    refused = tidemark("corpus", "diff", "cran", "v1", "v9", data=demo.data, code=1)
    assert "v9" in refused.stderr and "v1, v2" in refused.stderr


@pytest.mark.parametrize(("weeks", "cause"), [((WEEK_1, WEEK_2), "corpus_removed"), ((WEEK_2, WEEK_3), "embedding")])
def test_a_trace_is_diffed_document_by_document(weeks, cause, compare, tidemark, demo, recording):
    query = compare(*weeks, 3).json["queries"][0]
    traces = [query["current_trace"], query["reference_trace"]]
    diff = tidemark("diff", *traces, "--format", "json", data=demo.data).json
    assert {"rbo", "documents"} <= diff.keys()
    assert all(document.keys() >= DOCUMENT for document in diff["documents"])
    assert diff["rbo"] == pytest.approx(query["rbo"])
    assert cause in {document["cause"] for document in diff["documents"]}

    by_trace = {event["trace_id"]: event["results"] for event in recording["retrievals"]}
    for side, trace in zip(("current", "reference"), traces):
        found = {d[f"{side}_rank"]: (d["doc_id"], d[f"{side}_score"]) for d in diff["documents"] if d[f"{side}_rank"]}
        expected = {i: (result["doc_id"], result["score"]) for i, result in enumerate(by_trace[trace], start=1)}
        assert found == expected
    for document in diff["documents"]:
        before, now = document["reference_rank"], document["current_rank"]
        change = "entered" if before is None else "left" if now is None else "same" if before == now else "moved"
        assert document["change"] == change


def test_one_trace_is_compared_with_what_its_query_got_before(compare, tidemark, demo):
    trace = compare(WEEK_2, WEEK_3, 3).json["queries"][0]["current_trace"]
    diff = tidemark("diff", trace, "--format", "json", data=demo.data).json
    assert diff["reference"]["occurred_at"] < diff["current"]["occurred_at"]
    assert diff["reference"]["fingerprint"] == diff["current"]["fingerprint"]
    assert "hint:" in tidemark("diff", "0" * 31 + "1", data=demo.data, code=1).stderr


COMMANDS = {
    "help": ["--help"],
    "compare": ["compare", "--corpus", "cran", "--reference", WEEK_1, "--current", WEEK_2],
    "corpus diff": ["corpus", "diff", "cran", "v1", "v2"],
    "corpus list": ["corpus", "list"],
    "doctor": ["doctor"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_piped_output_has_no_escape_sequences(name, tidemark, demo):
    ended = tidemark(*COMMANDS[name], data=demo.data, code=3 if name == "compare" else 0)
    assert ESCAPE not in ended.stdout + ended.stderr


def test_piped_output_of_the_demo_has_no_escape_sequences(demo):
    assert ESCAPE not in demo.printed


def on_a_terminal(tidemark, *arguments, data, **environment) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = tidemark.environment(TERM="xterm-256color", **environment)
    command = tidemark.command(*arguments, data=data)
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=subprocess.PIPE) as child:
        os.close(theirs)
        written = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux's way to say that the other side is closed.
                break
            if not piece:
                break
            written += piece
        os.close(ours)
        assert child.wait(timeout=60) == 0
    return written.decode("utf-8")


def test_no_color_is_respected_on_a_terminal(tidemark, tmp_path):
    """The demo, because it prints everything that has colours."""
    assert ESCAPE in on_a_terminal(tidemark, "demo", data=tmp_path / "store")
    assert ESCAPE not in on_a_terminal(tidemark, "demo", data=tmp_path / "store", NO_COLOR="1")


@pytest.mark.parametrize("kind", ["retrievals", "outputs"])
def test_a_reader_that_has_seen_enough_is_no_failure(kind, tidemark, demo):
    """The reader reads a little, closes the pipe while there is more to come, and hears no complaint."""
    command = tidemark.command("export", "--kind", kind, data=demo.data)
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=tidemark.environment(), **piped) as child:
        assert child.stdout.read(1) == b"{"
        child.stdout.close()
        said = child.stderr.read().decode("utf-8")
        assert (child.wait(timeout=60), said) == (0, "")


def test_the_first_line_of_an_export_is_a_whole_event(tidemark, demo, recording):
    script = 'set -o pipefail; "$@" | head -n 1'
    shell = ["bash", "-c", script, "bash", *tidemark.command("export", data=demo.data)]
    ended = subprocess.run(shell, env=tidemark.environment(), capture_output=True, encoding="utf-8", check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["event_id"] in {event["event_id"] for event in recording["retrievals"]}
