"""Models that cannot run, and what a user must read: `python tests/zoo/refused.py FOLDER`.

FOLDER/index.json maps each file to the words that `modelet build` has to say of it: the operator, the
node where there is one, and what to do.
"""

import json
import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(sys.argv[1])
ML = "ai.onnx.ml"
says = {}


def info(name, shape=("N", 2), of=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, of, shape)


def model(nodes, inputs=None, outputs=None, weights=(), opset=17, ml=3, **others):
    graph = helper.make_graph(
        nodes, "refused", inputs or [info("x")], outputs or [info("y", None)], initializer=list(weights), **others
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, ml)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def node(operator, inputs="x", outputs="y", name="it", **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), name=name, **attributes)


def refused(name, proto, *words):
    content = proto if isinstance(proto, bytes) else proto.SerializeToString()
    (FOLDER / f"{name}.onnx").write_bytes(content)
    says[f"{name}.onnx"] = words


def operators():
    one = lambda operator, domain="", **rest: model([node(operator, domain=domain, **rest)])
    refused("unknown", one("Foo"), "Foo", "`it`", "target_opset")
    refused("custom", one("Foo", "mine"), "mine.Foo", "`it`", "ONNX function")
    refused("namesake", one("Neg", "mine"), "mine.Neg", "`it`", "ONNX function")
    refused("contrib", one("FusedGemm", "com.microsoft"), "com.microsoft.FusedGemm", "`it`", "optimiser")
    refused("attention", one("Attention", "com.microsoft"), "com.microsoft.Attention", "`it`", "optimiser")
    refused("extensions", one("BertTokenizer", "ai.onnx.contrib"), "BertTokenizer", "onnxruntime-extensions")
    refused("aten", one("ATen", "org.pytorch.aten"), "ATen", "`it`", "dynamo=True")
    refused("nameless", one("Foo", name=""), "Foo", "`y`")
    refused("solve", one("Solve", "com.microsoft"), "Solve", "SVC(probability=True)")
    refused("unique", one("Unique"), "Unique", "`it`", "target_opset")
    refused("split", one("StringSplit"), "StringSplit", "before they are sent")


def control_flow():
    body = helper.make_graph(
        [node("Identity", "c", "d"), node("Add", "v v", "w")],
        "body",
        [info("i", [], TensorProto.INT64), info("c", [], TensorProto.BOOL), info("v")],
        [info("d", [], TensorProto.BOOL), info("w")],
    )
    times = numpy_helper.from_array(np.array(3, np.int64), "times")
    refused("loop", model([helper.make_node("Loop", ["times", "", "x"], ["y"], name="it", body=body)], weights=[times]), "Loop", "`it`", "write the loop out")
    sequence = [node("SplitToSequence", "x", "s", "parts"), node("SequenceAt", "s zero", "y", "pick")]
    zero = numpy_helper.from_array(np.array(0, np.int64), "zero")
    refused("sequence", model(sequence, weights=[zero]), "SplitToSequence", "`parts`", "zipmap")
    branch = lambda operator: helper.make_graph([node(operator, "x", "z", "inside")], operator, [], [info("z", None)])
    chosen = node("If", "flag", "y", then_branch=branch("Foo"), else_branch=branch("Neg"))
    refused("branch", model([chosen], [info("x"), info("flag", [], TensorProto.BOOL)]), "Foo", "`inside`")
    outside = helper.make_graph([], "outside", [], [info("x", None)])
    chosen = node("If", "flag", "y", then_branch=branch("Neg"), else_branch=outside)
    refused("outside", model([chosen], [info("x"), info("flag", [], TensorProto.BOOL)]), "`x`", "check_model")


def attributes():
    ml = lambda operator, outputs="y", **rest: model([node(operator, outputs=outputs, domain=ML, **rest)])
    refused("scaler", ml("Scaler", offset=[0.0, 1.0, 2.0], scale=[1.0, 2.0]), "`it`", "Scaler", "offset")
    refused("svm", ml("SVMRegressor", kernel_type="MINE", n_supports=1, support_vectors=[1.0, 2.0], coefficients=[1.0], rho=[0.0]), "`it`", "SVMRegressor", "MINE")
    refused("norm", ml("Normalizer", norm="L9"), "`it`", "Normalizer", "L9")
    texts = lambda operator, **rest: model([node(operator, **rest)], [info("x", ["N"], TensorProto.STRING)])
    refused(
        "tokenizer",
        texts("Tokenizer", domain="com.microsoft", mark=0, mincharnum=1, pad_value="", tokenexp="(?<=a)b"),
        "`it`", "com.microsoft.Tokenizer", "(?<=a)b", "tokenexp': '[a-zA-Z0-9_]+'",
    )
    refused("case", texts("StringNormalizer", case_change_action="TITLE"), "`it`", "StringNormalizer", "TITLE")
    refused("float8", model([node("Cast", to=TensorProto.FLOAT8E4M3FN)]), "`it`", "Cast", "datatype")


def trees():
    def ensemble(**changed):
        weights = lambda name, values: helper.make_tensor(name, TensorProto.FLOAT, [len(values)], values)
        lists = {
            "nodes_splits": weights("nodes_splits", [0.5]),
            "nodes_modes": helper.make_tensor("nodes_modes", TensorProto.UINT8, [1], [0]),
            "nodes_featureids": [0], "nodes_truenodeids": [0], "nodes_trueleafs": [1],
            "nodes_falsenodeids": [1], "nodes_falseleafs": [1], "tree_roots": [0],
            "leaf_weights": weights("leaf_weights", [1.0, 2.0]), "leaf_targetids": [0, 0], "n_targets": 1,
        }
        return model([node("TreeEnsemble", domain=ML, **lists | changed)], ml=5)

    for name, changed, reason in [
        ("tree-cycle", {"nodes_trueleafs": [0]}, "reached twice"),
        ("tree-far", {"nodes_falsenodeids": [1 << 62]}, "is not there"),
        ("tree-short", {"nodes_featureids": [0, 0]}, "1 elements, got 2"),
        ("tree-feature", {"nodes_featureids": [-1]}, "is no feature"),
        ("tree-target", {"n_targets": 1 << 40}, "n_targets"),
    ]:
        refused(name, ensemble(**changed), "`it`", "TreeEnsemble", reason, "convert again")


def shapes():
    table = numpy_helper.from_array(np.zeros((3, 2), np.float32), "w")
    refused("shapes", model([node("MatMul", "x w")], weights=[table]), "`it`", "MatMul", "--input 'x=FP32[<N>,2]'")
    fixed = model([node("MatMul", "x w")], [info("x", [1, 2])], weights=[table])
    refused("fixed-shapes", fixed, "`it`", "MatMul", "docs/operators.md")


def files():
    neg = [node("Neg")]
    refused("new", model(neg, opset=99), "opset 99", "newest that is known is 28", "target_opset")
    old = model([node("Add", "x x", broadcast=1)], opset=6)
    refused("old", old, "`it` (Add)", "`broadcast`", "opset 6", "version_converter")
    refused("new-ml", model(neg, ml=9), "opset 9 of ai.onnx.ml", "newest that is known is 5", "target_opset")
    table = numpy_helper.from_array(np.zeros((2, 2), np.float32), "w")
    table.ClearField("raw_data")
    table.data_location = TensorProto.EXTERNAL
    table.external_data.add(key="location", value="model.onnx.data")
    product = [node("MatMul", "x w")]
    refused("external", model(product, weights=[table]), "`w`", "`model.onnx.data`", "onnx.save(")
    half = helper.make_tensor("w", TensorProto.BFLOAT16, [2, 2], [0.0] * 4)
    refused("bfloat16", model(product, weights=[half]), "`w`", "BFLOAT16", "FLOAT16")
    refused("bfloat16-input", model(neg, [info("x", ["N", 2], TensorProto.BFLOAT16)]), "`x`", "BFLOAT16", "cast inside")
    texts = TensorProto(name="w", data_type=TensorProto.STRING, dims=[1], raw_data=b"abcd")
    refused("raw-texts", model(product, weights=[texts]), "`w`", "raw bytes")
    short = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 2], raw_data=b"abcd")
    refused("short", model(product, weights=[short]), "`w`", "16 bytes", "check_model")
    refused("unmade", model([node("Add", "x z")]), "`it` (Add)", "`z`", "check_model")
    refused("no-output", model(neg, outputs=[info("z")]), "output `z`", "check_model")
    refused("twice", model([node("Neg", name="a"), node("Neg", name="b")]), "`b` (Neg)", "`y`", "check_model")
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]), helper.make_tensor("i", TensorProto.INT64, [1], [0]), [4]
    )
    refused("sparse", model(neg, sparse_initializer=[sparse]), "sparse", "dense")
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    refused("sequence-input", model(neg, [sequence]), "input `x`", "initial_types")
    refused("no-shape", model(neg, [info("x", None)]), "input `x` declares no shape", "--input 'x=FP32[N,4]'")
    refused("empty", b"", "no graph")
    refused("text", b"not a model", "not an ONNX file")
    whole = model(product, weights=[numpy_helper.from_array(np.zeros((2, 2), np.float32), "w")]).SerializeToString()
    refused("cut", whole[: len(whole) // 2], "not an ONNX file, or it is damaged")


FOLDER.mkdir(parents=True, exist_ok=True)
for part in (operators, control_flow, attributes, trees, shapes, files):
    part()
(FOLDER / "index.json").write_text(json.dumps(says, indent=1))
