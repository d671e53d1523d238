"""From the published files to a finished model folder."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import safetensors.numpy

from holdfast import __version__
from holdfast.errors import ModelUnavailableError
from holdfast.llm.local.graph import INPUT, OUTPUT, Floats, build_graph
from holdfast.llm.local.installed import DESCRIPTION_FILE, GRAPH_FILE, describe
from holdfast.llm.local.runtime import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from holdfast.llm.local.manifest import LocalModel

__all__ = ["build_model", "open_graph"]

_TOOLS = ("numpy", "onnx", "onnxruntime", "safetensors")
_LOG_ERRORS = 3  # onnxruntime's severity: warnings about the machine's devices do not concern the user


def build_model(model: LocalModel, contents: Mapping[str, bytes], into: Path) -> None:
    """Build the int8 graph, try it, and write the finished folder. Blocks, for about a second.

    Args:
        model: what is built.
        contents: the verified published files by name.
        into: an empty folder.

    Raises:
        ModelUnavailableError: the weights are not those of such a model, or the graph does not run here.
        OSError: the folder cannot be written.
    """
    try:
        weights: dict[str, Floats] = safetensors.numpy.load(contents[model.weights.name])
        graph = build_graph(weights, heads=model.heads).SerializeToString()
    except (safetensors.SafetensorError, KeyError) as error:
        raise ModelUnavailableError(
            f"{model.weights.name} does not hold the weights of {model.name}: {error}"
        ) from error
    _try(graph, model)
    files = {GRAPH_FILE: graph, model.tokenizer.name: contents[model.tokenizer.name]}
    tools = {"holdfast": __version__, **{tool: version(tool) for tool in _TOOLS}}
    for name, content in files.items():
        (into / name).write_bytes(content)
    (into / DESCRIPTION_FILE).write_bytes(describe(model, files, tools))


def open_graph(graph: bytes) -> onnxruntime.InferenceSession:
    """Load a graph to run on the calling thread.

    One thread for each run, and runs beside each other for throughput: measured, two callers of a session with one
    thread get more out of two cores than one session with two threads does, and a session without a pool of threads has
    none that wait for work by spinning.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # a plan for each length of text would be kept
    options.log_severity_level = _LOG_ERRORS
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _try(graph: bytes, model: LocalModel) -> None:
    """Run the graph once: a processor or an onnxruntime that cannot should be found out now."""
    try:
        vectors = open_graph(graph).run([OUTPUT], {INPUT: np.array([[0, 1, 2]], np.int64)})[0]
    except Exception as error:
        raise ModelUnavailableError(f"The built model does not run with this onnxruntime: {error}") from error
    if vectors.shape != (1, model.dimension) or not np.isclose(np.linalg.norm(vectors), 1, atol=1e-3):
        raise ModelUnavailableError(f"The built model does not give unit vectors of {model.dimension} numbers here.")
