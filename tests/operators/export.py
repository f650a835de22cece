"""Writes operator cases as plain files, so that the Rust test needs no Python: `export.py DIRECTORY`.

Two sources: the node tests that the `onnx` package builds, with the outputs it expects, and the cases
of `ml.py` and `features.py`, with the outputs of ONNX Runtime. Each case is DIRECTORY/<name>/ with model.onnx and one
file of little-endian, row-major bytes per tensor (BYTES elements have a four-byte length in front).
Where there are several inputs, constant.onnx is the same model with all but the first inside, as
exporters write axes, shapes and weights.
DIRECTORY/index.json lists the cases; it is written last, so a directory with an index is complete.
"""

import json
import pathlib
import struct
import sys
import warnings

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

# The module beside this one leaves no compiled file in the tree.
sys.dont_write_bytecode = True
import features  # noqa: E402
import ml  # noqa: E402

DATATYPES = {
    TensorProto.BOOL: ("BOOL", "?"),
    TensorProto.UINT8: ("UINT8", "u1"),
    TensorProto.UINT16: ("UINT16", "<u2"),
    TensorProto.UINT32: ("UINT32", "<u4"),
    TensorProto.UINT64: ("UINT64", "<u8"),
    TensorProto.INT8: ("INT8", "i1"),
    TensorProto.INT16: ("INT16", "<i2"),
    TensorProto.INT32: ("INT32", "<i4"),
    TensorProto.INT64: ("INT64", "<i8"),
    TensorProto.FLOAT16: ("FP16", "<f2"),
    TensorProto.FLOAT: ("FP32", "<f4"),
    TensorProto.DOUBLE: ("FP64", "<f8"),
    TensorProto.STRING: ("BYTES", None),
}


def main(directory):
    warnings.simplefilter("ignore", RuntimeWarning)
    # Some cases draw their data when they are built.
    np.random.seed(0)
    cases = [node_case(case) for case in collect_testcases(None)]
    own = [*ml.cases(), *features.cases()]
    cases += [runtime_case(name, model, inputs) for name, model, inputs in own]
    index = []
    for case in sorted(cases, key=lambda case: case["name"]):
        index.append(write(directory / case["name"], case))
    (directory / "index.json").write_text(json.dumps(index, indent=1))


def node_case(case):
    inputs, outputs = case.data_sets[0]
    return {
        "name": case.name,
        "operator": operator(case),
        "expanded": "_expanded" in case.name,
        "model": case.model,
        "inputs": inputs,
        "outputs": outputs,
    }


def operator(case):
    """The operator a case is about; an expanded case is named after the one it was expanded from."""
    if "_expanded" not in case.name:
        (node,) = case.model.graph.node
        OPERATORS[case.name] = (node.domain, node.op_type)
    return OPERATORS[case.name.split("_expanded")[0]]


OPERATORS = {}


def runtime_case(name, model, inputs):
    node = model.graph.node[0]
    return {
        "name": name,
        "operator": (node.domain, node.op_type),
        "expanded": False,
        "model": model,
        "inputs": inputs,
        "outputs": ml.outputs(model, inputs),
    }


def write(directory, case):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.onnx").write_bytes(case["model"].SerializeToString())
    graph = case["model"].graph
    entry = {
        "name": case["name"],
        "domain": case["operator"][0],
        "operator": case["operator"][1],
        "expanded": case["expanded"],
        "outside": outside(graph),
        "inputs": [],
        "outputs": [],
    }
    if entry["outside"] is None:
        if len(graph.input) > 1:
            (directory / "constant.onnx").write_bytes(constant(case).SerializeToString())
        for side, infos in (("inputs", graph.input), ("outputs", graph.output)):
            for position, (info, value) in enumerate(zip(infos, case[side], strict=True)):
                file = f"{side[:-1]}_{position}.bin"
                entry[side].append(write_tensor(directory / file, info, value) | {"file": file})
    return entry


def constant(case):
    model = onnx.ModelProto()
    model.CopyFrom(case["model"])
    infos = list(model.graph.input)[1:]
    del model.graph.input[1:]
    for info, value in zip(infos, case["inputs"][1:], strict=True):
        if not isinstance(value, TensorProto):
            value = numpy_helper.from_array(np.asarray(value))
        model.graph.initializer.add().CopyFrom(value)
        model.graph.initializer[-1].name = info.name
    return model


def outside(graph):
    """Why the serving protocol cannot carry the case; None where it can."""
    for info in [*graph.input, *graph.output]:
        kind = info.type.WhichOneof("value").removesuffix("_type")
        if kind == "sequence" and info in graph.output and graph.node[-1].op_type == "ZipMap":
            continue
        if kind != "tensor":
            return f"{kind} values"
        elem_type = info.type.tensor_type.elem_type
        if elem_type not in DATATYPES:
            return f"{TensorProto.DataType.Name(elem_type)} tensors"
    return None


def write_tensor(path, info, value):
    if isinstance(value, TensorProto):
        value = numpy_helper.to_array(value)
    value = np.asarray(value)
    elem_type = info.type.tensor_type.elem_type or TensorProto.FLOAT
    datatype, dtype = DATATYPES[elem_type]
    path.write_bytes(text_bytes(value) if dtype is None else value.astype(dtype).tobytes())
    return {"name": info.name, "datatype": datatype, "shape": list(value.shape)}


def text_bytes(array):
    elements = [text if isinstance(text, bytes) else str(text).encode() for text in array.flatten()]
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
