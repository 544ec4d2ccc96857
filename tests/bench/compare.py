#!/usr/bin/env python3
"""Measures `tidemark compare` against DuckDB on the same Parquet files, in one run."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

# numpy, pyarrow, deltalake and duckdb are imported in child processes only: a process that is started counts the memory of
# the one that started it into its maximum, so this one stays small.
if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

CORPUS = "kb"
ROW_GROUP = 100_000
DAY_US = 86_400_000_000
RATIO_LIMIT, MEMORY_LIMIT_MB = 3, 512
# What maximum resident sizes are counted in.
RESIDENT_UNIT = 1 if sys.platform == "darwin" else 1024

EPILOG = """Examples:
  python tests/bench/compare.py                                          2 x 1,000,000 events in a temporary directory
  python tests/bench/compare.py --binary target/debug/tidemark --events 20000 --fingerprints 2000
  python tests/bench/compare.py --rephrased                              the same besides with questions that are never repeated
  python tests/bench/compare.py --input inputs --store store --repeat 9  made by the first run, used again by the next

Needs duckdb, pyarrow, numpy and deltalake (tests/python/requirements.txt). The exit code does not depend on the figures."""


@dataclass(frozen=True)
class Window:
    """A week of events."""

    name: str
    first: str
    end: str
    corpus_version: str

    @property
    def selector(self) -> str:
        return f"{self.first}..{self.end}"


REFERENCE = Window("reference", "2026-10-05", "2026-10-12", "v1")
CURRENT = Window("current", "2026-10-12", "2026-10-19", "v2")
WINDOWS = (REFERENCE, CURRENT)


@dataclass(frozen=True)
class Parameters:
    """What the events are made from; the same parameters give the same events."""

    events: int
    fingerprints: int
    k: int
    documents: int
    seed: int
    changed_queries: float = 0.2
    replaced_documents: int = 3
    incomplete_answers: float = 0.02
    # Whether every event asks its question in words of its own.
    rephrased: bool = False
    flipped_bits: float = 0.02


@dataclass
class Measured:
    """The runs of one contestant."""

    seconds: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    result: Any = None

    def add(self, seconds: float, resident: int, result: Any) -> None:
        self.seconds.append(seconds)
        self.resident_mb.append(resident * RESIDENT_UNIT / 1e6)
        self.result = result

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def in_child(work: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


# Events


@dataclass(frozen=True)
class Answers:
    """What each fingerprint is answered in a window: a row of documents and their scores, best first."""

    documents: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Names:
    """The texts that the numbers of fingerprints and documents stand for."""

    fingerprints: pa.StringArray
    documents: pa.StringArray
    content_hashes: pa.StringArray


def generate(directory: Path, parameters: Parameters) -> None:
    import numpy as np

    rng = np.random.default_rng(parameters.seed)
    names = make_names(parameters, rng)
    for window, answers in zip(WINDOWS, make_answers(parameters, rng)):
        write_window(directory / f"{window.name}.parquet", window, answers, names, parameters, rng)


def hexadecimal(rng: np.random.Generator, count: int, digits: int, prefix: str = "") -> pa.StringArray:
    """Random texts of a prefix and some digits."""
    import numpy as np
    import pyarrow as pa

    code_points = np.empty((count, len(prefix) + digits), dtype=np.uint8)
    code_points[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    digits_drawn = rng.integers(0, 16, (count, digits), dtype=np.uint8)
    code_points[:, len(prefix) :] = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)[digits_drawn]
    offsets = np.arange(count + 1, dtype=np.int32) * code_points.shape[1]
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(code_points))


def make_names(parameters: Parameters, rng: np.random.Generator) -> Names:
    import pyarrow as pa

    chunks = 5
    return Names(
        fingerprints=hexadecimal(rng, parameters.fingerprints, 32, "fp:"),
        documents=pa.array([f"{CORPUS}/{i // chunks:05}#{i % chunks}" for i in range(parameters.documents)]),
        content_hashes=hexadecimal(rng, parameters.documents, 16, "b3:"),
    )


def make_answers(parameters: Parameters, rng: np.random.Generator) -> tuple[Answers, Answers]:
    import numpy as np

    count, k, replaced = parameters.fingerprints, parameters.k, parameters.replaced_documents
    # A progression that does not come round to its start has no document twice. Those after the first k are for replacement.
    start = rng.integers(0, parameters.documents, (count, 1))
    step = rng.integers(1, parameters.documents // (k + replaced) + 1, (count, 1))
    candidates = (start + step * np.arange(k + replaced)) % parameters.documents
    scores = rng.uniform(0.6, 0.9, (count, 1)) - np.cumsum(rng.uniform(0.001, 0.02, (count, k)), axis=1)
    scores = scores.round(6)

    reference, current = candidates[:, :k], candidates[:, :k].copy()
    changed = rng.permutation(count)[: round(count * parameters.changed_queries)]
    places = rng.random((len(changed), k)).argsort(axis=1)[:, :replaced]
    current[changed[:, None], places] = candidates[changed, k:]
    return Answers(reference, scores), Answers(current, scores)


def write_window(
    path: Path, window: Window, answers: Answers, names: Names, parameters: Parameters, rng: np.random.Generator
) -> None:
    import numpy as np
    import pyarrow.parquet as pq

    first = np.datetime64(window.first, "us").astype(np.int64)
    days = (np.datetime64(window.end) - np.datetime64(window.first)).astype(int)
    times = np.sort(first + rng.integers(0, int(days) * DAY_US, parameters.events))
    queries = rng.integers(0, parameters.fingerprints, parameters.events)
    writer = None
    for begin in range(0, parameters.events, ROW_GROUP):
        rows = slice(begin, begin + ROW_GROUP)
        table = make_table(window, times[rows], queries[rows], answers, names, parameters, rng)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def make_table(
    window: Window,
    times: np.ndarray,
    queries: np.ndarray,
    answers: Answers,
    names: Names,
    parameters: Parameters,
    rng: np.random.Generator,
) -> pa.Table:
    import pyarrow as pa

    rows = len(times)
    same = {
        "corpus": CORPUS,
        "corpus_version": window.corpus_version,
        "retriever_name": "search",
        "retriever_kind": "dense",
        "score_kind": "cosine",
    }
    return pa.table({
        "occurred_at": pa.array(times, pa.timestamp("us", tz="UTC")),
        "operation_id": hexadecimal(rng, rows, 32),
        **make_queries(queries, names, parameters, rng),
        "results": make_results(queries, answers, names, parameters, rng),
        **{name: pa.repeat(value, rows) for name, value in same.items()},
    })


def make_queries(
    queries: np.ndarray, names: Names, parameters: Parameters, rng: np.random.Generator
) -> dict[str, pa.StringArray]:
    """The fingerprints or, of questions that are phrased anew each time, new ones with hashes that differ in few bits."""
    import numpy as np
    import pyarrow as pa

    if not parameters.rephrased:
        return {"query_fingerprint": names.fingerprints.take(pa.array(queries))}
    hashes = np.random.default_rng(parameters.seed).integers(0, 2**64, parameters.fingerprints, dtype=np.uint64)[queries]
    for bit in range(64):
        hashes ^= (rng.random(len(queries)) < parameters.flipped_bits).astype(np.uint64) << np.uint64(bit)
    return {
        "query_fingerprint": hexadecimal(rng, len(queries), 32, "fp:"),
        "query_simhash": pa.array([f"{value:016x}" for value in hashes]),
    }


def make_results(
    queries: np.ndarray, answers: Answers, names: Names, parameters: Parameters, rng: np.random.Generator
) -> pa.ListArray:
    import numpy as np
    import pyarrow as pa

    kept = np.ones((len(queries), parameters.k), dtype=bool)
    incomplete = np.flatnonzero(rng.random(len(queries)) < parameters.incomplete_answers)
    kept[incomplete, rng.integers(0, parameters.k, len(incomplete))] = False
    documents = pa.array(answers.documents[queries][kept])
    columns = {
        "doc_id": names.documents.take(documents),
        "score": pa.array(answers.scores[queries][kept]),
        "content_hash": names.content_hashes.take(documents),
    }
    ends = np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(list(columns.values()), list(columns)))


# The store


def prepare_input(directory: Path, parameters: Parameters) -> list[Path]:
    """The files of both windows, made if they are not there or were made from other parameters."""
    files = [directory / f"{window.name}.parquet" for window in WINDOWS]
    made_from = directory / "parameters.json"
    if made_from.exists() and json.loads(made_from.read_text(encoding="utf-8")) == asdict(parameters):
        print(f"input: {directory}, made before", flush=True)
        return files
    directory.mkdir(parents=True, exist_ok=True)
    made_from.unlink(missing_ok=True)
    started = time.perf_counter()
    in_child(generate, directory, parameters)
    made_from.write_text(json.dumps(asdict(parameters)), encoding="utf-8")
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    print(f"input: 2 x {parameters.events:,} events, {megabytes:.0f} MB, {time.perf_counter() - started:.1f} s", flush=True)
    return files


def tidemark(binary: Path, store: Path, *arguments: str) -> list[str]:
    return [str(binary), "--data", str(store), *arguments]


def environment() -> dict[str, str]:
    """Without what would change which store is opened and what is kept."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}


def timed(title: str, command: list[str]) -> int:
    """Runs a command that prints for itself; returns its exit code."""
    started = time.perf_counter()
    code = subprocess.run(command, env=environment(), check=False).returncode
    print(f"{title}: {time.perf_counter() - started:.1f} s, exit code {code}", flush=True)
    return code


def make_store(binary: Path, store: Path, inputs: Path, parameters: Parameters) -> None:
    files = prepare_input(inputs, parameters)
    if timed("import", tidemark(binary, store, "import", *map(str, files))):
        raise SystemExit("error: the import failed; if --store names the store, remove it: it is incomplete")
    timed("maintain", tidemark(binary, store, "storage", "--maintain"))


# DuckDB

JACCARD = "len(list_intersect(r.documents, c.documents)) / len(list_distinct(list_concat(r.documents, c.documents)))"
DOCUMENTS = "[result.doc_id for result in results]"


def answers_sql(window: Window, one_each: bool) -> str:
    documents = f"arg_min({DOCUMENTS}, operation_id)" if one_each else DOCUMENTS
    return f"""
        SELECT query_fingerprint AS query, {documents} AS documents
        FROM read_parquet($files, hive_partitioning = true)
        WHERE corpus = '{CORPUS}' AND event_date >= DATE '{window.first}' AND event_date < DATE '{window.end}'
        {"GROUP BY query" if one_each else ""}"""


def join_sql(one_each: bool) -> str:
    return f"""
        SELECT count(*) AS pairs, avg({JACCARD}) AS jaccard
        FROM ({answers_sql(REFERENCE, one_each)}) AS r JOIN ({answers_sql(CURRENT, one_each)}) AS c USING (query)"""


def live_files(store: Path) -> list[str]:
    import deltalake

    return deltalake.DeltaTable(str(store / "retrievals")).file_uris()


def run_duckdb(files: list[str], sql: str) -> tuple[float, int, dict[str, float]]:
    """Seconds from the connection to the answer, the maximum resident size of this process, and the answer."""
    import duckdb

    started = time.perf_counter()
    connection = duckdb.connect(config={"threads": os.cpu_count() or 1})
    pairs, jaccard = connection.execute(sql, {"files": files}).fetchone()
    seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, {"pairs": pairs, "jaccard": jaccard}


# Tidemark


def run_compare(binary: Path, store: Path) -> tuple[float, int, dict[str, Any]]:
    """Seconds of the whole process, its maximum resident size, and the report."""
    windows = ["--reference", REFERENCE.selector, "--current", CURRENT.selector]
    command = tidemark(binary, store, "compare", "--corpus", CORPUS, *windows, "--format", "json")
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, env=environment())
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 3, 4):
            raise SystemExit(f"error: compare ended with exit code {process.returncode}")
        output.seek(0)
        return seconds, usage.ru_maxrss, json.load(output)


# The run

TIDEMARK, ONE_EACH, ALL_PAIRS = "tidemark compare", "DuckDB, one answer each", "DuckDB, all pairs"
REPHRASED = "compare, none asked twice"


def measure(binary: Path, store: Path, rephrased: Optional[Path], repeat: int) -> dict[str, Measured]:
    files = in_child(live_files, store)
    size = sum(os.path.getsize(file) for file in files) / 1e6
    print(f"store: {len(files)} files of retrievals, {size:.0f} MB; {os.cpu_count()} threads", flush=True)
    runs = {name: Measured() for name in (TIDEMARK, ONE_EACH, ALL_PAIRS)}
    if rephrased:
        runs[REPHRASED] = Measured()
    for _ in range(repeat):
        runs[ONE_EACH].add(*in_child(run_duckdb, files, join_sql(one_each=True)))
        runs[TIDEMARK].add(*run_compare(binary, store))
        if rephrased:
            runs[REPHRASED].add(*run_compare(binary, rephrased))
    # Once: it takes long and no limit rests on it.
    runs[ALL_PAIRS].add(*in_child(run_duckdb, files, join_sql(one_each=False)))
    return runs


def print_figures(runs: dict[str, Measured]) -> None:
    base = runs[ONE_EACH].median
    print(f"\n{'':24} {'runs':>4} {'min s':>8} {'median s':>9} {'max MB':>7} {'ratio':>7}")
    for name, run in runs.items():
        figures = f"{min(run.seconds):8.2f} {run.median:9.2f} {max(run.resident_mb):7.0f} {run.median / base:7.2f}"
        print(f"{name:24} {len(run.seconds):4} {figures}")
    print("ratio: of the median to that of DuckDB with one answer each; max MB: resident, 1 MB = 1,000,000 bytes\n")


def print_findings(runs: dict[str, Measured], events: int) -> None:
    report = runs[TIDEMARK].result
    retrieval = report["retrieval"]
    found = {name: retrieval[name] for name in ("verdict", "matched_queries", "excess_change", "mean_jaccard")}
    print("tidemark:", ", ".join(f"{name} {value}" for name, value in found.items()))
    if REPHRASED in runs:
        retrieval = runs[REPHRASED].result["retrieval"]
        found = {name: retrieval[name] for name in ("verdict", "coverage", "excess_change", "neighbours")}
        print(f"{REPHRASED}:", ", ".join(f"{name} {value}" for name, value in found.items()))
    for name in (ONE_EACH, ALL_PAIRS):
        print(f"{name}: pairs {runs[name].result['pairs']}, mean_jaccard {runs[name].result['jaccard']}")
    for window in (REFERENCE.name, CURRENT.name):
        if report[window]["events"] != events:
            print(f"warning: the {window} window of the store has {report[window]['events']} events, not {events}")


def print_limits(runs: dict[str, Measured]) -> None:
    ratio, resident = runs[TIDEMARK].median / runs[ONE_EACH].median, max(runs[TIDEMARK].resident_mb)
    print(f"limit: {RATIO_LIMIT} times DuckDB: {ratio:.2f}, {holds(ratio <= RATIO_LIMIT)}")
    print(f"limit: {MEMORY_LIMIT_MB} MB: {resident:.0f}, {holds(resident <= MEMORY_LIMIT_MB)}")
    if REPHRASED in runs:
        ratio, resident = runs[REPHRASED].median / runs[TIDEMARK].median, max(runs[REPHRASED].resident_mb)
        print(f"limit: none asked twice, {RATIO_LIMIT} times as long: {ratio:.2f}, {holds(ratio <= RATIO_LIMIT)}")
        print(f"limit: none asked twice, {MEMORY_LIMIT_MB} MB: {resident:.0f}, {holds(resident <= MEMORY_LIMIT_MB)}")


def holds(within: bool) -> str:
    return "holds" if within else "DOES NOT HOLD"


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def parser() -> argparse.ArgumentParser:
    root = Path(__file__).resolve().parents[2]
    binary = os.environ.get("TIDEMARK_BIN") or root / "target" / "release" / "tidemark"
    made = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = made.add_argument
    option("--binary", type=Path, default=Path(binary), metavar="PATH", help="$TIDEMARK_BIN or target/release/tidemark")
    option("--events", type=positive, default=1_000_000, metavar="N", help="events of a window (1000000)")
    option("--fingerprints", type=positive, default=100_000, metavar="N", help="different queries (100000)")
    option("--k", type=positive, default=10, metavar="N", help="documents of an answer (10)")
    option("--documents", type=positive, default=50_000, metavar="N", help="documents of the corpus (50000)")
    option("--seed", type=int, default=42, metavar="N", help="of everything that is drawn (42)")
    option("--input", type=Path, metavar="DIR", help="keeps the generated files here, or uses those that are here")
    option("--store", type=Path, metavar="DIR", help="uses this store, or makes it if there is none; a temporary one else")
    option("--rephrased", action="store_true", help="also events that ask nothing twice, in a store of their own")
    option("--repeat", type=positive, default=5, metavar="R", help="runs of compare and of DuckDB, alternating (5)")
    return made


def checked(arguments: Optional[list[str]]) -> argparse.Namespace:
    command_line = parser()
    given = command_line.parse_args(arguments)
    given.parameters = Parameters(given.events, given.fingerprints, given.k, given.documents, given.seed)
    replaced = given.parameters.replaced_documents
    if given.k < replaced:
        command_line.error(f"--k must be at least {replaced}: so many documents are replaced")
    if given.documents < given.k + replaced:
        command_line.error(f"--documents must be at least {given.k + replaced}")
    if not given.binary.is_file():
        command_line.error(f"{given.binary} is no file; name the binary with --binary")
    return given


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def main(arguments: Optional[list[str]] = None) -> None:
    given = checked(arguments)
    binary = given.binary.resolve()
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as temporary:
        stores = {}
        for suffix in ("", "-rephrased") if given.rephrased else ("",):
            parameters = replace(given.parameters, rephrased=bool(suffix))
            store = beside(given.store or Path(temporary) / "store", suffix)
            if store.exists():
                print(f"store: {store}, made before", flush=True)
            else:
                make_store(binary, store, beside(given.input or Path(temporary) / "input", suffix), parameters)
            stores[suffix] = store
        runs = measure(binary, stores[""], stores.get("-rephrased"), given.repeat)
    print_figures(runs)
    print_findings(runs, given.events)
    print_limits(runs)


if __name__ == "__main__":
    main()
