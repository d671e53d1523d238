"""The sentence encoder as an ONNX graph, written from its weights: no torch, no exporter.

The network is BERT (Devlin et al. 2018) as MiniLM has it (Wang et al. 2020), followed by what makes it a *sentence*
encoder (Reimers & Gurevych 2019): the mean over the tokens, scaled to length 1. It is written with onnxruntime's fused
operators (one node for attention, one for "add the residual and normalise", one for "add the bias and apply GELU"),
which is a third faster than the same arithmetic in standard operators.

In the ``int8`` form every matrix product has 8-bit weights, symmetric, with one scale for each output column; its input
is quantised when it is known, with one scale for the whole tensor. The word table has one scale for each word.

The graph has no attention mask: a batch is one text, or texts of the same number of tokens. That is deliberate. With a
mask, a text's neighbours in the batch would set the scale with which its activations are rounded, and its vector would
change with the company it was in (measured: cosine .992 between one text alone and among 16). Run one at a time, a text
has one vector, and the throughput is the same or better, because nothing is computed for padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["INPUT", "OUTPUT", "Precision", "Weights", "build_graph"]

Precision: TypeAlias = Literal["fp32", "int8"]
Floats: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = Mapping[str, Floats]

INPUT = "input_ids"
"""The graph's input: token numbers, int64, of shape (texts, tokens)."""
OUTPUT = "embedding"
"""The graph's output: unit vectors, float32, of shape (texts, hidden)."""

_FUSED = "com.microsoft"
_OPSET, _FUSED_OPSET, _IR_VERSION = 20, 1, 9
_EPSILON = 1e-12  # BERT's, under the root of the variance
_INT8_MAX = 127


def build_graph(weights: Weights, *, heads: int, precision: Precision = "int8") -> ModelProto:
    """Write the encoder with these weights.

    Args:
        weights: the tensors by the names that BERT checkpoints give them
            ("encoder.layer.0.attention.self.query.weight", ...). The number of layers and the sizes are read from them.
        heads: the attention heads of a layer; the one number that no tensor's shape tells.
        precision: ``"fp32"`` computes what the weights say; ``"int8"`` is about four times smaller and two to three
            times as fast.

    Returns:
        A model from ``input_ids`` (texts, tokens) to ``embedding`` (texts, hidden).

    Raises:
        KeyError: a tensor is missing.
    """
    return _Encoder(weights, heads=heads, precision=precision).model()


class _Encoder:
    """The nodes and constants of one graph, in the order in which they are computed."""

    def __init__(self, weights: Weights, *, heads: int, precision: Precision) -> None:
        self._weights = weights
        self._heads = heads
        self._int8 = precision == "int8"
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def model(self) -> ModelProto:
        """Write every part and put the graph together."""
        x = self._embeddings()
        for layer in range(self._layer_count()):
            x = self._layer(x, f"encoder.layer.{layer}")
        mean = self._add("ReduceMean", [x, self._constant("token_axis", np.array([1], np.int64))], "mean", keepdims=0)
        self._add("LpNormalization", [mean], OUTPUT, axis=1, p=2)
        hidden = self._weights["embeddings.word_embeddings.weight"].shape[1]
        graph = helper.make_graph(
            self._nodes,
            "sentence_encoder",
            [helper.make_tensor_value_info(INPUT, TensorProto.INT64, ["texts", "tokens"])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["texts", hidden])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, _FUSED_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="holdfast")

    def _layer_count(self) -> int:
        return len({name.split(".")[2] for name in self._weights if name.startswith("encoder.layer.")})

    def _embeddings(self) -> str:
        """What stands at each place: the word, its position, the text's type (always the first); added, normalised."""
        base = "embeddings"
        words = self._lookup(f"{base}.word_embeddings.weight")
        text_type = self._weights[f"{base}.token_type_embeddings.weight"][0]
        positions = self._weights[f"{base}.position_embeddings.weight"] + text_type
        shape = self._add("Shape", [INPUT], "tokens", start=1, end=2)
        zero = self._constant("zero", np.array([0], np.int64))
        places = self._add("Slice", [self._constant("positions", positions), zero, shape, zero], "places")
        total = self._add("Add", [words, places], "placed_words")
        norm = [self._tensor(f"{base}.LayerNorm.{part}") for part in ("weight", "bias")]
        return self._add("LayerNormalization", [total, *norm], "embedded", axis=-1, epsilon=_EPSILON)

    def _layer(self, x: str, at: str) -> str:
        """One transformer layer: attention, then the feed-forward part, each with its residual."""
        context = self._attention(x, at)
        attended = self._residual(x, self._product(context, f"{at}.attention.output.dense"), f"{at}.attention.output")
        wide = self._product(attended, f"{at}.intermediate.dense")
        bias = self._tensor(f"{at}.intermediate.dense.bias")
        active = self._add("BiasGelu", [wide, bias], f"{at}.gelu", domain=_FUSED)
        return self._residual(attended, self._product(active, f"{at}.output.dense"), f"{at}.output")

    def _attention(self, x: str, at: str) -> str:
        """Multi-head attention of all tokens to all tokens; the three projections are one matrix, side by side."""
        parts = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        matrix = np.concatenate([self._weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = self._constant(f"{at}.qkv.bias", np.concatenate([self._weights[f"{part}.bias"] for part in parts]))
        out, name = f"{at}.context", f"{at}.qkv.weight"
        if not self._int8:
            inputs = [x, self._constant(name, matrix), bias]
            return self._add("Attention", inputs, out, domain=_FUSED, num_heads=self._heads)
        rounded, scale, zero = (f"{at}.x.{part}" for part in ("int8", "scale", "zero"))
        self._nodes.append(helper.make_node("DynamicQuantizeLinear", [x], [rounded, scale, zero], name=rounded))
        weight, weight_scale, weight_zero = self._rounded_columns(name, matrix)
        no_mask = ""
        inputs = [rounded, weight, bias, scale, weight_scale, no_mask, zero, weight_zero]
        return self._add("QAttention", inputs, out, domain=_FUSED, num_heads=self._heads)

    def _residual(self, x: str, change: str, at: str) -> str:
        """``x + change + bias``, normalised."""
        parts = [self._tensor(f"{at}.{part}") for part in ("LayerNorm.weight", "LayerNorm.bias", "dense.bias")]
        return self._add(
            "SkipLayerNormalization", [change, x, *parts], f"{at}.normalised", domain=_FUSED, epsilon=_EPSILON
        )

    def _product(self, x: str, at: str) -> str:
        """``x`` times the matrix at ``at``; its bias is added by the node that follows."""
        matrix, name, out = self._weights[f"{at}.weight"].T, f"{at}.weight", f"{at}.product"
        if not self._int8:
            return self._add("MatMul", [x, self._constant(name, matrix)], out)
        return self._add("DynamicQuantizeMatMul", [x, *self._rounded_columns(name, matrix)], out, domain=_FUSED)

    def _lookup(self, name: str) -> str:
        """The rows of the word table for the tokens of the input."""
        table = self._weights[name]
        if not self._int8:
            return self._add("Gather", [self._constant(name, table), INPUT], "words")
        rounded, scale = _round(table, axis=1)
        rows = self._add("Gather", [self._constant(f"{name}.int8", rounded), INPUT], "words.int8")
        scales = self._add("Gather", [self._constant(f"{name}.scale", scale), INPUT], "words.scale")
        return self._add("Mul", [self._add("Cast", [rows], "words.cast", to=TensorProto.FLOAT), scales], "words")

    def _rounded_columns(self, name: str, matrix: Floats) -> list[str]:
        """The names of the matrix in 8 bits, its scales and its zero points, one of each for every column."""
        rounded, scale = _round(matrix, axis=0)
        return [
            self._constant(f"{name}.int8", rounded),
            self._constant(f"{name}.scale", scale.reshape(-1)),
            self._constant(f"{name}.zero", np.zeros(matrix.shape[1], np.int8)),
        ]

    def _tensor(self, name: str) -> str:
        return self._constant(name, self._weights[name])

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def _add(self, operator: str, inputs: list[str], out: str, *, domain: str = "", **attributes: float) -> str:
        node = helper.make_node(operator, inputs, [out], name=out, domain=domain)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self._nodes.append(node)
        return out


def _round(matrix: Floats, *, axis: int) -> tuple[NDArray[np.int8], Floats]:
    """Round to 8 bits, symmetrically about 0; one scale for each slice along ``axis`` (kept as an axis of length 1)."""
    peak = np.abs(matrix).max(axis=axis, keepdims=True)
    scale = np.where(peak > 0, peak / _INT8_MAX, 1).astype(np.float32)
    return np.rint(matrix / scale).astype(np.int8), scale
