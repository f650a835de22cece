"""Generates a network of MobileNetV2's shape with random weights: for measuring, it knows nothing.

Source of the shape: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018,
table 2. Batch normalisation is left out, as it would be folded into the convolutions.

Usage: python models/mobilenet/recipe.py OUTDIR
"""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import golden

# Expansion, channels, repetitions, stride of the first.
BLOCKS = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


class Network:
    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list = []
        self.weights: list = []

    def node(self, operator: str, inputs: list[str], **attributes) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def weight(self, value: np.ndarray) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def convolution(
        self, x: str, channels: int, to: int, size: int, stride: int = 1, group: int = 1,
        activate: bool = True,
    ) -> str:
        fan_in = channels // group * size * size
        # Keeps the variance of the values about the same from layer to layer.
        scale = np.sqrt((2 if activate else 1) / fan_in)
        shape = (to, channels // group, size, size)
        weights = self.weight(self.random.normal(0, scale, shape))
        bias = self.weight(self.random.normal(0, 0.01, to))
        pad = size // 2
        x = self.node(
            "Conv", [x, weights, bias], kernel_shape=[size, size], strides=[stride, stride],
            pads=[pad] * 4, group=group,
        )
        if activate:
            x = self.node("Clip", [x, self.zero, self.six])
        return x

    def block(self, x: str, channels: int, to: int, expansion: int, stride: int) -> str:
        wide = channels * expansion
        y = self.convolution(x, channels, wide, 1) if expansion > 1 else x
        y = self.convolution(y, wide, wide, 3, stride, group=wide)
        y = self.convolution(y, wide, to, 1, activate=False)
        return self.node("Add", [x, y]) if stride == 1 and channels == to else y

    def build(self) -> bytes:
        self.zero = self.weight(np.array(0.0))
        self.six = self.weight(np.array(6.0))
        x = self.convolution("image", 3, 32, 3, 2)
        channels = 32
        for expansion, to, repetitions, stride in BLOCKS:
            for repetition in range(repetitions):
                x = self.block(x, channels, to, expansion, stride if repetition == 0 else 1)
                channels = to
        x = self.convolution(x, channels, 1280, 1)
        x = self.node("GlobalAveragePool", [x])
        x = self.node("Flatten", [x], axis=1)
        weights = self.weight(self.random.normal(0, np.sqrt(1 / 1280), (1280, 1000)))
        bias = self.weight(np.zeros(1000))
        self.nodes.append(helper.make_node("Gemm", [x, weights, bias], ["scores"]))
        graph = helper.make_graph(
            self.nodes,
            "mobilenet",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 224, 224])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1000])],
            self.weights,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
            producer_name="modelet",
        )
        checker.check_model(model)
        return model.SerializeToString()


def main(out: Path) -> None:
    model = Network().build()
    print(f"mobilenet: {len(model) / 1e6:.1f} MB of random weights")
    step = 0.01
    cases = {
        "a wave": {"image": golden.sine([1, 3, 224, 224], step)},
        "three images": {"image": golden.sine([3, 3, 224, 224], step)},
    }
    golden.write(out, model, cases, dict.fromkeys(cases, step))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
