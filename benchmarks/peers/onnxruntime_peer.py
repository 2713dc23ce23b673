"""ONNX Runtime, given an ONNX model with all of its own optimizations. Forward only."""

from __future__ import annotations

import onnxruntime

from benchmarks.peers.base import Peer
from benchmarks.peers.onnx_graph import OnnxOps, model_of


class OnnxRuntime(Peer):
    def __init__(self, threads):
        super().__init__(threads)
        self.xp = OnnxOps()

    def version(self):
        return f"ONNX Runtime {onnxruntime.__version__}"

    def prepare(self, case, arrays):
        self.arrays = arrays
        return list(arrays.values())

    def forward(self, case, function, args):
        model, names = model_of(self.xp, function, self.arrays, case.weights)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        inputs = {name: self.arrays[name] for name in names}
        return lambda: session.run(None, inputs)


peer = OnnxRuntime
