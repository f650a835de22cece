"""Trains the iris classifier: StandardScaler and LogisticRegression on scikit-learn's bundled data.

Usage: python models/iris/recipe.py OUTDIR
"""

import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import golden


def main(out: Path) -> None:
    features, labels = load_iris(return_X_y=True)
    features = features.astype(np.float32)
    train, test, train_labels, test_labels = train_test_split(
        features, labels, test_size=0.2, random_state=0, stratify=labels
    )
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    pipeline.fit(train, train_labels)
    print(f"iris: accuracy {pipeline.score(test, test_labels):.3f} on {len(test)} held-out rows")
    model = to_onnx(
        pipeline, train[:1], options={"zipmap": False}, target_opset=17, name="iris"
    ).SerializeToString()
    cases = {
        "one row": {"X": test[:1]},
        "thirty rows": {"X": test},
        "zeros": {"X": np.zeros((1, 4), np.float32)},
        "far outside": {"X": np.full((1, 4), 1e3, np.float32)},
    }
    golden.write(out, model, cases)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
