"""What went in comes out, and goes in again: export and import lose nothing and repeat nothing."""

from __future__ import annotations

import json
import struct

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
