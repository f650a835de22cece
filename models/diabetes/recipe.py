"""Trains a regressor of a disease's progression: scaled, then boosted trees.

Usage: python models/diabetes/recipe.py OUTDIR
"""

import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import golden


def main(out: Path) -> None:
    features, progress = load_diabetes(return_X_y=True, scaled=False)
    features = features.astype(np.float32)
    train, test, train_progress, test_progress = train_test_split(
        features, progress, test_size=0.2, random_state=0
    )
    pipeline = make_pipeline(
        StandardScaler(), GradientBoostingRegressor(n_estimators=60, max_depth=2, random_state=0)
    )
    pipeline.fit(train, train_progress)
    score = pipeline.score(test, test_progress)
    print(f"diabetes: R² {score:.3f} on {len(test)} held-out rows")
    model = to_onnx(pipeline, train[:1], target_opset=17, name="diabetes").SerializeToString()
    cases = {
        "one row": {"X": test[:1]},
        "all held-out rows": {"X": test},
        "zeros": {"X": np.zeros((1, 10), np.float32)},
    }
    golden.write(out, model, cases)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
