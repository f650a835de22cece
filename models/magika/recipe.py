"""Takes the model out of the wheel `magika`, which is pinned by digest.

Usage: python models/magika/recipe.py OUTDIR
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import golden

MODEL = "magika/models/standard_v3_3/"


def features(content: bytes, config: dict) -> np.ndarray:
    """The first and last bytes of a file, without white space at its ends, padded to their size."""
    block, half, padding = config["block_size"], config["beg_size"], config["padding_token"]
    start = content[:block].lstrip()[:half]
    end = content[-block:].rstrip()[-half:]
    tokens = list(start) + [padding] * (2 * half - len(start) - len(end)) + list(end)
    return np.array([tokens], np.int32)


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"),
                *("--dest", folder, "--requirement", str(HERE / "wheel.txt")),
            ],
            check=True,
        )
        wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
    model = wheel.read(MODEL + "model.onnx")
    config = json.loads(wheel.read(MODEL + "config.min.json"))
    assert config["mid_size"] == 0, "the middle of a file is not looked at"
    labels = "\n".join(config["target_labels_space"]) + "\n"
    assert (HERE / "labels.txt").read_text() == labels, "labels.txt is not of this version"
    print(f"magika: {len(model) / 1e6:.1f} MB, {labels.count(chr(10))} file types")
    texts = {
        "rust": b"fn main() {\n    println!(\"hello\");\n}\n" * 20,
        "python": b"import sys\n\nfor line in sys.stdin:\n    print(line.upper(), end='')\n" * 9,
        "json": b'{"name": "modelet", "kind": [1, 2.5, null, true]}\n' * 60,
    }
    cases = {name: {"bytes": features(text, config)} for name, text in texts.items()}
    golden.write(out, model, cases)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
