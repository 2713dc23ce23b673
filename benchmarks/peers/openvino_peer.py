"""OpenVINO in f32, given an ONNX model. Forward only."""

from __future__ import annotations

import openvino

from benchmarks.peers.base import Peer
from benchmarks.peers.onnx_graph import OnnxOps, model_of


class OpenVino(Peer):
    def __init__(self, threads):
        super().__init__(threads)
        self.xp = OnnxOps()
        self.core = openvino.Core()
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        self.core.set_property("CPU", settings)

    def version(self):
        return f"OpenVINO {openvino.__version__.partition('-')[0]}"

    def prepare(self, case, arrays):
        self.arrays = arrays
        return list(arrays.values())

    def forward(self, case, function, args):
        model, names = model_of(self.xp, function, self.arrays, case.weights)
        request = self.core.compile_model(self.core.read_model(model), "CPU").create_infer_request()
        if not case.from_numpy:
            for name in names:
                request.set_tensor(name, openvino.Tensor(self.arrays[name], shared_memory=True))
        outputs = range(len(request.model_outputs))

        def run():
            if case.from_numpy:
                request.infer({name: self.arrays[name] for name in names})
            else:
                request.infer()
            return [request.get_output_tensor(i).data for i in outputs]

        return run


peer = OpenVino
