"""Quantizes a network of images: activations to UINT8, weights to INT8 for each channel, between QuantizeLinear and
DequantizeLinear. It is calibrated with noise: for measuring, not for knowing anything.

Usage: python tests/bench/quantized.py NETWORK.onnx OUT.onnx
"""

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

IMAGES = 2


class Noise(CalibrationDataReader):
    def __init__(self, network: Path) -> None:
        image = onnx.load(network).graph.input[0]
        # What has no size is asked for one image.
        shape = [dimension.dim_value or 1 for dimension in image.type.tensor_type.shape.dim]
        random = np.random.default_rng(0)
        self.left = [{image.name: random.normal(size=shape).astype(np.float32)} for _ in range(IMAGES)]

    def get_next(self):
        return self.left.pop() if self.left else None


def main(network: Path, out: Path) -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(network, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            out,
            Noise(network),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
