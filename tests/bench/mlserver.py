"""What a team would serve with a model server: MLServer's runtime for scikit-learn, in one process.

The model is trained as models/iris/recipe.py does it, and never leaves scikit-learn.

Usage: python tests/bench/mlserver.py FOLDER PORT
"""

import json
import os
import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def trained() -> Pipeline:
    features, labels = load_iris(return_X_y=True)
    features, _, labels, _ = train_test_split(
        features.astype(np.float32), labels, test_size=0.2, random_state=0, stratify=labels
    )
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, labels)


def main(folder: Path, port: int) -> None:
    iris = folder / "iris"
    iris.mkdir(parents=True, exist_ok=True)
    joblib.dump(trained(), iris / "model.joblib")
    model = {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib"},
    }
    # Port 0 is one that the system chooses; nobody asks there.
    settings = {
        "debug": False,
        "parallel_workers": 0,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": 0,
        "metrics_port": 0,
        "metrics_dir": str(folder / "metrics"),
        "logging_settings": {"version": 1, "root": {"level": "WARNING"}},
    }
    (iris / "model-settings.json").write_text(json.dumps(model))
    (folder / "settings.json").write_text(json.dumps(settings))
    # In this process, which is the one that the bench ends.
    mlserver = Path(sys.executable).with_name("mlserver")
    os.execv(mlserver, [str(mlserver), "start", str(folder)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
