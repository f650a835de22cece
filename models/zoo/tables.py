"""What the zoo is trained on and asked: scikit-learn's bundled data, split, with edge rows.

A table's `cases` map the name of a request to its inputs. Every numeric table is asked for one row,
for rows that were held out, and for rows at the edges: zeros, medians, rows of the training data (where
trees and neighbours tie with themselves), the same row twice, and values far outside.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas
from sklearn import datasets
from sklearn.model_selection import train_test_split

HELD_OUT = 40


@dataclass
class Table:
    """Training data, and requests. `types` are the declared inputs where `x` does not tell them."""

    x: object
    y: object = None
    cases: dict[str, dict] = field(default_factory=dict)
    types: list | None = None
    # What ONNX Runtime is asked in place of a case: requests of one row each.
    asked: dict[str, list[dict]] | None = None


def numeric(features, labels, missing=False, name="X", seed=0) -> Table:
    features = np.asarray(features, np.float32)
    train, test, train_labels, _ = train_test_split(
        features, labels, test_size=0.25, random_state=seed
    )
    test = test[:HELD_OUT]
    medians = np.median(train, axis=0, keepdims=True)
    edges = np.vstack([np.zeros_like(medians), medians, train[:6], train[:1], train[:1], medians * 50])
    cases = {"one row": test[:1], "held-out rows": test, "edges": edges.astype(np.float32)}
    if missing:
        cases["missing"] = with_holes(test[:12])
    return Table(train, train_labels, {case: {name: rows} for case, rows in cases.items()})


def with_holes(rows: np.ndarray) -> np.ndarray:
    """Each row lacks some features, the last one all."""
    holes = rows.copy()
    for row in range(len(holes)):
        holes[row, row % holes.shape[1] :: 2] = np.nan
    holes[-1] = np.nan
    return holes


def iris(missing=False) -> Table:
    return numeric(*datasets.load_iris(return_X_y=True), missing)


def iris_named(missing=False) -> Table:
    bunch = datasets.load_iris()
    return numeric(bunch.data, bunch.target_names[bunch.target].astype(str), missing)


def cancer(missing=False) -> Table:
    features, labels = datasets.load_breast_cancer(return_X_y=True)
    return numeric(features[:, :10], labels, missing)


def cancer_named() -> Table:
    bunch = datasets.load_breast_cancer()
    return numeric(bunch.data[:, :10], bunch.target_names[bunch.target].astype(str))


def wine(missing=False) -> Table:
    return numeric(*datasets.load_wine(return_X_y=True), missing)


def counts() -> Table:
    """Images of digits: how much ink is where, in whole numbers from 0 to 16."""
    return numeric(*datasets.load_digits(return_X_y=True))


def diabetes(missing=False) -> Table:
    return numeric(*datasets.load_diabetes(return_X_y=True, scaled=False), missing)


def diabetes_positive() -> Table:
    features, progress = datasets.load_diabetes(return_X_y=True)
    return numeric(features, progress / 100)


def linnerud() -> Table:
    """Three targets."""
    return numeric(*datasets.load_linnerud(return_X_y=True))


def two_labels() -> Table:
    """Two labels for each row, both of two classes."""
    features, labels = datasets.load_iris(return_X_y=True)
    return numeric(features, np.stack([labels == 1, features[:, 0] > 5.8], axis=1).astype(np.int64))


def holed(table: Table) -> Table:
    """The same, with missing values in the training data as well."""
    holes = table.x.copy()
    random = np.random.RandomState(0)
    holes[random.rand(*holes.shape) < 0.1] = np.nan
    return Table(holes, table.y, table.cases)


def without(case: str, table: Table) -> Table:
    """For what means nothing to an estimator."""
    cases = {name: request for name, request in table.cases.items() if name != case}
    return Table(table.x, table.y, cases, table.types)


GRADES = np.array(["light", "medium", "full", ""])
WINES = np.array(["Barolo", "grignolino d'Asti", "Barbera “à l’été”"])
REGIONS = np.array(["Barolo", "Grignolino", "Barbera", "Île-de-Ré"])


def mixed() -> Table:
    """Wines with texts beside numbers, and holes in both; a request can hold what training did not."""
    features, labels = datasets.load_wine(return_X_y=True)
    random = np.random.RandomState(0)
    grade = GRADES[np.digitize(features[:, 9], [3.2, 5.5, 10.0])]
    region = REGIONS[(labels + (random.rand(len(labels)) < 0.3)) % 4]
    numbers = features[:, [0, 5, 12]].astype(np.float32)
    numbers[random.rand(*numbers.shape) < 0.1] = np.nan
    order = random.permutation(len(labels))
    frame = pandas.DataFrame(
        {
            "alcohol": numbers[:, 0],
            "phenols": numbers[:, 1],
            "proline": numbers[:, 2],
            "grade": grade.astype(object),
            "region": region.astype(object),
        }
    ).iloc[order]
    train, test = frame[:130], frame[130:]
    edges = test[:8].copy()
    edges["region"] = ["Nowhere", "", "Barolo", "barolo", "Île-de-Ré", " Barbera", "日本", "Barbera"]
    edges["grade"] = ["full", "none", "", "medium", "Full", "light", "light", "full"]
    edges.loc[edges.index[3:6], ["alcohol", "phenols", "proline"]] = np.nan
    cases = {"one row": test[:1], "held-out rows": test, "edges": edges}
    return Table(train, labels[order][:130], {case: columns(rows) for case, rows in cases.items()})


def columns(frame) -> dict[str, np.ndarray]:
    """One input for each column, as exporters declare them."""
    dtype = {"grade": object, "region": object}
    return {
        str(name): frame[name].to_numpy(dtype.get(name, np.float32)).reshape(-1, 1) for name in frame.columns
    }


def two_of(table: Table) -> Table:
    """The first class against the others."""
    return Table(table.x, (np.asarray(table.y) == 0).astype(int), table.cases, table.types)


def categories() -> Table:
    """Two columns of texts."""
    table = mixed()
    texts = ["grade", "region"]

    def pick(frame):
        return np.stack([np.asarray(frame[name]).reshape(-1) for name in texts], axis=1).astype(object)

    cases = {case: {"X": pick(inputs)} for case, inputs in table.cases.items()}
    return Table(pick(table.x), table.y, cases)


def word_counts() -> Table:
    """Maps from words to how often they occur. A case has a column for each word, in alphabetical order."""
    table = sentences()

    def counts(line: str) -> dict[str, float]:
        words = line.lower().split()
        return {word: float(words.count(word)) for word in words}

    train = [counts(line) for line in table.x[:40]]
    vocabulary = sorted({word for row in train for word in row})
    maps = {"one row": [train[0]], "many rows": train[5:20]}
    asked = {case: [{"X": row} for row in rows] for case, rows in maps.items()}
    cases = {
        case: {"X": np.array([[row.get(word, 0.0) for word in vocabulary] for row in rows], np.float32)}
        for case, rows in maps.items()
    }
    return Table(train, None, cases, asked=asked)


def sentences() -> Table:
    """The lines that describe scikit-learn's data sets, each with the name of its set."""
    lines, labels = [], []
    for name in ("iris", "wine", "diabetes"):
        description = getattr(datasets, f"load_{name}")().DESCR
        for line in description.splitlines():
            if len(line.split()) > 3:
                lines.append(line.strip())
                labels.append(name)
    train, test, train_labels, _ = train_test_split(lines, labels, test_size=0.3, random_state=0)
    edges = ["", "   ", "a", "no such words at all", "IRIS Iris iris", "wine, wine; (wine)", "naïve café 日本語", train[0]]
    texts = {"one row": test[:1], "held-out rows": test[:HELD_OUT], "edges": edges}
    cases = {
        case: {"text": np.array(rows, dtype=object).reshape(-1, 1)} for case, rows in texts.items()
    }
    return Table(np.array(train, dtype=object), np.array(train_labels), cases)
