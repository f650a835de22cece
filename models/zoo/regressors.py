"""Regressors."""

from sklearn import cross_decomposition, ensemble, gaussian_process, linear_model, neighbors, neural_network, svm, tree
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tables
from entries import SVM_AND_GP, Entry

LINEAR = "Linear regressors"
TREES = "Trees and forests, regressing"
OTHERS = "Neighbours, perceptrons, support vectors and Gaussian processes, regressing"
COMPOSED = "Regressors made of others"


def entries() -> list[Entry]:
    return [*linear(), *trees(), *others(), *composed()]


def linear():
    for model in [
        linear_model.LinearRegression(),
        linear_model.Ridge(),
        linear_model.RidgeCV(),
        linear_model.Lasso(),
        linear_model.LassoCV(cv=3),
        linear_model.ElasticNet(),
        linear_model.ElasticNetCV(cv=3),
        linear_model.Lars(),
        linear_model.LarsCV(cv=3),
        linear_model.LassoLars(),
        linear_model.LassoLarsCV(cv=3),
        linear_model.LassoLarsIC(),
        linear_model.OrthogonalMatchingPursuit(),
        linear_model.OrthogonalMatchingPursuitCV(cv=3),
        linear_model.HuberRegressor(max_iter=2000),
        linear_model.BayesianRidge(),
        linear_model.ARDRegression(),
        linear_model.QuantileRegressor(alpha=0.01),
        linear_model.TheilSenRegressor(random_state=0, max_subpopulation=200),
        linear_model.RANSACRegressor(random_state=0),
        linear_model.PassiveAggressiveRegressor(random_state=0),
        svm.LinearSVR(random_state=0, max_iter=20000),
    ]:
        yield Entry(LINEAR, type(model).__name__, model, tables.diabetes)
    yield Entry(LINEAR, "SGDRegressor", make_pipeline(StandardScaler(), linear_model.SGDRegressor(random_state=0)), tables.diabetes)
    for model in [
        linear_model.PoissonRegressor(),
        linear_model.GammaRegressor(),
        linear_model.TweedieRegressor(power=1.5),
    ]:
        yield Entry(LINEAR, type(model).__name__, model, tables.diabetes_positive)
    for model in [
        linear_model.LinearRegression(),
        linear_model.MultiTaskLasso(),
        linear_model.MultiTaskLassoCV(cv=3),
        linear_model.MultiTaskElasticNet(),
        linear_model.MultiTaskElasticNetCV(cv=3),
        cross_decomposition.PLSRegression(),
    ]:
        yield Entry(LINEAR, f"{type(model).__name__}, three targets", model, tables.linnerud)


def trees():
    with_holes = lambda: tables.diabetes(missing=True)
    for model, table in [
        (tree.DecisionTreeRegressor(max_depth=8, random_state=0), with_holes),
        (tree.ExtraTreeRegressor(max_depth=8, random_state=0), tables.diabetes),
        (ensemble.RandomForestRegressor(20, max_depth=8, random_state=0), with_holes),
        (ensemble.ExtraTreesRegressor(20, max_depth=8, random_state=0), with_holes),
        (ensemble.GradientBoostingRegressor(n_estimators=40, random_state=0), tables.diabetes),
        (ensemble.HistGradientBoostingRegressor(max_iter=40, random_state=0), with_holes),
    ]:
        yield Entry(TREES, type(model).__name__, model, table)
    yield Entry(TREES, "RandomForestRegressor, three targets", ensemble.RandomForestRegressor(10, random_state=0), tables.linnerud)


def others():
    kernel = gaussian_process.kernels
    for title, model, table in [
        ("KNeighborsRegressor", neighbors.KNeighborsRegressor(), tables.diabetes),
        ("KNeighborsRegressor, by distance", neighbors.KNeighborsRegressor(3, weights="distance"), tables.diabetes),
        ("KNeighborsRegressor, three targets", neighbors.KNeighborsRegressor(3), tables.linnerud),
        ("RadiusNeighborsRegressor", neighbors.RadiusNeighborsRegressor(200.0), tables.diabetes),
        ("MLPRegressor", make_pipeline(StandardScaler(), neural_network.MLPRegressor(max_iter=400, random_state=0)), tables.diabetes),
    ]:
        yield Entry(OTHERS, title, model, table)
    for title, model, table in [
        ("SVR", svm.SVR(C=100.0), tables.diabetes),
        ("SVR, linear kernel", make_pipeline(StandardScaler(), svm.SVR(kernel="linear")), tables.diabetes),
        ("SVR, polynomial kernel", make_pipeline(StandardScaler(), svm.SVR(kernel="poly", degree=2)), tables.diabetes),
        ("SVR, sigmoid kernel", svm.SVR(kernel="sigmoid"), tables.diabetes_positive),
        ("NuSVR", svm.NuSVR(C=100.0), tables.diabetes),
        ("GaussianProcessRegressor", gaussian_process.GaussianProcessRegressor(kernel.RBF() + kernel.WhiteKernel(), random_state=0), tables.diabetes_positive),
        ("GaussianProcessRegressor, dot product", gaussian_process.GaussianProcessRegressor(kernel.DotProduct() + kernel.WhiteKernel(), random_state=0), tables.diabetes_positive),
    ]:
        yield Entry(OTHERS, title, model, table, relative=SVM_AND_GP)


def composed():
    ridge = linear_model.Ridge
    forest = lambda: ensemble.RandomForestRegressor(5, max_depth=4, random_state=0)
    pair = lambda: [("ridge", ridge()), ("forest", forest())]
    for title, model, table in [
        ("AdaBoostRegressor", ensemble.AdaBoostRegressor(n_estimators=10, random_state=0), tables.diabetes),
        ("BaggingRegressor", ensemble.BaggingRegressor(n_estimators=5, random_state=0), tables.diabetes),
        ("StackingRegressor", ensemble.StackingRegressor(pair(), cv=3), tables.diabetes),
        ("VotingRegressor", ensemble.VotingRegressor(pair()), tables.diabetes),
        ("MultiOutputRegressor", MultiOutputRegressor(ridge()), tables.linnerud),
        ("GridSearchCV of Ridge", GridSearchCV(ridge(), {"alpha": [0.1, 1.0]}, cv=3), tables.diabetes),
    ]:
        yield Entry(COMPOSED, title, model, table)
