"""Every Python snippet of the README runs as it stands there, against a server, and its event arrives."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

SECTION = "## Where events come from"
CLIENT = ROOT / "api" / "clients" / "python" / "src"

if sys.version_info < (3, 11):
    pytest.skip("the emitters are pinned for Python 3.11 and later", allow_module_level=True)


def snippets() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split(SECTION, 1)[1].split("\n## ", 1)[0]
    return [block.split("```", 1)[0] for block in section.split("```python\n")[1:]]


# What a service does after the snippet that only sets things up.
LANGCHAIN = """
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore

store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
store.add_documents([Document(id="hr/badges.md#3", page_content="Hold it to the reader.")])
store.as_retriever().invoke("how do I reset my badge")
spans.shutdown()
"""


def test_all_sources_have_a_snippet():
    assert len(snippets()) == 5


@pytest.mark.parametrize("number", range(5))
def test_a_snippet_runs_and_its_event_arrives(number, serve, tidemark):
    server = serve("--text", "full")
    code = snippets()[number].replace("http://127.0.0.1:7700", server.url)
    code += LANGCHAIN if "TracerProvider" in code else ""
    environment = tidemark.environment(
        PYTHONPATH=str(CLIENT),
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{server.url}/v1/traces",
        OTEL_RESOURCE_ATTRIBUTES="service.name=support,rag.corpus.name=handbook,rag.corpus.version=v12",
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", code],
        env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )
    assert ended.returncode == 0, ended.stderr
    [event] = server.events()
    assert event["query"]["text"] == "how do I reset my badge"
    assert (event["corpus"], event["results"][0]["doc_id"]) == ("handbook", "hr/badges.md#3")
