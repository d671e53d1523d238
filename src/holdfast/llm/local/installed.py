"""A finished model folder: the built graph, the tokenizer, and the description that says what they must be."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import ModelUnavailableError
from holdfast.llm.local.manifest import INSTALL_HINT, LocalModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DESCRIPTION_FILE", "GRAPH_FILE", "InstalledModel", "ModelFiles", "describe", "read_installed"]

GRAPH_FILE = "model.int8.onnx"
DESCRIPTION_FILE = "model.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledModel:
    """A model that is ready for use."""

    directory: Path
    embedder_id: str
    dimension: int
    size: int
    """Bytes of its files together."""
    fresh: bool
    """Whether it was built by this call; False if it was there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The verified contents of a model folder."""

    graph: bytes
    tokenizer: bytes


def describe(model: LocalModel, files: Mapping[str, bytes], built_with: Mapping[str, str]) -> bytes:
    """The description of a built model, as JSON.

    Args:
        model: what was built.
        files: the built files by name.
        built_with: the versions of the packages that built them.
    """
    text = json.dumps(
        {
            "model": model.name,
            "licence": model.licence,
            "embedder_id": model.embedder_id,
            "dimension": model.dimension,
            "sources": {file.name: file.sha256 for file in model.files},
            "files": {
                name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                for name, content in files.items()
            },
            "built_with": dict(built_with),
        },
        indent=2,
    )
    return f"{text}\n".encode()


def read_installed(directory: Path, model: LocalModel) -> ModelFiles:
    """Read a model folder and verify every byte that is returned. Blocks, for about 20 ms.

    Raises:
        ModelUnavailableError: there is no model, it is another one, or a file is missing or damaged.
    """
    try:
        described = json.loads((directory / DESCRIPTION_FILE).read_bytes())
        found_id, hashes = described["embedder_id"], {name: f["sha256"] for name, f in described["files"].items()}
    except FileNotFoundError as error:
        raise ModelUnavailableError(f"The embedding model is not installed in {directory}. {INSTALL_HINT}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnavailableError(f"The embedding model in {directory} cannot be read: {reason}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailableError(
            f"{directory / DESCRIPTION_FILE} is not a model's description. {INSTALL_HINT}"
        ) from error
    if found_id != model.embedder_id:
        raise ModelUnavailableError(
            f"{directory} holds the model {found_id}, and {model.embedder_id} is needed. {INSTALL_HINT}"
        )
    return ModelFiles(
        graph=_read(directory / GRAPH_FILE, hashes), tokenizer=_read(directory / model.tokenizer.name, hashes)
    )


def _read(path: Path, hashes: Mapping[str, str]) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnavailableError(f"The model's file {path} cannot be read: {reason}. {INSTALL_HINT}") from error
    if hashlib.sha256(content).hexdigest() != hashes.get(path.name):
        raise ModelUnavailableError(f"The model's file {path} is damaged: its hash does not match. {INSTALL_HINT}")
    return content
