"""Networks as ONNX Runtime's quantizers write them: `python tests/e2e/quantized.py FOLDER`.

FOLDER/NAME has model.onnx and golden.json. Weights are drawn; every way to write a layer down is there,
and what layers look like that cannot be folded into one.
"""

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent.parent / "models"))

import golden  # noqa: E402
from onnxruntime.quantization import (  # noqa: E402
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

SIGNED, UNSIGNED = QuantType.QInt8, QuantType.QUInt8
CASES = 3


class Network:
    """Nodes one after the other."""

    def __init__(self, shape: list):
        self.shape, self.nodes, self.weights, self.last = shape, [], [], "x"
        self.draws = np.random.default_rng(len(shape))

    def drawn(self, *shape) -> str:
        name = f"w{len(self.weights)}"
        values = self.draws.normal(size=shape) / max(np.prod(shape[1:]), 1) ** 0.5
        return self.constant(name, values.astype(np.float32))

    def constant(self, name: str, values) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def then(self, operator: str, *others: str, of: str | None = None, **attributes) -> str:
        output = f"v{len(self.nodes)}"
        inputs = [of or self.last, *others]
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"n{len(self.nodes)}", **attributes))
        self.last = output
        return output

    def model(self) -> onnx.ModelProto:
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            "quantized",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def image() -> Network:
    """Convolutions with steps, borders, limits, groups, and around a sum."""
    net = Network(["N", 3, 17, 22])
    net.then("Conv", net.drawn(12, 3, 3, 3), net.drawn(12), strides=[2, 2], pads=[1, 1, 1, 1])
    net.then("Clip", net.constant("least", np.float32(0)), net.constant("most", np.float32(1.5)))
    before = net.then("Conv", net.drawn(12, 1, 3, 3), net.drawn(12), group=12, pads=[1, 1, 1, 1])
    net.then("Relu")
    after = net.then("Conv", net.drawn(12, 12, 1, 1), net.drawn(12))
    net.then("Add", before, of=after)
    net.then("Conv", net.drawn(24, 1, 5, 5), net.drawn(24), group=12, strides=[2, 1], auto_pad="SAME_UPPER")
    net.then("Conv", net.drawn(9, 8, 3, 2), group=3, dilations=[1, 2])
    net.then("Sigmoid")
    net.then("GlobalAveragePool")
    net.then("Flatten")
    net.then("Gemm", net.drawn(7, 9), net.drawn(7), transB=1)
    return net


def rows() -> Network:
    """Products of rows, some of them with a bias apart.

    None ends in softmax: ONNX Runtime computes that on levels by integers, which can be a level off.
    """
    net = Network(["N", 20])
    net.then("MatMul", net.drawn(20, 33))
    net.then("Add", net.drawn(33))
    net.then("Relu")
    net.then("Gemm", net.drawn(33, 16), net.drawn(16))
    net.then("Tanh")
    net.then("MatMul", net.drawn(16, 5))
    return net


def sequence() -> Network:
    """Windows along one axis, and products of rows that are a step each."""
    net = Network(["N", 6, 31])
    net.then("Conv", net.drawn(10, 6, 5), net.drawn(10), strides=[2], pads=[2, 1])
    net.then("Relu")
    net.then("Conv", net.drawn(10, 1, 3), group=10)
    left = net.then("Transpose", perm=[0, 2, 1])
    right = net.then("MatMul", net.drawn(10, 10))
    net.then("Transpose", perm=[0, 2, 1])
    net.then("MatMul", net.last, of=left)
    net.then("MatMul", right)
    net.then("ReduceMean", axes=[1], keepdims=0)
    return net


def wide() -> Network:
    """Weights that are most of a modelet."""
    net = Network(["N", 2000])
    net.then("MatMul", net.drawn(2000, 2000))
    net.then("Relu")
    net.then("MatMul", net.drawn(2000, 5))
    return net


class Samples(CalibrationDataReader):
    def __init__(self, net: Network):
        self.left = [{"x": sample(net, seed, 4)} for seed in range(4)]

    def get_next(self):
        return self.left.pop() if self.left else None


def sample(net: Network, seed: int, items: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=[items, *net.shape[1:]]).astype(np.float32)


def fits(weights: QuantType) -> bool:
    """Whether weights are to have seven bits: with eight, ONNX Runtime's sums of two products overflow on processors
    without instructions for them, and its answers are others."""
    return weights == SIGNED


def static(form: QuantFormat, activations: QuantType, weights: QuantType, per_channel: bool):
    def quantize(net: Network, source: Path, to: Path) -> None:
        quantize_static(
            source,
            to,
            Samples(net),
            quant_format=form,
            per_channel=per_channel,
            activation_type=activations,
            weight_type=weights,
            reduce_range=fits(weights),
        )

    return quantize


def dynamic(weights: QuantType, per_channel: bool):
    def quantize(_net: Network, source: Path, to: Path) -> None:
        quantize_dynamic(
            source, to, weight_type=weights, per_channel=per_channel, reduce_range=fits(weights)
        )

    return quantize


WAYS = {
    "qdq": static(QuantFormat.QDQ, UNSIGNED, SIGNED, per_channel=True),
    "qdq-signed": static(QuantFormat.QDQ, SIGNED, SIGNED, per_channel=False),
    "qdq-unsigned": static(QuantFormat.QDQ, UNSIGNED, UNSIGNED, per_channel=False),
    "operators": static(QuantFormat.QOperator, UNSIGNED, SIGNED, per_channel=True),
    "operators-unsigned": static(QuantFormat.QOperator, UNSIGNED, UNSIGNED, per_channel=False),
    "dynamic": dynamic(SIGNED, per_channel=False),
    "dynamic-unsigned": dynamic(UNSIGNED, per_channel=False),
    "dynamic-channels": dynamic(SIGNED, per_channel=True),
}


def main(out: Path) -> None:
    # It asks for a step before quantizing that these networks have no use for.
    logging.disable(logging.WARNING)
    for network in [image, rows, sequence, wide]:
        net = network()
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source.onnx"
            onnx.save(net.model(), source)
            for way, quantize in WAYS.items():
                to = Path(folder) / "quantized.onnx"
                quantize(net, source, to)
                # The range of a batch is that of all of its items: one item is a case of its own.
                cases = {f"{items} items": {"x": sample(net, 100 + items, items)} for items in range(1, CASES + 1)}
                golden.write(out / f"{network.__name__}-{way}", to.read_bytes(), cases)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
