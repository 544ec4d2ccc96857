"""The first thing anybody sees: the demo says that two things changed, why, and what to type next."""

from __future__ import annotations

import json
import re
import shlex


def weeks(demo) -> list[str]:
    return re.findall(r"^ *week \d to \d: .*$", demo.printed, re.MULTILINE)


def report(demo, weeks: str) -> dict:
    return json.loads((demo.data / "reports" / f"{weeks}.json").read_text(encoding="utf-8"))


def test_the_declared_change_and_the_silent_one_are_both_named(demo):
    declared, silent = weeks(demo)
    assert "drift" in declared and "DECLARED" in declared and "corpus_removed" in declared
    assert "SILENT" not in declared
    assert "drift" in silent and "SILENT" in silent and "embedding" in silent
    assert "DECLARED" not in silent


def test_the_reports_beside_the_store_say_the_same(demo):
    declared, silent = report(demo, "week-1-to-2"), report(demo, "week-2-to-3")
    first = declared["causes"][0]
    assert (first["cause"], first["affects"], first["declared"]) == ("corpus_removed", "ranking", True)
    first = silent["causes"][0]
    assert (first["cause"], first["affects"], first["declared"]) == ("embedding", "ranking", False)
    assert silent["reference"]["corpus_versions"] == silent["current"]["corpus_versions"] == ["v2"]


def test_what_to_type_next_works(demo, tidemark):
    """The lines are made to be copied, so they are run; all but `serve`, which does not end."""
    after = demo.printed.split("Next, type", 1)[1]
    lines = [line for line in after.splitlines() if line.strip().startswith("tidemark ")]
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert [name for command in commands for name in command if name in ("compare", "corpus", "diff", "doctor", "serve")]
    for command in commands:
        if "serve" not in command:
            assert tidemark(*command, code=3 if "compare" in command else 0).stdout.strip()


def test_the_demo_makes_its_own_store_anew_and_touches_no_other(tidemark, tmp_path):
    own = tmp_path / "own"
    tidemark("demo", data=own)
    (own / "left-behind").write_text("")
    tidemark("demo", data=own)
    assert not (own / "left-behind").exists()

    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("kept")
    refused = tidemark("demo", data=other, code=1)
    assert "hint:" in refused.stderr
    assert [path.name for path in other.iterdir()] == ["precious"]
