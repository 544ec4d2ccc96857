"""The table is open: Polars, the deltalake package and DuckDB read what the demo wrote, and all read the same."""

from __future__ import annotations

import uuid
from datetime import date

import deltalake
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

TABLES = ["retrievals", "outputs"]
SORTED_BY = {"retrievals": ["query_fingerprint", "occurred_at"], "outputs": ["operation_id", "occurred_at"]}
PARTITIONED_BY = {"retrievals": ["corpus", "event_date"], "outputs": ["event_date"]}


class Polars:
    """`scan_delta`, lazily."""

    def __init__(self, path: str):
        self.rows = pl.scan_delta(path)

    def ids(self) -> list[bytes]:
        return self.rows.select("event_id").collect()["event_id"].to_list()

    def results(self, event: bytes) -> list[tuple]:
        ranked = self.rows.filter(pl.col("event_id") == event).select("results").explode("results").unnest("results")
        return ranked.sort("rank").select("doc_id", "score").collect().rows()

    def segment(self, event: bytes) -> dict:
        return as_dict(self.rows.filter(pl.col("event_id") == event).select("segment").collect()["segment"].to_list()[0])


class DeltaLake:
    """The `deltalake` package, into Arrow."""

    def __init__(self, path: str):
        self.rows = deltalake.DeltaTable(path).to_pyarrow_table()

    def ids(self) -> list[bytes]:
        return self.rows["event_id"].to_pylist()

    def results(self, event: bytes) -> list[tuple]:
        of_event = self.rows.filter(pc.equal(self.rows["event_id"], pa.scalar(event, pa.binary())))
        flat = pa.Table.from_struct_array(pc.list_flatten(of_event["results"].combine_chunks())).sort_by("rank")
        return list(zip(flat["doc_id"].to_pylist(), flat["score"].to_pylist()))

    def segment(self, event: bytes) -> dict:
        of_event = self.rows.filter(pc.equal(self.rows["event_id"], pa.scalar(event, pa.binary())))
        return as_dict(of_event["segment"].to_pylist()[0])


class DuckDB:
    """SQL over the `deltalake` package's dataset."""

    def __init__(self, path: str):
        self.connection = duckdb.connect()
        self.connection.register("events", deltalake.DeltaTable(path).to_pyarrow_dataset())

    def query(self, sql: str, *parameters) -> list[tuple]:
        return self.connection.execute(sql, list(parameters)).fetchall()

    def ids(self) -> list[bytes]:
        return [bytes(row[0]) for row in self.query("SELECT event_id FROM events")]

    def results(self, event: bytes) -> list[tuple]:
        flat = "SELECT unnest(results) AS r FROM events WHERE event_id = ?"
        return self.query(f"SELECT r.doc_id, r.score FROM ({flat}) ORDER BY r.rank", event)

    def segment(self, event: bytes) -> dict:
        return as_dict(self.query("SELECT segment FROM events WHERE event_id = ?", event)[0][0])


READERS = [Polars, DeltaLake, DuckDB]


def as_dict(entries) -> dict:
    """A map as a dictionary; older readers give a list of its entries."""
    if isinstance(entries, dict):
        return entries
    return dict((entry["key"], entry["value"]) if isinstance(entry, dict) else entry for entry in entries)


def id_of(event: dict) -> bytes:
    return uuid.UUID(event["event_id"]).bytes


def parquet_files(path: str) -> list:
    """The files of the table, opened; by its log, not by what lies in the directory."""
    fragments = deltalake.DeltaTable(path).to_pyarrow_dataset().get_fragments()
    return [pq.ParquetFile(fragment.open()) for fragment in fragments]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_sees_each_event_of_the_recording_once(reader, table, demo, recording):
    """INV-02, seen from outside."""
    ids = reader(demo.table(table)).ids()
    assert len(ids) == len(recording[table])
    assert len(set(ids)) == len(ids)
    assert set(ids) == {id_of(event) for event in recording[table]}


@pytest.mark.parametrize("reader", READERS)
def test_nested_results_are_those_of_the_recording(reader, demo, recording):
    rows = reader(demo.table("retrievals"))
    for event in (recording["retrievals"][0], recording["retrievals"][-1]):
        expected = [(result["doc_id"], result["score"]) for result in event["results"]]
        assert rows.results(id_of(event)) == expected


@pytest.mark.parametrize("reader", READERS)
def test_the_segment_map_is_readable(reader, demo, recording):
    event = recording["retrievals"][0]
    assert event["segment"]
    assert reader(demo.table("retrievals")).segment(id_of(event)) == event["segment"]


def test_a_segment_can_be_grouped_by(demo, recording):
    """The question that the map is there for, in SQL."""
    expected: dict[str, int] = {}
    for event in recording["retrievals"]:
        expected[event["segment"]["locale"]] = expected.get(event["segment"]["locale"], 0) + 1
    rows = DuckDB(demo.table("retrievals")).query("SELECT segment['locale'] AS locale, count(*) FROM events GROUP BY 1")
    unlisted = {locale[0] if isinstance(locale, list) else locale: count for locale, count in rows}
    assert unlisted == expected


def test_nested_results_aggregate_alike_in_every_reader(demo, recording):
    """How often each document was returned: the whole table through UNNEST and explode."""
    expected: dict[str, int] = {}
    for event in recording["retrievals"]:
        for result in event["results"]:
            expected[result["doc_id"]] = expected.get(result["doc_id"], 0) + 1
    path = demo.table("retrievals")
    exploded = pl.scan_delta(path).select(pl.col("results").explode().struct.field("doc_id")).collect()
    assert dict(exploded["doc_id"].value_counts().rows()) == expected
    unnested = "SELECT unnest(results).doc_id AS doc_id FROM events"
    assert dict(DuckDB(path).query(f"SELECT doc_id, count(*) FROM ({unnested}) GROUP BY 1")) == expected


@pytest.mark.parametrize("table", TABLES)
def test_partitions_are_columns_and_prune(table, demo, recording):
    opened = deltalake.DeltaTable(demo.table(table))
    assert opened.metadata().partition_columns == PARTITIONED_BY[table]
    dataset = opened.to_pyarrow_dataset()
    days = {event["occurred_at"][:10] for event in recording[table]}
    assert len(list(dataset.get_fragments())) == len(days)
    # Reading one day takes one file, and finds what the recording has of it.
    day = min(days)
    of_day = [event for event in recording[table] if event["occurred_at"].startswith(day)]
    on_that_day = pc.field("event_date") == date.fromisoformat(day)
    assert len(list(dataset.get_fragments(filter=on_that_day))) == 1
    assert dataset.count_rows(filter=on_that_day) == len(of_day)


@pytest.mark.parametrize("table", TABLES)
def test_files_are_compressed_with_zstd(table, demo):
    for file in parquet_files(demo.table(table)):
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        assert {group.column(i).compression for group in groups for i in range(group.num_columns)} == {"ZSTD"}


@pytest.mark.parametrize("table", TABLES)
def test_texts_that_repeat_are_dictionary_encoded(table, demo):
    for file in parquet_files(demo.table(table)):
        group = file.metadata.row_group(0)
        columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
        for name in ("service", "principal"):
            assert columns[name].has_dictionary_page, name


@pytest.mark.parametrize("table", TABLES)
def test_rows_of_a_file_are_sorted_so_that_one_querys_history_lies_together(table, demo):
    for file in parquet_files(demo.table(table)):
        columns = file.read(columns=SORTED_BY[table])
        keys = list(zip(*(column.to_pylist() for column in columns.columns)))
        assert keys == sorted(keys)
        assert len(keys) > 1
