"""Writes a model of 100 MB, one matrix: for measuring what a model's size costs.

Usage: python tests/bench/large.py OUT.onnx
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 5000

weights = np.random.default_rng(0).normal(0, 0.01, (SIZE, SIZE)).astype(np.float32)
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "weights"], ["y"])],
    "large",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIZE])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, SIZE])],
    [numpy_helper.from_array(weights, "weights")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
out = Path(sys.argv[1])
out.parent.mkdir(parents=True, exist_ok=True)
onnx.save(model, out)
