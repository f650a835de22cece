"""Makes the models: `python models/make.py [NAME…]`, all of them without a name.

Each ends up in `target/models/NAME` as `model.onnx` and `golden.json`. One that was made from the
same recipe before is left as it is.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "target" / "models"


def recipes() -> dict[str, Path]:
    return {path.parent.name: path for path in sorted(HERE.glob("*/recipe.py"))}


def fingerprint(recipe: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted([*recipe.parent.iterdir(), HERE / "golden.py", HERE / "requirements.txt"]):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def main(names: list[str]) -> None:
    known = recipes()
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"there is no recipe for {', '.join(unknown)}; there are {', '.join(known)}")
    for name in names or known:
        out = TARGET / name
        made = out / "made-from"
        if made.is_file() and made.read_text() == fingerprint(known[name]):
            print(f"{name}: is made already")
            continue
        subprocess.run([sys.executable, str(known[name]), str(out)], check=True)
        made.write_text(fingerprint(known[name]))


if __name__ == "__main__":
    main(sys.argv[1:])
