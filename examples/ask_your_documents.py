"""Load some documents and ask a question, from Python.

    python examples/ask_your_documents.py

Needs `pip install 'holdfast[service]'`. Runs in a temporary folder; give `data_dir` to keep what is loaded.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from holdfast.rag.app import build_engine
from holdfast.rag.settings import load_settings
from holdfast.sample import articles_dir


async def main(folder: Path) -> None:
    """Ingest the sample help centre and ask it one thing."""
    engine = build_engine(load_settings(data_dir=folder, embedder="none"))  # "local" also searches by meaning
    try:
        await engine.open()
        report = await engine.ingestor.ingest_paths([articles_dir()])
        print(f"{report.added} documents, {report.chunks} passages")

        answer = await engine.ask("What does a return label cost?")
        print(answer.text)
        for number, citation in enumerate(answer.citations, 1):
            print(f"[{number}] {citation.title}, characters {citation.start} to {citation.end}")
        print(f"source {answer.source}, tier {answer.tier}, confidence {answer.confidence:.2f}")
    finally:
        await engine.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
