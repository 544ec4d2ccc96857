"""Batches on disk: one file each, complete or not there, the oldest sent first.

::

    directory/
      ID.lock                     held for as long as the client lives
      ID.run/                     what this client put aside
        0000000000000000-500.retrievals     its number, and how many events it holds

The lock is taken before the folder is made and removed after it, so a folder whose lock is free has no owner: whoever gets
the lock sends what is in it. The client for Rust does the same, in the same folders.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Optional

try:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

except ImportError:  # Windows
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True


SUFFIXES = {"/v1/retrievals": "retrievals", "/v1/outputs": "outputs"}
PATHS = {suffix: path for path, suffix in SUFFIXES.items()}
NAME = re.compile(r"(\d+)-(\d+)\.(retrievals|outputs)")


class Run:
    """The folder of one client, held by its lock."""

    def __init__(self, directory: Path, lock: Path, held: IO[bytes]) -> None:
        self.directory, self.lock, self.held = directory, lock, held

    @classmethod
    def hold(cls, directory: Path) -> Optional["Run"]:
        """Nothing if another client holds it."""
        lock = directory.with_suffix(".lock")
        held = lock.open("ab")
        if _try_lock(held):
            return cls(directory, lock, held)
        held.close()
        return None

    @classmethod
    def create(cls, directory: Path) -> "Run":
        run = cls.hold(directory / f"{time.time_ns() // 1000:014x}-{uuid.uuid4().hex}.run")
        if run is None:
            raise OSError(f"files cannot be locked in {directory}; name a directory on a local disk")
        run.directory.mkdir()
        return run

    @classmethod
    def orphans(cls, directory: Path) -> list["Run"]:
        """The folders of clients that are gone, in the order in which those began."""
        runs = []
        for path in sorted(directory.glob("*.run")):
            try:
                runs.append(cls.hold(path))
            except OSError:
                # What cannot be locked, such as the folder of another user, is as good as held.
                continue
        return [run for run in runs if run is not None]

    def batches(self) -> list["Batch"]:
        batches = []
        # Without a folder: its owner ended while the lock was asked for.
        for path in self.directory.iterdir() if self.directory.is_dir() else ():
            named = NAME.fullmatch(path.name)
            if named:
                batches.append(Batch(path, int(named[1]), PATHS[named[3]], int(named[2]), path.stat().st_size))
            elif path.suffix == ".unfinished":
                path.unlink()
        return sorted(batches, key=lambda batch: batch.number)

    def end(self) -> None:
        """Removes the folder if nothing is left in it, and lets it go."""
        try:
            if self.directory.is_dir():
                self.directory.rmdir()
            self.lock.unlink()
        except OSError:
            # What is in it is the next one's; an empty file that stays is no harm.
            pass
        self.held.close()


@dataclass(frozen=True)
class Batch:
    """A file: its number, where its events go, how many they are, its size."""

    file: Path
    number: int
    path: str
    events: int
    size: int

    @classmethod
    def write(cls, directory: Path, number: int, path: str, lines: list[bytes]) -> "Batch":
        """Writes it under another name first, so that it is complete or not there."""
        content = b"".join(line + b"\n" for line in lines)
        file = directory / f"{number:016}-{len(lines)}.{SUFFIXES[path]}"
        unfinished = file.with_name(file.name + ".unfinished")
        try:
            with unfinished.open("wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            unfinished.rename(file)
        except OSError:
            # What is left of it takes room; if it cannot be removed either, whoever comes next will.
            try:
                unfinished.unlink()
            except OSError:
                pass
            raise
        return cls(file, number, path, len(lines), len(content))

    def lines(self) -> list[bytes]:
        return [line for line in self.file.read_bytes().split(b"\n") if line]


class Spill:
    """What a client put aside, and what it took over."""

    def __init__(self, directory: Path, bytes_max: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.bytes_max = bytes_max
        self._adopted = Run.orphans(directory)
        self._own = Run.create(directory)
        self._batches = deque(batch for run in self._adopted for batch in run.batches())
        self._next = 0
        self.bytes = sum(batch.size for batch in self._batches)

    @property
    def events(self) -> int:
        """Events that wait here."""
        return sum(batch.events for batch in self._batches)

    def __bool__(self) -> bool:
        return bool(self._batches)

    def put(self, path: str, lines: list[bytes]) -> bool:
        """Puts a batch aside; false if there is no room for it."""
        if self.bytes + sum(len(line) + 1 for line in lines) > self.bytes_max:
            return False
        batch = Batch.write(self._own.directory, self._next, path, lines)
        self._next += 1
        self.bytes += batch.size
        self._batches.append(batch)
        return True

    def oldest(self) -> Batch:
        """The oldest batch."""
        return self._batches[0]

    def settle(self, left: list[bytes]) -> None:
        """The oldest batch is done, but for the lines that are left."""
        done = self._batches[0]
        if left:
            # If it cannot be written, all of the batch is sent again: the server knows what it has.
            rest = Batch.write(done.file.parent, done.number, done.path, left)
            self._batches[0] = rest
            self.bytes += rest.size
        else:
            self._batches.popleft()
        self.bytes -= done.size
        done.file.unlink()
        for run in [run for run in self._adopted if all(batch.file.parent != run.directory for batch in self._batches)]:
            self._adopted.remove(run)
            run.end()

    def pass_over(self) -> int:
        """The oldest batch cannot be read: it stays where it is, but is no longer looked at. How many events it holds."""
        batch = self._batches.popleft()
        self.bytes -= batch.size
        return batch.events

    def end(self) -> None:
        """Leaves what is still there to whoever comes next."""
        for run in [*self._adopted, self._own]:
            run.end()

    def forget(self) -> None:
        """Closes this process's handles of locks that belong to the process it was forked from; they stay locked."""
        for run in [*self._adopted, self._own]:
            run.held.close()
