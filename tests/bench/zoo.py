"""How long ONNX Runtime takes for one row, in process: `python tests/bench/zoo.py target/zoo` prints the
median seconds of each model of the zoo as JSON. Models that it cannot be given a tensor for, or that
want a locale which the machine has not, are left out.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

CALLS = 200
DTYPES = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "BYTES": object}


def array(tensor: dict) -> np.ndarray:
    data = [float(item) if isinstance(item, str) and tensor["datatype"] != "BYTES" else item for item in tensor["data"]]
    return np.array(data, DTYPES[tensor["datatype"]]).reshape(tensor["shape"])


def median(folder: Path) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    case = json.loads((folder / "golden.json").read_text())["cases"][0]
    inputs = {tensor["name"]: array(tensor) for tensor in case["inputs"]}
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        session.run(None, inputs)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(zoo: Path) -> None:
    medians = {}
    for entry in json.loads((zoo / "index.json").read_text()):
        if "outside" in entry:
            continue
        try:
            medians[entry["slug"]] = median(zoo / entry["slug"])
        except Exception as error:
            print(f"{entry['slug']}: {error}", file=sys.stderr)
    print(json.dumps(medians))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
