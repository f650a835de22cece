"""Makes the zoo: `python models/zoo/make.py DIRECTORY`.

Every entry is trained, converted, and asked through ONNX Runtime. DIRECTORY/<entry>/ then has
model.onnx and golden.json; DIRECTORY/index.json lists all entries, also those that could not be
converted or that ONNX Runtime itself does not run, with the reason. It is written last. A zoo that was
made from the same files before is left as it is.
"""

import hashlib
import json
import os
import shutil
import sys
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The modules beside this one leave no compiled file in the tree.
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent))
# One thread each: the work is shared out over processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from skl2onnx import to_onnx  # noqa: E402

import boosters  # noqa: E402
import classifiers  # noqa: E402
import golden  # noqa: E402
import pipelines  # noqa: E402
import regressors  # noqa: E402
import transformers  # noqa: E402


def entries():
    modules = (classifiers, regressors, transformers, pipelines, boosters)
    return [entry for module in modules for entry in module.entries()]


def make(position: int, out: Path) -> dict:
    entry = ENTRIES[position]
    described = {"slug": entry.slug, "group": entry.group, "title": entry.title, "relative": entry.relative}
    table = entry.table()
    model = entry.estimator.fit(*([table.x] if table.y is None else [table.x, table.y]))
    try:
        proto = converted(entry, model, table)
    except Exception as error:
        return described | {"outside": f"the converter refuses it: {reason(error)}"}
    described["operators"] = operators(proto)
    try:
        golden.write(
            out / entry.slug,
            proto.SerializeToString(),
            table.cases,
            judge=in_a_known_locale(proto),
            asked=table.asked,
        )
    except Exception as error:
        # What `build` says to it is worth knowing.
        (out / entry.slug).mkdir(parents=True, exist_ok=True)
        (out / entry.slug / "model.onnx").write_bytes(proto.SerializeToString())
        return described | {"outside": f"ONNX Runtime refuses it: {reason(error)}"}
    return described


def converted(entry, model, table):
    if entry.convert:
        return entry.convert(model, table)
    options = {id(model): entry.options} if entry.options else None
    sample = None if table.types else next(iter(table.cases.values()))["X"][:1]
    return to_onnx(
        model, sample, initial_types=table.types, options=options, target_opset=entry.target_opset
    )


def in_a_known_locale(proto) -> bytes:
    """The same model for ONNX Runtime, which looks for the locale en_US.UTF-8 on the machine, where the
    one that every machine has gives the same answers."""
    judge = onnx.ModelProto()
    judge.CopyFrom(proto)
    for node in judge.graph.node:
        if node.op_type == "StringNormalizer":
            for attribute in [a for a in node.attribute if a.name == "locale"]:
                node.attribute.remove(attribute)
            node.attribute.append(onnx.helper.make_attribute("locale", "C.UTF-8"))
    return judge.SerializeToString()


def operators(proto) -> list[str]:
    found = set()
    for nodes in [proto.graph.node, *(function.node for function in proto.functions)]:
        local = {function.name for function in proto.functions}
        for node in nodes:
            if node.op_type not in local:
                found.add(node.op_type if node.domain in ("", "ai.onnx.ml") else f"{node.domain}.{node.op_type}")
    return sorted(found)


def reason(error: Exception) -> str:
    """The first line; addresses and paths in it differ from run to run."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:160]


def fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted([*HERE.glob("*.py"), HERE.parent / "golden.py", HERE.parent / "requirements.txt"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main(out: Path) -> None:
    made = out / "made-from"
    if made.is_file() and made.read_text() == fingerprint():
        print("the zoo is made already")
        return
    twice = [slug for slug, count in Counter(entry.slug for entry in ENTRIES).items() if count > 1]
    if twice:
        sys.exit(f"two entries are called {twice}")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        described = list(pool.map(make, range(len(ENTRIES)), [out] * len(ENTRIES)))
    (out / "index.json").write_text(json.dumps(described, indent=1))
    made.write_text(fingerprint())
    outside = [entry for entry in described if "outside" in entry]
    print(f"zoo: {len(described) - len(outside)} models, and {len(outside)} that are none:")
    for entry in outside:
        print(f"  {entry['title']}: {entry['outside']}")


# It would warn of outputs whose shape the converter declared wrongly.
onnxruntime.set_default_logger_severity(4)
# Some estimators announce that they will go; until then they are models that people have.
warnings.simplefilter("ignore")
ENTRIES = entries()

if __name__ == "__main__":
    main(Path(sys.argv[1]))
