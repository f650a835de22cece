"""Transformers, and what groups rows or finds the odd ones."""

import numpy as np
from sklearn import cluster, decomposition, ensemble, feature_selection as selection
from sklearn import impute, linear_model, mixture, neighbors, preprocessing as scaling
from sklearn import random_projection, svm
from sklearn.metrics.pairwise import rbf_kernel

import tables
from entries import SVM_AND_GP, Entry

SCALING = "Scaling, imputing and encoding"
SELECTING = "Selecting and projecting features"
GROUPING = "Clusters, mixtures and outliers"


def entries() -> list[Entry]:
    return [*numbers(), *texts(), *selecting(), *projecting(), *grouping(), *outliers()]


def numbers():
    holed = lambda: tables.holed(tables.diabetes(missing=True))
    # ONNX Runtime stops at a row that has nothing at all.
    some = lambda: partly(holed())
    for title, model, table in [
        ("StandardScaler", scaling.StandardScaler(), lambda: tables.diabetes(missing=True)),
        ("RobustScaler", scaling.RobustScaler(), lambda: tables.diabetes(missing=True)),
        ("MaxAbsScaler", scaling.MaxAbsScaler(), lambda: tables.diabetes(missing=True)),
        ("MinMaxScaler", scaling.MinMaxScaler(), lambda: tables.diabetes(missing=True)),
        ("MinMaxScaler, clipping", scaling.MinMaxScaler(clip=True), tables.diabetes),
        ("Normalizer", scaling.Normalizer(), tables.diabetes),
        ("Normalizer, sum", scaling.Normalizer("l1"), tables.diabetes),
        ("Normalizer, maximum", scaling.Normalizer("max"), tables.diabetes),
        ("Binarizer", scaling.Binarizer(threshold=3.0), tables.iris),
        ("SimpleImputer, mean", impute.SimpleImputer(), holed),
        ("SimpleImputer, median", impute.SimpleImputer(strategy="median"), holed),
        ("SimpleImputer, most frequent", impute.SimpleImputer(strategy="most_frequent"), holed),
        ("SimpleImputer, constant", impute.SimpleImputer(strategy="constant", fill_value=-1.0), holed),
        ("KNNImputer", impute.KNNImputer(n_neighbors=3), some),
        ("PowerTransformer", scaling.PowerTransformer(), tables.iris),
        ("PowerTransformer, Box-Cox", scaling.PowerTransformer("box-cox", standardize=False), positive),
        ("QuantileTransformer", scaling.QuantileTransformer(n_quantiles=30), tables.iris),
        ("KBinsDiscretizer, ordinal", scaling.KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"), tables.iris),
        ("KBinsDiscretizer, one-hot", scaling.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), tables.iris),
        ("PolynomialFeatures", scaling.PolynomialFeatures(2), tables.iris),
        ("PolynomialFeatures, interactions", scaling.PolynomialFeatures(3, interaction_only=True, include_bias=False), tables.iris),
        ("FunctionTransformer, identity", scaling.FunctionTransformer(), tables.iris),
        ("KernelCenterer", scaling.KernelCenterer(), square),
    ]:
        yield Entry(SCALING, title, model, table)


def positive():
    """Box-Cox takes nothing else, and an edge is zero."""
    return tables.without("edges", tables.iris())


def partly(table):
    table.cases["missing"] = {"X": table.cases["missing"]["X"][:-1]}
    return table


def square():
    """How alike rows are."""
    x = tables.iris().x
    alike = rbf_kernel(x[:30], x[:20])
    return tables.Table(alike[:20], None, {"rows": {"X": alike[20:].astype(np.float32)}})


def texts():
    for title, model in [
        ("OneHotEncoder", scaling.OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
        ("OneHotEncoder, dropping the first", scaling.OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False)),
        ("OrdinalEncoder", scaling.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
        ("SimpleImputer, texts", impute.SimpleImputer(missing_values="", strategy="most_frequent")),
    ]:
        yield Entry(SCALING, title, model, tables.categories)
    two = lambda: tables.two_of(tables.categories())
    yield Entry(SCALING, "TargetEncoder", scaling.TargetEncoder(random_state=0), two)
    yield Entry(SCALING, "OneHotEncoder, whole numbers", scaling.OneHotEncoder(handle_unknown="ignore", sparse_output=False), whole)
    yield Entry(SCALING, "OrdinalEncoder, whole numbers", scaling.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), whole)
    yield Entry(SCALING, "LabelEncoder", scaling.LabelEncoder(), one_column)
    yield Entry(SCALING, "LabelBinarizer", scaling.LabelBinarizer(), one_whole_column)


def whole():
    """Categories that are numbers, some of which were not seen."""
    table = tables.iris()
    inputs = lambda rows: (rows[:, 1:3] // 1).astype(np.int64)
    cases = {case: {"X": inputs(request["X"])} for case, request in table.cases.items()}
    return tables.Table(inputs(table.x), table.y, cases)


def one_column():
    names = np.array(["light", "medium", "full", ""], dtype=object)
    return tables.Table(names, None, {"all": {"X": names[[0, 3, 1, 2, 0]].reshape(-1, 1)}})


def one_whole_column():
    return tables.Table(np.array([3, 5, 8]), None, {"all": {"X": np.array([[5], [3], [8], [5]], np.int64)}})


def selecting():
    iris = tables.iris
    for title, model in [
        ("SelectKBest", selection.SelectKBest(k=2)),
        ("SelectPercentile", selection.SelectPercentile(percentile=60)),
        ("SelectFpr", selection.SelectFpr()),
        ("SelectFdr", selection.SelectFdr()),
        ("SelectFwe", selection.SelectFwe()),
        ("GenericUnivariateSelect", selection.GenericUnivariateSelect(mode="k_best", param=2)),
        ("SelectFromModel", selection.SelectFromModel(ensemble.RandomForestClassifier(5, random_state=0))),
        ("RFE", selection.RFE(linear_model.LogisticRegression(max_iter=2000), n_features_to_select=2)),
        ("RFECV", selection.RFECV(linear_model.LogisticRegression(max_iter=2000), cv=3)),
        ("VarianceThreshold", selection.VarianceThreshold(0.3)),
    ]:
        yield Entry(SELECTING, title, model, iris)


def projecting():
    for title, model in [
        ("PCA", decomposition.PCA(2)),
        ("PCA, whitening", decomposition.PCA(2, whiten=True)),
        ("IncrementalPCA", decomposition.IncrementalPCA(2)),
        ("KernelPCA", decomposition.KernelPCA(2, kernel="rbf")),
        ("TruncatedSVD", decomposition.TruncatedSVD(2, random_state=0)),
        ("GaussianRandomProjection", random_projection.GaussianRandomProjection(2, random_state=0)),
        ("NeighborhoodComponentsAnalysis", neighbors.NeighborhoodComponentsAnalysis(2, random_state=0)),
        ("RandomTreesEmbedding", ensemble.RandomTreesEmbedding(5, max_depth=3, random_state=0, sparse_output=False)),
        ("KNeighborsTransformer", neighbors.KNeighborsTransformer(n_neighbors=3)),
        ("NearestNeighbors", neighbors.NearestNeighbors(n_neighbors=3, radius=None)),
    ]:
        yield Entry(SELECTING, title, model, tables.iris)


def grouping():
    for title, model in [
        ("KMeans", cluster.KMeans(3, n_init=3, random_state=0)),
        ("MiniBatchKMeans", cluster.MiniBatchKMeans(3, n_init=3, random_state=0)),
        ("GaussianMixture", mixture.GaussianMixture(3, random_state=0)),
        ("GaussianMixture, diagonal", mixture.GaussianMixture(3, covariance_type="diag", random_state=0)),
        ("GaussianMixture, spherical", mixture.GaussianMixture(3, covariance_type="spherical", random_state=0)),
        ("GaussianMixture, tied", mixture.GaussianMixture(3, covariance_type="tied", random_state=0)),
        ("BayesianGaussianMixture", mixture.BayesianGaussianMixture(n_components=3, random_state=0)),
    ]:
        yield Entry(GROUPING, title, model, tables.iris)


def outliers():
    # The converter has IsolationForest only for these operator sets.
    older = {"": 15, "ai.onnx.ml": 3}
    yield Entry(GROUPING, "IsolationForest", ensemble.IsolationForest(n_estimators=10, random_state=0), tables.iris, target_opset=older)
    yield Entry(GROUPING, "LocalOutlierFactor", neighbors.LocalOutlierFactor(novelty=True), tables.iris)
    yield Entry(GROUPING, "OneClassSVM", svm.OneClassSVM(), tables.iris, relative=SVM_AND_GP)
    yield Entry(GROUPING, "SGDOneClassSVM", linear_model.SGDOneClassSVM(random_state=0), tables.iris, relative=SVM_AND_GP)
