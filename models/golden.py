"""Writes a model beside its golden cases: requests, and what ONNX Runtime answers to them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime

DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "object": "BYTES",
}


def sine(shape: list[int], step: float) -> np.ndarray:
    """Values that can be written down as a formula: element i is sin(i * step)."""
    count = int(np.prod(shape))
    return np.sin(np.arange(count, dtype=np.float64) * step).astype(np.float32).reshape(shape)


def write(
    out: Path,
    model: bytes,
    cases: dict[str, dict],
    formulas: dict | None = None,
    judge: bytes | None = None,
    asked: dict[str, list[dict]] | None = None,
) -> None:
    """Writes `model.onnx` and `golden.json` into `out`.

    `cases` maps the name of a case to its inputs. `formulas` maps the name of a case to the step of
    `sine` that made its only input, which is then not written out. `judge` is the model that ONNX
    Runtime is given, where that is another file; `asked` are the inputs that it is given, where they are
    others, in lists of requests whose answers belong together.
    """
    session = onnxruntime.InferenceSession(judge or model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    written = []
    for name, inputs in cases.items():
        outputs = answers(session, names, (asked or {}).get(name, [inputs]))
        written.append(
            {
                "name": name,
                "inputs": [
                    tensor(key, value, (formulas or {}).get(name)) for key, value in inputs.items()
                ],
                "outputs": [tensor(key, as_tensor(value)) for key, value in outputs.items()],
            }
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(model)
    content = {
        "source_sha256": hashlib.sha256(model).hexdigest(),
        "computed_by": f"onnxruntime {onnxruntime.__version__}",
        "cases": written,
    }
    (out / "golden.json").write_text(json.dumps(content, indent=1) + "\n")


def answers(session, names: list[str], requests: list[dict]) -> dict:
    """What the model answers; the rows of several requests one below the other."""
    if len(requests) == 1:
        return dict(zip(names, session.run(names, requests[0])))
    columns = zip(*(session.run(names, request) for request in requests))
    return {name: np.concatenate(rows) for name, rows in zip(names, columns)}


def as_tensor(value) -> np.ndarray:
    """ZipMap answers a list of maps from class to score: their values, in the order of the classes."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return np.array([list(row.values()) for row in value], np.float32)
    return np.asarray(value)


def tensor(name: str, value: np.ndarray, step: float | None = None) -> dict:
    described = {
        "name": name,
        "datatype": DATATYPES[value.dtype.name],
        "shape": list(value.shape),
    }
    if step is not None:
        return described | {"sine": step}
    return described | {"data": [element(item) for item in value.ravel().tolist()]}


def element(item):
    if isinstance(item, float) and not np.isfinite(item):
        return "NaN" if np.isnan(item) else "Infinity" if item > 0 else "-Infinity"
    return item
