"""Small cases for what makes features: encoders, imputers, texts; for support vectors, and for trees in double
precision. Each is one node. What it must answer is what ONNX Runtime answers.
"""

import itertools

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
ROWS = np.array([[0.5, -1.0], [1.5, 2.0], [-0.25, 0.0], [3.0, 3.0]], np.float32)
HOLES = np.array([[np.nan, 2.0], [0.0, np.nan], [-0.0, -1.0]], np.float32)


def cases():
    """Yields names, models and inputs."""
    yield from machines()
    yield from imputers()
    yield from encoders()
    yield from texts()
    yield from ensembles()


def text(*elements):
    return np.array(elements, dtype=object)


def model(op_type, inputs, outputs, domain="ai.onnx.ml", ml=3, **attributes):
    """A model of one node. `outputs` is (name, element type, rank)."""
    names = [f"x{position}" for position in range(len(inputs))]
    node = helper.make_node(op_type, names, [output[0] for output in outputs], domain=domain, **attributes)
    elem_type = lambda value: STRING if value.dtype == object else helper.np_dtype_to_tensor_dtype(value.dtype)
    graph = helper.make_graph(
        [node],
        "case",
        [
            helper.make_tensor_value_info(name, elem_type(value), value.shape)
            for name, value in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info(name, kind, [None] * rank) for name, kind, rank in outputs],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", ml)]
    if domain == "com.microsoft":
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def single(name, op_type, value, kind, rank, **attributes):
    return name, model(op_type, [value], [("y", kind, rank)], **attributes), [value]


def machines():
    vectors = [1.0, 0.0, -1.0, 2.0, 0.5, 0.5, 2.0, -1.0, 0.0, 1.0]
    parameters = [0.5, 1.0, 3.0]
    for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID"):
        shared = {"kernel_type": kernel, "kernel_params": parameters, "support_vectors": vectors}
        for one_class in (0, 1):
            yield single(
                f"ml_svm_regressor_{kernel.lower()}_one_class_{one_class}",
                "SVMRegressor",
                ROWS,
                FLOAT,
                2,
                coefficients=[1.0, -0.5, 0.25, 0.75, -1.0],
                rho=[0.1],
                n_supports=5,
                one_class=one_class,
                **shared,
            )
        for labels, transform, probabilities in itertools.product(
            ([5, 7], ["no", "yes"], [5, 7, 9], ["red", "green", "blue"]),
            ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"),
            (False, True),
        ):
            yield classifier(kernel, labels, transform, probabilities, shared)
    yield single("ml_svm_regressor_sum", "SVMRegressor", ROWS, FLOAT, 2, coefficients=[0.5, -2.0], rho=[0.1], kernel_params=parameters)
    for labels in ([5, 7], [5, 7, 9]):
        coefficients = [0.3, -0.4, 0.6, 0.8, -1.0, 0.2][: 2 * len(labels)]
        outputs = [("label", INT64, 1), ("scores", FLOAT, 2)]
        sums = model(
            "SVMClassifier", [ROWS], outputs, classlabels_ints=labels, coefficients=coefficients, rho=[0.1], kernel_params=parameters
        )
        yield f"ml_svm_classifier_sums_{len(labels)}", sums, [ROWS]


def classifier(kernel, labels, transform, probabilities, shared):
    strings = isinstance(labels[0], str)
    n_classes = len(labels)
    n_pairs = n_classes * (n_classes - 1) // 2
    attributes = {
        "classlabels_strings" if strings else "classlabels_ints": labels,
        "vectors_per_class": [2, 3] if n_classes == 2 else [2, 1, 2],
        "coefficients": [1.0, -0.5, 0.25, 0.75, -1.0, 0.3, 0.6, -0.9, 1.2, 0.4][: 5 * (n_classes - 1)],
        "rho": [0.1, -0.2, 0.3][:n_pairs],
        "post_transform": transform,
    }
    if probabilities:
        attributes |= {"prob_a": [-1.5, -2.0, -0.5][:n_pairs], "prob_b": [0.1, -0.1, 0.2][:n_pairs]}
    outputs = [("label", STRING if strings else INT64, 1), ("scores", FLOAT, 2)]
    name = f"ml_svm_classifier_{kernel}_{n_classes}_{'strings' if strings else 'ints'}_{transform}"
    name += "_probabilities" if probabilities else ""
    return name.lower(), model("SVMClassifier", [ROWS], outputs, **attributes, **shared), [ROWS]


def imputers():
    for name, values, replaced in (("each", [7.0, 8.0], np.nan), ("one", [9.0], np.nan), ("zero", [9.0], 0.0)):
        yield single(
            f"ml_imputer_{name}", "Imputer", HOLES, FLOAT, 2, imputed_value_floats=values, replaced_value_float=replaced
        )
    whole = np.array([[1, -1], [-1, 3]])
    yield single("ml_imputer_ints", "Imputer", whole, INT64, 2, imputed_value_int64s=[5, 6], replaced_value_int64=-1)
    yield single("ml_imputer_rank_1", "Imputer", HOLES[0], FLOAT, 1, imputed_value_floats=[7.0, 8.0], replaced_value_float=np.nan)
    yield single("ml_binarizer", "Binarizer", ROWS, FLOAT, 2, threshold=0.5)
    tables = [ROWS, ROWS[:, :1]]
    name = "ml_feature_vectorizer"
    yield name, model("FeatureVectorizer", tables, [("y", FLOAT, 2)], inputdimensions=[2, 1]), tables


WORDS = text("b", "", "A", "a", "é", "b")


def encoders():
    lists = {
        "strings": (["a", "", "é", "a"], WORDS, STRING),
        "int64s": ([5, -6, 7, 5], np.array([7, 5, 0, -6]), INT64),
        # ONNX Runtime does not find NaN among keys of this kind, against the specification.
        "floats": ([1.5, 3.0, 0.0, 1.5], np.array([3.0, -0.0, 1.5, 2.0], np.float32), FLOAT),
    }
    for (key, (keys, value, _)), (kind, (values, _, elem_type)) in itertools.product(lists.items(), lists.items()):
        attributes = {f"keys_{key}": keys, f"values_{kind}": values[::-1]}
        yield single(f"ml_label_encoder_{key}_{kind}", "LabelEncoder", value, elem_type, 1, **attributes)
        default = {"strings": {"default_string": "?"}, "int64s": {"default_int64": 99}, "floats": {"default_float": 0.25}}
        yield single(
            f"ml_label_encoder_{key}_{kind}_default", "LabelEncoder", value, elem_type, 1, **attributes, **default[kind]
        )
    for key, kind in (("f8", "i8"), ("i8", "f8"), ("f8", "f8")):
        keys, values = np.array([1, 2, 3], key), np.array([30, 20, 10], kind)
        yield tensor_encoder(f"ml_label_encoder_tensors_{key}_{kind}", keys, values)
    yield single("ml_label_encoder_first_to_ints", "LabelEncoder", WORDS, INT64, 1, ml=1, classes_strings=["a", "b"], default_int64=-5)
    yield single(
        "ml_label_encoder_first_to_strings", "LabelEncoder", np.array([1, 2, 0]), STRING, 1, ml=1, classes_strings=["a", "b"], default_string="?"
    )
    categories = {"cats_int64s": [7, 5], "cats_strings": ["a", "b"]}
    yield single("ml_category_mapper_to_ints", "CategoryMapper", WORDS, INT64, 1, **categories, default_int64=0)
    yield single("ml_category_mapper_to_strings", "CategoryMapper", np.array([7, 8]), STRING, 1, **categories, default_string="?")
    yield single("ml_one_hot_encoder_strings", "OneHotEncoder", WORDS.reshape(3, 2), FLOAT, 3, cats_strings=["a", "b", ""])
    for value in (np.array([[3, 0], [1, 9]]), np.array([3.7, 0.0, -0.5], np.float32), np.array([[3.0], [1.0]])):
        yield single(
            f"ml_one_hot_encoder_{value.dtype}_rank_{value.ndim}", "OneHotEncoder", value, FLOAT, value.ndim + 1, cats_int64s=[0, 3]
        )


def tensor_encoder(name, keys, values):
    elem_type = helper.np_dtype_to_tensor_dtype(values.dtype)
    attributes = {
        "keys_tensor": numpy_helper.from_array(keys),
        "values_tensor": numpy_helper.from_array(values),
        "default_tensor": numpy_helper.from_array(np.array([99], values.dtype)),
    }
    return single(name, "LabelEncoder", np.array([3, 9, 1], keys.dtype), elem_type, 1, ml=4, **attributes)


LINES = text("The cat, the CAT!", "", "  two  spaces ", "naïve café_1 日本", "a")


def texts():
    for action, matters, words in itertools.product(("LOWER", "UPPER", "NONE"), (0, 1), ([], ["the", "CAT", "a"])):
        name = f"ml_string_normalizer_{action.lower()}_{matters}_{len(words)}"
        tokens = text("The", "cat", "CAT", "a", "A", "é", "the")
        more = {"stopwords": words} if words else {}
        yield single(
            name, "StringNormalizer", tokens, STRING, 1, domain="", case_change_action=action, is_case_sensitive=matters, locale="C.UTF-8", **more
        )
    rules = {
        "words": {"tokenexp": "[a-zA-Z0-9_]+"},
        "letters": {"tokenexp": "."},
        "ascii": {"tokenexp": r"\w\w+"},
        "spaces": {"separators": [" "]},
        "several": {"separators": [r"\s+", "[,!]"]},
        "characters": {"separators": [""]},
    }
    for (name, rule), mark, least in itertools.product(rules.items(), (0, 1), (1, 2)):
        for value in (LINES, LINES.reshape(1, 5)):
            if name in ("characters", "letters") and least > 1:
                # ONNX Runtime refuses to count when it divides into characters.
                continue
            yield single(
                f"ml_tokenizer_{name}_mark_{mark}_least_{least}_rank_{value.ndim}",
                "Tokenizer",
                value,
                STRING,
                value.ndim + 1,
                domain="com.microsoft",
                mark=mark,
                mincharnum=least,
                pad_value="#",
                **rule,
            )
    yield from vectorizers()


def vectorizers():
    pool = ["a", "b", "c", "a", "b", "b", "c", "a", "c", "a", "b", "c"]
    rows = np.array([["a", "b", "c", "a"], ["c", "#", "b", "c"], ["#", "#", "#", "#"]], dtype=object)
    for mode, (least, most), skips in itertools.product(("TF", "IDF", "TFIDF"), ((1, 1), (1, 2), (2, 3), (1, 3)), (0, 1)):
        for value in (rows, rows[0]):
            yield single(
                f"ml_tf_idf_{mode.lower()}_{least}_{most}_skip_{skips}_rank_{value.ndim}",
                "TfIdfVectorizer",
                value,
                FLOAT,
                value.ndim,
                domain="",
                mode=mode,
                min_gram_length=least,
                max_gram_length=most,
                max_skip_count=skips,
                ngram_counts=[0, 3, 9],
                ngram_indexes=[0, 2, 1, 3, 4, 5, 6],
                pool_strings=pool,
                weights=[0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5],
            )


def ensembles():
    for dtype in (np.float32, np.float64):
        tensor = lambda values: numpy_helper.from_array(np.array(values, dtype))
        # Not with transforms: ONNX Runtime takes those of the specification for one another.
        for aggregate in range(4):
            yield single(
                f"ml_tree_ensemble_{np.dtype(dtype)}_aggregate_{aggregate}",
                "TreeEnsemble",
                ROWS.astype(dtype),
                helper.np_dtype_to_tensor_dtype(np.dtype(dtype)),
                2,
                ml=5,
                n_targets=2,
                aggregate_function=aggregate,
                tree_roots=[0, 2],
                nodes_modes=numpy_helper.from_array(np.array([0, 1, 3], np.uint8)),
                nodes_featureids=[0, 1, 1],
                nodes_splits=tensor([0.5, 1.0, 0.0]),
                nodes_truenodeids=[1, 0, 2],
                nodes_trueleafs=[0, 1, 1],
                nodes_falsenodeids=[1, 3, 4],
                nodes_falseleafs=[1, 1, 1],
                leaf_targetids=[0, 1, 0, 1, 1],
                leaf_weights=tensor([0.1, 0.2, 0.3, 0.4, 0.5]),
            )
