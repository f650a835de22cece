"""XGBoost and LightGBM, converted by onnxmltools: alone, and inside a scikit-learn pipeline."""

import lightgbm
import onnxmltools
import skl2onnx
import xgboost
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tables
from entries import Entry, classifiers

XGBOOST = "XGBoost"
LIGHTGBM = "LightGBM"

# The newest that onnxmltools knows.
OPSET = 15


def entries() -> list[Entry]:
    register()
    return [*xgboosts(), *lightgbms()]


def register():
    """So that skl2onnx finds the boosters inside a pipeline."""
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    for model, alias, converter in [
        (xgboost.XGBClassifier, "XGBoostXGBClassifier", convert_xgboost),
        (lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", convert_lightgbm),
    ]:
        skl2onnx.update_registered_converter(
            model, alias, calculate_linear_classifier_output_shapes, converter, options=options
        )
    for model, alias, converter in [
        (xgboost.XGBRegressor, "XGBoostXGBRegressor", convert_xgboost),
        (lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", convert_lightgbm),
    ]:
        skl2onnx.update_registered_converter(
            model, alias, calculate_linear_regressor_output_shapes, converter, options={"split": None}
        )


def by_onnxmltools(convert):
    def work(model, table):
        types = [("X", onnxmltools.convert.common.data_types.FloatTensorType([None, table.x.shape[1]]))]
        return convert(model, initial_types=types, target_opset=OPSET)

    return work


def without_zipmap(model, table):
    types = [("X", onnxmltools.convert.common.data_types.FloatTensorType([None, table.x.shape[1]]))]
    return onnxmltools.convert_lightgbm(model, initial_types=types, target_opset=OPSET, zipmap=False)


def three_classes():
    return tables.iris(missing=True)


def two_classes():
    return tables.cancer(missing=True)


def progress():
    return tables.diabetes(missing=True)


PIPELINE_OPSET = {"": OPSET, "ai.onnx.ml": 3}


def xgboosts():
    alone = by_onnxmltools(onnxmltools.convert_xgboost)
    few = {"n_estimators": 20, "max_depth": 4, "random_state": 0}
    for title, model, table in [
        ("XGBClassifier", xgboost.XGBClassifier(**few), three_classes),
        ("XGBClassifier, two classes", xgboost.XGBClassifier(**few), two_classes),
        ("XGBRFClassifier", xgboost.XGBRFClassifier(**few), two_classes),
        ("XGBRegressor", xgboost.XGBRegressor(**few), progress),
        ("XGBRegressor, Poisson", xgboost.XGBRegressor(objective="count:poisson", **few), progress),
        ("XGBRegressor, DART", xgboost.XGBRegressor(booster="dart", **few), progress),
        ("XGBRFRegressor", xgboost.XGBRFRegressor(**few), progress),
    ]:
        yield Entry(XGBOOST, title, model, table, convert=alone)
    pipeline = make_pipeline(StandardScaler(), xgboost.XGBClassifier(**few))
    yield from classifiers(XGBOOST, "StandardScaler and XGBClassifier", pipeline, three_classes, target_opset=PIPELINE_OPSET)
    pipeline = make_pipeline(StandardScaler(), xgboost.XGBRegressor(**few))
    yield Entry(XGBOOST, "StandardScaler and XGBRegressor", pipeline, progress, target_opset=PIPELINE_OPSET)


def lightgbms():
    alone = by_onnxmltools(onnxmltools.convert_lightgbm)
    few = {"n_estimators": 20, "max_depth": 4, "random_state": 0, "verbose": -1, "n_jobs": 1}
    for title, model, table in [
        ("LGBMClassifier", lightgbm.LGBMClassifier(**few), three_classes),
        ("LGBMClassifier, two classes", lightgbm.LGBMClassifier(**few), two_classes),
    ]:
        yield Entry(LIGHTGBM, title, model, table, convert=alone)
        yield Entry(LIGHTGBM, f"{title}, zipmap off", model, table, convert=without_zipmap)
    for title, model in [
        ("LGBMRegressor", lightgbm.LGBMRegressor(**few)),
        ("LGBMRegressor, Poisson", lightgbm.LGBMRegressor(objective="poisson", **few)),
        ("LGBMRegressor, random forest", lightgbm.LGBMRegressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.7, **few)),
    ]:
        yield Entry(LIGHTGBM, title, model, progress, convert=alone)
    pipeline = make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(**few))
    yield from classifiers(LIGHTGBM, "StandardScaler and LGBMClassifier", pipeline, three_classes, target_opset=PIPELINE_OPSET)
    pipeline = make_pipeline(StandardScaler(), lightgbm.LGBMRegressor(**few))
    yield Entry(LIGHTGBM, "StandardScaler and LGBMRegressor", pipeline, progress, target_opset=PIPELINE_OPSET)
