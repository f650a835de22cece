"""Trains a wine classifier the way most tutorials do: scaled, a forest, exported with its defaults.

The defaults give integer labels and, through ZipMap, probabilities by label.

Usage: python models/wine/recipe.py OUTDIR
"""

import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import golden


def main(out: Path) -> None:
    features, labels = load_wine(return_X_y=True)
    features = features.astype(np.float32)
    train, test, train_labels, test_labels = train_test_split(
        features, labels, test_size=0.2, random_state=0, stratify=labels
    )
    pipeline = make_pipeline(
        StandardScaler(), RandomForestClassifier(n_estimators=50, random_state=0)
    )
    pipeline.fit(train, train_labels)
    print(f"wine: accuracy {pipeline.score(test, test_labels):.3f} on {len(test)} held-out rows")
    model = to_onnx(pipeline, train[:1], target_opset=17, name="wine").SerializeToString()
    cases = {
        "one row": {"X": test[:1]},
        "all held-out rows": {"X": test},
        "zeros": {"X": np.zeros((1, 13), np.float32)},
    }
    golden.write(out, model, cases)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
