"""Generates a network of ResNet-50's shape with random weights: for measuring, it knows nothing. How long a
convolution takes does not depend on its weights.

Source of the shape: He et al., "Deep Residual Learning for Image Recognition", 2015, table 1; a block that
halves the image does so in its 3×3 convolution, as the networks do that are in use. Batch normalisation is
left out, as exporters fold it into the convolutions.

Usage: python tests/bench/resnet50.py OUT.onnx
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

# Channels inside of a block, repetitions, stride of the first.
STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]
EXPANSION = 4


class Network:
    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list = []
        self.weights: list = []

    def node(self, operator: str, inputs: list[str], **attributes) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def weight(self, *shape: int, scale: float) -> str:
        name = f"weight_{len(self.weights)}"
        value = self.random.normal(0, scale, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def convolution(self, x: str, channels: int, to: int, size: int, stride: int = 1) -> str:
        # Keeps the variance of the values about the same from layer to layer.
        weights = self.weight(to, channels, size, size, scale=np.sqrt(1 / (channels * size * size)))
        return self.node(
            "Conv", [x, weights, self.weight(to, scale=0.01)], kernel_shape=[size, size],
            strides=[stride, stride], pads=[size // 2] * 4,
        )

    def activated(self, *convolution) -> str:
        return self.node("Relu", [self.convolution(*convolution)])

    def block(self, x: str, channels: int, inside: int, stride: int) -> str:
        to = inside * EXPANSION
        y = self.activated(x, channels, inside, 1)
        y = self.activated(y, inside, inside, 3, stride)
        y = self.convolution(y, inside, to, 1)
        beside = x if channels == to else self.convolution(x, channels, to, 1, stride)
        return self.node("Relu", [self.node("Add", [y, beside])])

    def build(self) -> onnx.ModelProto:
        x = self.activated("image", 3, 64, 7, 2)
        x = self.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        channels = 64
        for inside, repetitions, stride in STAGES:
            for repetition in range(repetitions):
                x = self.block(x, channels, inside, stride if repetition == 0 else 1)
                channels = inside * EXPANSION
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])], axis=1)
        weights = self.weight(channels, 1000, scale=np.sqrt(1 / channels))
        bias = self.weight(1000, scale=0.01)
        self.nodes.append(helper.make_node("Gemm", [x, weights, bias], ["scores"]))
        graph = helper.make_graph(
            self.nodes,
            "resnet50",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1000])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main(out: Path) -> None:
    model = Network().build()
    checker.check_model(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
