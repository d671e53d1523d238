"""The ONNX graph, compared with the same network written plainly in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from holdfast.llm.local.build import open_graph
from holdfast.llm.local.graph import INPUT, OUTPUT, Precision, build_graph

Floats = NDArray[np.float32]
Weights = dict[str, Floats]

HEADS = 4
ERF = np.vectorize(math.erf, otypes=[np.float64])


def forward(weights: Weights, tokens: list[int]) -> NDArray[np.float64]:
    """The sentence vector of one text, in float64, one formula of the paper after the other."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def norm(x: NDArray[np.float64], at: str) -> NDArray[np.float64]:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        result: NDArray[np.float64] = centred / spread * w[f"{at}.weight"] + w[f"{at}.bias"]
        return result

    def dense(x: NDArray[np.float64], at: str) -> NDArray[np.float64]:
        result: NDArray[np.float64] = x @ w[f"{at}.weight"].T + w[f"{at}.bias"]
        return result

    x = w["embeddings.word_embeddings.weight"][tokens] + w["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    size = x.shape[1] // HEADS
    for layer in range(2):
        at = f"encoder.layer.{layer}"
        q, k, v = (dense(x, f"{at}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            scores = np.exp(q[:, part] @ k[:, part].T / math.sqrt(size))
            heads.append(scores / scores.sum(axis=1, keepdims=True) @ v[:, part])
        x = norm(
            x + dense(np.concatenate(heads, axis=1), f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm"
        )
        wide = dense(x, f"{at}.intermediate.dense")
        gelu = wide * (1 + ERF(wide / math.sqrt(2))) / 2
        x = norm(x + dense(gelu, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    mean = x.mean(axis=0)
    result: NDArray[np.float64] = mean / np.linalg.norm(mean)
    return result


def run(graph: bytes, tokens: list[list[int]]) -> Floats:
    vectors: Floats = open_graph(graph).run([OUTPUT], {INPUT: np.array(tokens, np.int64)})[0]
    return vectors


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999999), ("int8", 0.99)])
def test_graph_computes_the_network(tiny_weights: Weights, precision: Precision, least: float) -> None:
    """The graph's vectors agree with the plain network: exactly in fp32, nearly in int8."""
    graph = build_graph(tiny_weights, heads=HEADS, precision=precision).SerializeToString()
    rng = np.random.default_rng(1)
    for length in (2, 3, 8, 24):
        tokens = rng.integers(0, 44, length).tolist()
        cosine = float(run(graph, [tokens])[0] @ forward(tiny_weights, tokens))
        assert cosine > least, (length, cosine)


def test_int8_graph_is_about_a_quarter_of_the_size(tiny_weights: Weights) -> None:
    """Every large matrix is kept in 8 bits; what stays in 32 bits is small."""
    model = build_graph(tiny_weights, heads=HEADS, precision="int8")
    wide = {tensor.name for tensor in model.graph.initializer if tensor.data_type == 1 and len(tensor.dims) > 1}
    assert all(name.endswith(".scale") or name == "positions" for name in wide), wide


def test_same_weights_give_the_same_bytes(tiny_weights: Weights) -> None:
    """Building twice gives one file, so that its hash means something."""
    first, second = (build_graph(tiny_weights, heads=HEADS).SerializeToString() for _ in range(2))
    assert first == second


def test_texts_of_equal_length_may_share_a_batch(tiny_weights: Weights) -> None:
    """In fp32 a batch of texts with the same number of tokens gives each text's own vector."""
    graph = build_graph(tiny_weights, heads=HEADS, precision="fp32").SerializeToString()
    texts = [[2, 5, 6, 3], [2, 9, 9, 3], [2, 40, 4, 3]]
    assert np.allclose(run(graph, texts), np.concatenate([run(graph, [text]) for text in texts]), atol=1e-5)


def test_a_missing_tensor_is_named(tiny_weights: Weights) -> None:
    """Weights without a tensor that the network needs are refused with its name."""
    lacking = {name: value for name, value in tiny_weights.items() if name != "encoder.layer.1.output.dense.weight"}
    with pytest.raises(KeyError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        build_graph(lacking, heads=HEADS)


def test_a_column_of_zeros_stays_zero(tiny_weights: Weights) -> None:
    """A matrix with an empty column has no scale to divide by, and yet gives no NaN."""
    weights = dict(tiny_weights)
    weights["encoder.layer.0.output.dense.weight"] = np.zeros_like(weights["encoder.layer.0.output.dense.weight"])
    vectors = run(build_graph(weights, heads=HEADS).SerializeToString(), [[2, 7, 3]])
    assert np.isfinite(vectors).all()


@settings(max_examples=25, deadline=None)
@given(tokens=st.lists(st.integers(0, 43), min_size=1, max_size=24))
def test_every_vector_has_length_one(tiny_weights: Weights, tokens: list[int]) -> None:
    """Whatever the tokens, the vector is finite and of length 1."""
    vectors = run(build_graph(tiny_weights, heads=HEADS).SerializeToString(), [tokens])
    assert abs(float(np.linalg.norm(vectors)) - 1) < 1e-5
