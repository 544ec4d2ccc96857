"""What the Python tests share: the binary, the bundled recording, and one store that the demo made of it."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDING = ROOT / "api" / "recording"
# The client, as it stands in the tree.
sys.path.insert(0, str(ROOT / "api" / "clients" / "python" / "src"))

# What the caller's shell may hold and would change what a command prints, or which store it opens.
FOREIGN = {"CARGO", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "RUST_LOG"}


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self):
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Tidemark:
    """The command line. A call runs a command and asserts its exit code."""

    binary: Path

    def __call__(self, *arguments, data=None, code=0, stdin="") -> Finished:
        command = self.command(*arguments, data=data)
        ended = subprocess.run(
            command, input=stdin, env=self.environment(), capture_output=True, encoding="utf-8", check=False, timeout=300
        )
        said = f"{' '.join(command)}\nexit code {ended.returncode}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
        assert ended.returncode == code, said
        return Finished(ended.returncode, ended.stdout, ended.stderr)

    def command(self, *arguments, data=None) -> list[str]:
        store = [] if data is None else ["--data", str(data)]
        return [str(self.binary), *store, *map(str, arguments)]

    @staticmethod
    def environment(**more: str) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if k not in FOREIGN and not k.startswith("TIDEMARK_")}
        return {**own, **more}


class Server:
    """A running `tidemark serve`, a process of its own on ports of its own."""

    def __init__(self, tidemark: Tidemark, data: Path, *arguments: str, listen: str = "127.0.0.1:0") -> None:
        self.tidemark, self.data = tidemark, data
        self.log = data.with_name(f"{data.name}.log")
        command = tidemark.command(
            "serve", "--listen", listen, "--otlp-grpc", "127.0.0.1:0", "--flush-seconds", "1", *arguments, data=data
        )
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command, env=tidemark.environment(), stdout=subprocess.PIPE, stderr=log, encoding="utf-8"
            )
        self.url = self._told(r"(http://\S+)")
        self.grpc = self._told(r"gRPC on (\S+)")

    def _told(self, pattern: str) -> str:
        line = self.process.stdout.readline()
        found = re.search(pattern, line)
        assert found, f"the server said {line!r}"
        return found[1]

    @property
    def address(self) -> str:
        return self.url.split("//")[1]

    def get(self, path: str) -> str:
        with closing(urllib.request.urlopen(self.url + path, timeout=30)) as answer:
            return answer.read().decode()

    def metric(self, line: str) -> int:
        """The value of one line of the metrics, 0 if it is not there."""
        values = [text.rpartition(" ")[2] for text in self.get("/metrics").splitlines() if text.startswith(line + " ")]
        return int(float(values[0])) if values else 0

    def kill(self) -> None:
        """The end that `kill -9` brings."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """The end that is asked for: what was acknowledged is in the table afterwards."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0

    def events(self, kind: str = "retrievals") -> list[dict]:
        """Stops the server and reads what is stored."""
        self.stop()
        lines = self.tidemark("export", "--kind", kind, data=self.data).stdout.splitlines()
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Demo:
    """A store that `tidemark demo` made, and what it printed."""

    data: Path
    printed: str

    def table(self, name: str) -> str:
        return str(self.data / name)


def build() -> Path:
    """Builds the binary and asks Cargo where it is, whatever the target directory."""
    command = [os.environ.get("CARGO", "cargo"), "build", "--locked", "-p", "tidemark-api", "--bin", "tidemark"]
    # Standard error goes through: a build from nothing takes minutes and should be seen to go on.
    built = subprocess.run(
        [*command, "--message-format=json-render-diagnostics"],
        cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", check=True,
    )
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return Path([m["executable"] for m in messages if m.get("executable")][-1])


def read_ndjson(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def tidemark() -> Tidemark:
    given = os.environ.get("TIDEMARK_BIN")
    binary = Path(given).resolve() if given else build()
    assert binary.is_file(), f"{binary} is no file"
    return Tidemark(binary)


@pytest.fixture
def serve(tidemark: Tidemark, tmp_path: Path):
    """Starts servers; those that still run at the end are killed."""
    servers = []

    def start(*arguments: str, data: Optional[Path] = None, listen: str = "127.0.0.1:0") -> Server:
        servers.append(Server(tidemark, data or tmp_path / "store", *arguments, listen=listen))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def recording() -> dict[str, list[dict]]:
    """The bundled recording, by table."""
    return {table: read_ndjson(RECORDING / f"{table}.ndjson.gz") for table in ("retrievals", "outputs")}


@pytest.fixture(scope="session")
def demo(tidemark: Tidemark, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo's store. Tests only read it."""
    data = tmp_path_factory.mktemp("demo") / "store"
    return Demo(data, tidemark("demo", data=data).stdout)
