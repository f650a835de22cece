"""How long ONNX Runtime takes for a call, in process and with one thread: the median in seconds.

Usage: python tests/bench/ort.py MODEL.onnx SECONDS
"""

import statistics
import sys
import time

import numpy as np
import onnxruntime

DTYPES = {"tensor(float)": np.float32, "tensor(int32)": np.int32}


def zeros(tensor: onnxruntime.NodeArg) -> np.ndarray:
    # What has no size is asked for one row.
    shape = [size if isinstance(size, int) else 1 for size in tensor.shape]
    return np.zeros(shape, DTYPES[tensor.type])


def median(path: str, budget: float) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {tensor.name: zeros(tensor) for tensor in session.get_inputs()}
    session.run(None, inputs)
    times = []
    end = time.perf_counter() + budget
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, inputs)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    print(median(sys.argv[1], float(sys.argv[2])))
