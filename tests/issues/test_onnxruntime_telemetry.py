"""onnxruntime 1.31 gives the machine an id and sends usage events to its maker unless it is told not to."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.llm.local.manifest import default_model_dir

SOURCES = Path(__file__).parents[2] / "src"
LOAD = """
import sys
from pathlib import Path
from holdfast.llm.local.build import open_graph
open_graph(next(Path(sys.argv[1]).rglob("*.onnx")).read_bytes())
"""


def test_one_module_imports_onnxruntime() -> None:
    """Whatever needs onnxruntime gets it from the module that silences it first."""
    importers = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "onnxruntime" for name in names):
                importers.add(path.relative_to(SOURCES / "holdfast").as_posix())
    assert importers == {"llm/local/runtime.py"}


@pytest.mark.model
@pytest.mark.process
def test_loading_the_model_leaves_no_trace(tmp_path: Path) -> None:
    """A process that loads the model with a fresh home writes nothing into it: no id, no queue of events."""
    folder = default_model_dir()
    if not folder.is_dir():
        pytest.skip("the local model is not installed: run `holdfast model`")
    ours = {
        name: value for name, value in os.environ.items() if name not in {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    }
    command = [sys.executable, "-c", LOAD, str(folder)]
    subprocess.run(command, env={**ours, "HOME": str(tmp_path)}, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
