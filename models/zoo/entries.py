"""What an entry of the zoo is."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tables import Table


@dataclass(frozen=True)
class Entry:
    """An estimator to be trained, converted and asked. `title` is its line in docs/sklearn.md."""

    group: str
    title: str
    estimator: object
    table: Callable[[], Table]
    # Options of the converter for this estimator, `zipmap` among them.
    options: dict = field(default_factory=dict)
    # How close scores must be: support vectors and Gaussian processes add up thousands of products.
    relative: float = 1e-5
    target_opset: object = None
    # Another converter than `skl2onnx.to_onnx`: takes the trained estimator and its table.
    convert: Callable | None = None
    # Called on the estimator before it is converted.
    before: Callable | None = None

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


SVM_AND_GP = 1e-4


def classifiers(group: str, title: str, estimator, table, **others) -> list[Entry]:
    """With the default options, so with ZipMap, and with it off."""
    options = others.pop("options", {})
    return [
        Entry(group, title, estimator, table, options, **others),
        Entry(group, f"{title}, zipmap off", estimator, table, {**options, "zipmap": False}, **others),
    ]
