"""Trains the digit classifier: a perceptron on scikit-learn's bundled 8x8 images.

The network is written out as plain ONNX, so that it takes an image and not a row of features.

Usage: python models/digits/recipe.py OUTDIR
"""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import golden


def network(classifier: MLPClassifier) -> bytes:
    """Scales pixels from 0..16 to 0..1, then the perceptron, then its most probable class."""
    initializers = [numpy_helper.from_array(np.float32(1 / 16), "scale")]
    nodes = [
        helper.make_node("Mul", ["image", "scale"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["layer_0"], axis=1),
    ]
    last = len(classifier.coefs_) - 1
    for index, (weights, bias) in enumerate(zip(classifier.coefs_, classifier.intercepts_)):
        initializers += [
            numpy_helper.from_array(weights.astype(np.float32), f"weights_{index}"),
            numpy_helper.from_array(bias.astype(np.float32), f"bias_{index}"),
        ]
        names = [f"layer_{index}", f"weights_{index}", f"bias_{index}"]
        nodes.append(helper.make_node("Gemm", names, [f"sum_{index}"]))
        if index < last:
            nodes.append(helper.make_node("Relu", [f"sum_{index}"], [f"layer_{index + 1}"]))
    nodes += [
        helper.make_node("Softmax", [f"sum_{last}"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["digit"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10]),
        ],
        initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="modelet"
    )
    checker.check_model(model)
    return model.SerializeToString()


def main(out: Path) -> None:
    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, random_state=0, stratify=labels
    )
    classifier = MLPClassifier((96, 48), max_iter=400, random_state=0)
    classifier.fit(train / 16, train_labels)
    accuracy = classifier.score(test / 16, test_labels)
    print(f"digits: accuracy {accuracy:.3f} on {len(test)} held-out images")
    test = test.astype(np.float32).reshape(-1, 1, 8, 8)
    cases = {
        "one image": {"image": test[:1]},
        "ten images": {"image": test[:10]},
        "a blank image": {"image": np.zeros((1, 1, 8, 8), np.float32)},
        "a full image": {"image": np.full((1, 1, 8, 8), 16, np.float32)},
    }
    golden.write(out, network(classifier), cases)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
