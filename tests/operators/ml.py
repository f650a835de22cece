"""Small cases for `ai.onnx.ml` operators and for casts; ONNX's own suite has next to none.

Each is one node. What it must answer is what ONNX Runtime answers.
"""

import itertools

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

TABLE = np.array([[0.0, 1.0], [0.5, -2.0], [1.0, 0.25], [np.nan, 3.0]], np.float32)
NUMBERS = TABLE[:3]
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]


def cases():
    """Yields names, models and inputs."""
    yield from regressors()
    yield from classifiers()
    yield from linear_models()
    yield from scalers()
    yield from others()
    yield from casts()


def model(node, inputs, outputs):
    """A model of one node. `outputs` is (name, element type, rank); rank None is a list of maps."""
    graph = helper.make_graph(
        [node],
        "case",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in zip(node.input, inputs, strict=True)
        ],
        [value_info(*output) for output in outputs],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def value_info(name, elem_type, rank):
    if rank is None:
        score = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        maps = helper.make_map_type_proto(elem_type, score)
        return helper.make_value_info(name, helper.make_sequence_type_proto(maps))
    return helper.make_tensor_value_info(name, elem_type, [None] * rank)


def outputs(model, inputs):
    """What ONNX Runtime answers. A list of maps becomes the table of its values."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [input.name for input in session.get_inputs()]
    results = session.run(None, dict(zip(names, inputs, strict=True)))
    return [
        np.array([list(row.values()) for row in result], np.float32) if isinstance(result, list) else result
        for result in results
    ]


def trees(leaf, targets, weights, modes=("BRANCH_LEQ", "BRANCH_LEQ"), missing=0):
    """Attributes of two trees: a single test, and a test below a test; five leaves."""
    rows = [
        # tree, node, feature, value, mode, if true, if false
        (0, 0, 0, 0.5, modes[0], 1, 2),
        (0, 1, 0, 0.0, "LEAF", 0, 0),
        (0, 2, 0, 0.0, "LEAF", 0, 0),
        (1, 0, 1, 0.25, modes[1], 1, 4),
        (1, 1, 0, 0.25, modes[0], 2, 3),
        (1, 2, 0, 0.0, "LEAF", 0, 0),
        (1, 3, 0, 0.0, "LEAF", 0, 0),
        (1, 4, 0, 0.0, "LEAF", 0, 0),
    ]
    tree, node, feature, value, mode, if_true, if_false = map(list, zip(*rows))
    leaves = [(tree, node) for tree, node, *_, mode, _, _ in rows if mode == "LEAF"]
    return {
        "nodes_treeids": tree,
        "nodes_nodeids": node,
        "nodes_featureids": feature,
        "nodes_values": value,
        "nodes_modes": mode,
        "nodes_truenodeids": if_true,
        "nodes_falsenodeids": if_false,
        "nodes_missing_value_tracks_true": [missing] * len(rows),
        f"{leaf}_treeids": [tree for tree, _ in leaves],
        f"{leaf}_nodeids": [node for _, node in leaves],
        f"{leaf}_ids": targets,
        f"{leaf}_weights": weights,
    }


WEIGHTS = [0.1, 0.2, 0.3, 0.15, 0.45]
SIGNED = [-0.4, 0.2, 0.3, -0.5, 0.1]


def regressor(name, values=TABLE, targets=(0,) * 5, n_targets=1, modes=MODES[:1] * 2, missing=0, **attributes):
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=n_targets,
        **trees("target", list(targets), WEIGHTS, modes, missing),
        **attributes,
    )
    return f"ml_tree_regressor_{name}", model(node, [values], [("y", TensorProto.FLOAT, 2)]), [values]


def regressors():
    for mode, missing in itertools.product(MODES, (0, 1)):
        yield regressor(f"{mode.lower()}_missing_{missing}", modes=[mode] * 2, missing=missing)
    yield regressor("mixed_modes", modes=["BRANCH_GT", "BRANCH_LEQ"])
    for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
        yield regressor(aggregate.lower(), aggregate_function=aggregate, base_values=[10.0])
        # Every row reaches a leaf of either target: what is right elsewhere is disputed.
        targets = (0, 0, 1, 1, 1)
        for transform in TRANSFORMS:
            yield regressor(
                f"{aggregate.lower()}_two_targets_{transform.lower()}",
                aggregate_function=aggregate,
                targets=targets,
                n_targets=2,
                post_transform=transform,
                base_values=[0.05, 0.1],
            )
    for transform in TRANSFORMS:
        yield regressor(f"one_target_{transform.lower()}", post_transform=transform)
    yield regressor("double", values=TABLE.astype(np.float64))
    yield regressor("no_rows", values=TABLE[:0])


def classifier(name, labels, classes, weights=WEIGHTS, values=TABLE, **attributes):
    strings = isinstance(labels[0], str)
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        **{"classlabels_strings" if strings else "classlabels_int64s": labels},
        **trees("class", list(classes), weights),
        **attributes,
    )
    label = ("label", TensorProto.STRING if strings else TensorProto.INT64, 1)
    outputs = [label, ("scores", TensorProto.FLOAT, 2)]
    return f"ml_tree_classifier_{name}", model(node, [values], outputs), [values]


def classifiers():
    for transform in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        lower = transform.lower()
        for kind, weights in (("probabilities", WEIGHTS), ("margins", SIGNED)):
            two = (f"two_{kind}_{lower}", [5, 7], (0,) * 5, weights)
            yield classifier(*two, post_transform=transform)
            yield classifier(f"two_{kind}_base_{lower}", *two[1:], post_transform=transform, base_values=[0.07])
            yield classifier(f"second_of_two_{kind}_{lower}", [5, 7], (1,) * 5, weights, post_transform=transform)
            yield classifier(f"three_{kind}_{lower}", [5, 7, 9], (0, 1, 2, 1, 0), weights, post_transform=transform)
            yield classifier(
                f"three_{kind}_base_{lower}",
                [5, 7, 9],
                (0, 1, 2, 1, 0),
                weights,
                post_transform=transform,
                base_values=[0.05, 0.06, 0.07],
            )
    yield classifier("three_probit", [5, 7, 9], (0, 1, 2, 1, 0), post_transform="PROBIT", base_values=[0.1, 0.2, 0.3])
    yield classifier("two_strings", ["no", "yes"], (0,) * 5)
    yield classifier("three_strings", ["red", "green", "blue"], (0, 1, 2, 1, 0))
    yield classifier("double", [5, 7, 9], (0, 1, 2, 1, 0), values=TABLE.astype(np.float64))
    yield classifier("no_rows", [5, 7, 9], (0, 1, 2, 1, 0), values=TABLE[:0])


def linear_models():
    sums = {
        "one_sum": ([5, 7], [0.3, 0.4], [0.1]),
        "two_sums": ([5, 7], [-0.3, -0.4, 0.3, 0.4], [-0.1, 0.1]),
        "three_sums": ([5, 7, 9], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.1, -0.4, 0.2]),
        "one_sum_strings": (["no", "yes"], [0.3, 0.4], [0.1]),
        "three_sums_strings": (["red", "green", "blue"], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.1, -0.4, 0.2]),
    }
    for (name, (labels, coefficients, intercepts)), transform in itertools.product(sums.items(), TRANSFORMS[:4]):
        strings = isinstance(labels[0], str)
        node = helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "scores"],
            domain="ai.onnx.ml",
            **{"classlabels_strings" if strings else "classlabels_ints": labels},
            coefficients=coefficients,
            intercepts=intercepts,
            post_transform=transform,
        )
        label = ("label", TensorProto.STRING if strings else TensorProto.INT64, 1)
        outputs = [label, ("scores", TensorProto.FLOAT, 2)]
        yield f"ml_linear_classifier_{name}_{transform.lower()}", model(node, [NUMBERS], outputs), [NUMBERS]
    for name, coefficients, intercepts in (("one", [0.3, 0.4], [0.1]), ("two", [0.3, 0.4, -1.0, 2.0], [0.1, 0.2])):
        node = helper.make_node(
            "LinearRegressor",
            ["x"],
            ["y"],
            domain="ai.onnx.ml",
            coefficients=coefficients,
            intercepts=intercepts,
            targets=len(intercepts),
        )
        yield f"ml_linear_regressor_{name}", model(node, [NUMBERS], [("y", TensorProto.FLOAT, 2)]), [NUMBERS]


def scalers():
    for name, attributes in {
        "each": {"offset": [0.5, -1.0], "scale": [2.0, 0.1]},
        "one": {"offset": [0.5], "scale": [2.0]},
    }.items():
        for values in (NUMBERS, NUMBERS.astype(np.float64), NUMBERS.astype(np.int64), NUMBERS.astype(np.int32), NUMBERS[0]):
            node = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
            case = f"ml_scaler_{name}_{values.dtype}_rank_{values.ndim}"
            yield case, model(node, [values], [("y", TensorProto.FLOAT, values.ndim)]), [values]


def others():
    for norm in ("MAX", "L1", "L2"):
        node = helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml", norm=norm)
        yield f"ml_normalizer_{norm.lower()}", model(node, [NUMBERS], [("y", TensorProto.FLOAT, 2)]), [NUMBERS]
    for values, columns in (
        (NUMBERS, np.array(1)),
        (NUMBERS, np.array([1])),
        (NUMBERS, np.array([[1, 0, 1]])),
        (NUMBERS[0], np.array([1, 0, 1])),
        (np.arange(12).reshape(2, 2, 3), np.array([[0, 2]])),
    ):
        node = helper.make_node("ArrayFeatureExtractor", ["x", "columns"], ["y"], domain="ai.onnx.ml")
        elem_type = helper.np_dtype_to_tensor_dtype(values.dtype)
        name = f"ml_array_feature_extractor_rank_{values.ndim}_columns_rank_{columns.ndim}"
        outputs = [("y", elem_type, max(values.ndim, 2))]
        yield name, model(node, [values, columns], outputs), [values, columns]
    for labels in ([5, 7], ["no", "yes"]):
        strings = isinstance(labels[0], str)
        node = helper.make_node(
            "ZipMap",
            ["x"],
            ["y"],
            domain="ai.onnx.ml",
            **{"classlabels_strings" if strings else "classlabels_int64s": labels},
        )
        key = TensorProto.STRING if strings else TensorProto.INT64
        name = f"ml_zip_map_{'strings' if strings else 'ints'}"
        yield name, model(node, [NUMBERS], [("y", key, None)]), [NUMBERS]


def casts():
    """To INT64, where 32 bits or a symbolic integer would show."""
    large = 2**40 + 1
    for values in (
        np.array([0.0, -1.9, 1.9, 2.0**40], np.float32),
        np.array([0.0, -1.9, 1.9, large], np.float64),
        np.array([0, -1, 2**31 - 1], np.int32),
        np.array([0, 2**32 - 1], np.uint32),
        np.array([0, -1, large], np.int64),
        np.array([True, False]),
    ):
        node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT64)
        yield f"cast_{values.dtype}_to_int64", model(node, [values], [("y", TensorProto.INT64, 1)]), [values]
