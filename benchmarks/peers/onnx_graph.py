"""A case as an ONNX model (opset 20), for runtimes that read such. Weights are constants of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers.base import Ops, Unsupported

OPSET = 20


class Node:
    """A value of the graph, with its shape; Python's operators add nodes."""

    def __init__(self, graph: Graph, name: str, shape: Sequence[int], dtype: np.dtype) -> None:
        self.graph, self.name, self.shape, self.dtype = graph, name, tuple(shape), np.dtype(dtype)

    def _binary(self, kind, other, swap=False):
        other = self.graph.value(other)
        x, y = (other, self) if swap else (self, other)
        return self.graph.add(kind, [x, y], np.broadcast_shapes(x.shape, y.shape))

    def __add__(self, other):
        return self._binary("Add", other)

    def __radd__(self, other):
        return self._binary("Add", other, swap=True)

    def __sub__(self, other):
        return self._binary("Sub", other)

    def __rsub__(self, other):
        return self._binary("Sub", other, swap=True)

    def __mul__(self, other):
        return self._binary("Mul", other)

    def __rmul__(self, other):
        return self._binary("Mul", other, swap=True)

    def __truediv__(self, other):
        return self._binary("Div", other)

    def __neg__(self):
        return self.graph.add("Neg", [self], self.shape)


class Graph:
    """Nodes and constants in order."""

    def __init__(self) -> None:
        self.nodes: list = []
        self.constants: list = []

    def add(self, kind: str, inputs: Sequence[Node], shape: Sequence[int], dtype=np.float32, **attributes) -> Node:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [x.name for x in inputs], [name], **attributes))
        return Node(self, name, shape, dtype)

    def constant(self, array: np.ndarray, name: str | None = None) -> Node:
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return Node(self, name, array.shape, array.dtype)

    def value(self, x) -> Node:
        return x if isinstance(x, Node) else self.constant(np.array(x, np.float32))

    def numbers(self, *numbers: int) -> Node:
        return self.constant(np.array(numbers, np.int64))


class OnnxOps(Ops):
    def __init__(self) -> None:
        self.graph = Graph()

    def _same(self, kind, x, **attributes):
        return self.graph.add(kind, [x], x.shape, **attributes)

    def exp(self, x):
        return self._same("Exp", x)

    def log(self, x):
        return self._same("Log", x)

    def sqrt(self, x):
        return self._same("Sqrt", x)

    def sin(self, x):
        return self._same("Sin", x)

    def tanh(self, x):
        return self._same("Tanh", x)

    def relu(self, x):
        return self._same("Relu", x)

    def gelu(self, x):
        return self._same("Gelu", x)

    def gelu_tanh(self, x):
        return self._same("Gelu", x, approximate="tanh")

    def softmax(self, x):
        return self._same("Softmax", x, axis=-1)

    def maximum(self, x, y):
        return x._binary("Max", y)

    def matmul(self, x, y):
        leading = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        return self.graph.add("MatMul", [x, y], (*leading, x.shape[-2], y.shape[-1]))

    def linear(self, x, w, bias):
        if len(x.shape) == 2:
            return self.graph.add("Gemm", [x, w, bias], (x.shape[0], w.shape[1]))
        return self.matmul(x, w) + bias

    def transpose(self, x, perm):
        return self.graph.add("Transpose", [x], [x.shape[a] for a in perm], perm=list(perm))

    def reshape(self, x, shape):
        return self.graph.add("Reshape", [x, self.graph.numbers(*shape)], shape)

    def sum(self, x, axis=None):
        return self._reduce("ReduceSum", x, axis)

    def mean(self, x):
        return self._reduce("ReduceMean", x, None)

    def _reduce(self, kind, x, axis):
        if axis is None:
            return self.graph.add(kind, [x], (), keepdims=0)
        axis %= len(x.shape)
        return self.graph.add(kind, [x, self.graph.numbers(axis)], x.shape[:axis] + x.shape[axis + 1 :], keepdims=0)

    def argmax(self, x):
        return self.graph.add("ArgMax", [x], x.shape[:-1], np.int64, axis=-1, keepdims=0)

    def cumsum(self, x):
        return self.graph.add("CumSum", [x, self.graph.constant(np.array(len(x.shape) - 1, np.int64))], x.shape)

    def layernorm(self, x, gain, bias):
        return self.graph.add("LayerNormalization", [x, gain, bias], x.shape, axis=-1, epsilon=1e-5)

    def attention(self, q, k, v):
        scores = self.matmul(q * float(q.shape[-1] ** -0.5), self.transpose(k, (0, 1, 3, 2)))
        return self.matmul(self.softmax(scores), v)

    def xent(self, logits, targets):
        return -self.mean(self.sum(targets * self._same("LogSoftmax", logits, axis=-1), -1))

    def conv2d(self, x, w, groups=1):
        kernel = list(w.shape[2:])
        before, after = [n // 2 for n in kernel], [(n - 1) // 2 for n in kernel]
        return self.graph.add("Conv", [x, w], (x.shape[0], w.shape[0], *x.shape[2:]), kernel_shape=kernel, pads=[*before, *after], group=groups)

    def concat(self, xs, axis):
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        return self.graph.add("Concat", xs, shape, axis=axis)

    def take(self, table, ids):
        return self.graph.add("Gather", [table, ids], (*ids.shape, *table.shape[1:]), axis=0)

    def rows(self, x, start, stop):
        return self._slice(x, 0, start, stop)

    def cols(self, x, start, stop):
        return self._slice(x, 1, start, stop)

    def _slice(self, x, axis, start, stop):
        shape = list(x.shape)
        shape[axis] = stop - start
        numbers = [self.graph.numbers(n) for n in (start, stop, axis)]
        return self.graph.add("Slice", [x, *numbers], shape)


def model_of(xp: OnnxOps, function: Callable, arrays: Mapping[str, np.ndarray], weights: Sequence[str]) -> tuple[bytes, list[str]]:
    """The model that `function`, written with `xp`, becomes, and the names of its inputs; `weights` are constants of it."""
    xp.graph = graph = Graph()
    values, inputs = [], []
    for name, array in arrays.items():
        if name in weights:
            values.append(graph.constant(array, name))
        else:
            values.append(Node(graph, name, array.shape, array.dtype))
            inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape))
    results = function(*values)
    results = results if isinstance(results, list | tuple) else [results]
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
    outputs = [helper.make_tensor_value_info(r.name, kinds[r.dtype], r.shape) for r in results]
    body = helper.make_graph(graph.nodes, "case", inputs, outputs, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    try:
        return model.SerializeToString(), [i.name for i in inputs]
    except ValueError as error:
        raise Unsupported(f"the model is too large: {error}") from None
