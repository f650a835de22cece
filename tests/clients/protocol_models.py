"""ONNX models that show what the protocol carries and what a host stands: `python protocol_models.py FOLDER`."""

import sys
from pathlib import Path

from onnx import TensorProto, checker, helper, save

FOLDER = Path(sys.argv[1])

DATATYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def tensor(name, datatype, shape):
    return helper.make_tensor_value_info(name, DATATYPES[datatype], shape)


def write(name, inputs, outputs, *nodes):
    nodes = [helper.make_node(operator, given.split(), [made], **rest) for operator, given, made, rest in nodes]
    graph = helper.make_graph(nodes, name, inputs, outputs)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    checker.check_model(model, full_check=True)
    save(model, FOLDER / f"{name}.onnx")


def identity():
    """Every datatype comes back as it went, any number of pairs."""
    write(
        "identity",
        [tensor(name, name, ["pairs", 2]) for name in DATATYPES],
        [tensor(f"{name}_OUT", name, ["pairs", 2]) for name in DATATYPES],
        *[("Identity", name, f"{name}_OUT", {}) for name in DATATYPES],
    )


def simple():
    """The sum and the difference, under the names that Triton's examples ask for."""
    write(
        "simple",
        [tensor(name, "INT32", [1, 16]) for name in ("INPUT0", "INPUT1")],
        [tensor(name, "INT32", [1, 16]) for name in ("OUTPUT0", "OUTPUT1")],
        ("Add", "INPUT0 INPUT1", "OUTPUT0", {}),
        ("Sub", "INPUT0 INPUT1", "OUTPUT1", {}),
    )


def double():
    """A tensor of no dimension."""
    write("double", [tensor("x", "FP32", [])], [tensor("y", "FP32", [])], ("Add", "x x", "y", {}))


def quotient():
    """Infinities and what is no number."""
    names = [tensor(name, "FP32", ["n"]) for name in ("x", "y")]
    write("quotient", names, [tensor("q", "FP32", ["n"])], ("Div", "x y", "q", {}))


def whole_quotient():
    """x ÷ (y − 1): no answer at all where y is 1."""
    names = [tensor(name, "INT32", ["n"]) for name in ("x", "y")]
    one = helper.make_tensor("one", TensorProto.INT32, [], [1])
    write(
        "whole_quotient", names, [tensor("q", "INT32", ["n"])],
        ("Constant", "", "one", {"value": one}),
        ("Sub", "y one", "divisor", {}),
        ("Div", "x divisor", "q", {}),
    )


def table():
    """As much memory as the lengths of two small inputs say."""
    write(
        "table",
        [tensor("column", "FP32", ["n", 1]), tensor("row", "FP32", [1, "m"])],
        [tensor("sum", "FP32", [1, 1])],
        ("Mul", "column row", "products", {}),
        ("ReduceSum", "products", "sum", {"keepdims": 1}),
    )


def labour():
    """As much time as the length of a small input says, to the third power."""
    chain = [("MatMul", f"m{step} m{step}", f"m{step + 1}", {}) for step in range(32)]
    write(
        "labour",
        [tensor("x", "FP32", ["n", 1])],
        [tensor("mean", "FP32", [1, 1])],
        ("Transpose", "x", "t", {"perm": [1, 0]}),
        ("MatMul", "x t", "m0", {}),
        *chain,
        ("ReduceMean", "m32", "mean", {"axes": [0, 1], "keepdims": 1}),
    )


FOLDER.mkdir(parents=True, exist_ok=True)
for model in (identity, simple, double, quotient, whole_quotient, table, labour):
    model()
