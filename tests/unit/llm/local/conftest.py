"""A model of the same kind as the real one, small and random, so that the whole way from files to vectors is tested."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors.numpy
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel

from holdfast.llm.local.manifest import LocalModel, ModelFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIDDEN, HEADS, LAYERS, WIDE, PLACES = 32, 4, 2, 64, 24
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(40))]


@pytest.fixture(scope="session")
def tiny_weights() -> dict[str, NDArray[np.float32]]:
    """Random weights under the names that BERT checkpoints use."""
    rng = np.random.default_rng(7)

    def normal(*shape: int, mean: float = 0.0, spread: float = 0.3) -> NDArray[np.float32]:
        return rng.normal(mean, spread, shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": normal(len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": normal(PLACES, HIDDEN),
        "embeddings.token_type_embeddings.weight": normal(2, HIDDEN),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        shapes = {
            f"{at}.attention.self.query": (HIDDEN, HIDDEN),
            f"{at}.attention.self.key": (HIDDEN, HIDDEN),
            f"{at}.attention.self.value": (HIDDEN, HIDDEN),
            f"{at}.attention.output.dense": (HIDDEN, HIDDEN),
            f"{at}.intermediate.dense": (WIDE, HIDDEN),
            f"{at}.output.dense": (HIDDEN, WIDE),
        }
        for name, (out, into) in shapes.items():
            weights[f"{name}.weight"], weights[f"{name}.bias"] = normal(out, into), normal(out)
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    for name in norms:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = normal(HIDDEN, mean=1.0, spread=0.1), normal(HIDDEN)
    return weights


@pytest.fixture(scope="session")
def tiny_contents(tiny_weights: dict[str, NDArray[np.float32]]) -> dict[str, bytes]:
    """The two published files of the tiny model; its tokenizer cuts and pads, as the real one's file does."""
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(6)
    tokenizer.enable_padding(length=12)
    return {
        "tokenizer.json": tokenizer.to_str().encode(),
        "model.safetensors": safetensors.numpy.save(dict(tiny_weights)),
    }


@pytest.fixture(scope="session")
def tiny_model(tiny_contents: dict[str, bytes]) -> LocalModel:
    """The manifest of the tiny model."""
    files = {
        name: ModelFile(name=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for name, content in tiny_contents.items()
    }
    return LocalModel(
        name="tiny",
        licence="none",
        weights=files["model.safetensors"],
        tokenizer=files["tokenizer.json"],
        dimension=HIDDEN,
        heads=HEADS,
        max_tokens=16,
        hub_address="https://hub.test/tiny/resolve/main",
        package="tiny-model==1.0",
        build_format=1,
    )
