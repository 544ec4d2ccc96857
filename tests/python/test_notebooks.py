"""Every notebook runs to its end, where it asserts the claim of its title; and none is stored with what a run left."""

from __future__ import annotations

import os

import nbformat
import pytest
from nbclient import NotebookClient

from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELLS_MAX = 12


def name(path) -> str:
    return path.name


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_is_stored_without_outputs_and_short(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert len(notebook.cells) <= CELLS_MAX
    assert "assert " in code[-1].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_runs_to_its_end(path, tidemark, tmp_path, monkeypatch):
    for variable in set(tidemark.environment()) ^ set(os.environ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TIDEMARK_BIN", str(tidemark.binary))
    # The kernel of this environment, and nothing of the user's own: no settings, no history, no font cache left behind.
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    for variable in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(work)}}).execute()
    assert list(work.iterdir()) == []
