"""Classifiers, each with ZipMap and without."""

from sklearn import discriminant_analysis as discriminant
from sklearn import ensemble, gaussian_process, linear_model, naive_bayes, neighbors, neural_network, svm, tree
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tables
from entries import SVM_AND_GP, Entry, classifiers

LINEAR = "Linear classifiers"
TREES = "Trees and forests, classifying"
NEIGHBOURS = "Neighbours, Bayes and perceptrons, classifying"
VECTORS = "Support vectors and Gaussian processes, classifying"
COMPOSED = "Classifiers made of others"


def entries() -> list[Entry]:
    return [*linear(), *trees(), *neighbours(), *vectors(), *composed()]


def linear():
    scaled = lambda model: make_pipeline(StandardScaler(), model)
    for title, model, table in [
        ("LogisticRegression", linear_model.LogisticRegression(max_iter=2000), tables.iris),
        ("LogisticRegression, two classes", linear_model.LogisticRegression(max_iter=5000), tables.cancer),
        ("LogisticRegression, text labels", linear_model.LogisticRegression(max_iter=2000), tables.iris_named),
        ("LogisticRegression, two text labels", linear_model.LogisticRegression(max_iter=5000), tables.cancer_named),
        ("StandardScaler and LogisticRegression", scaled(linear_model.LogisticRegression()), tables.iris),
        ("LogisticRegressionCV", linear_model.LogisticRegressionCV(Cs=3, max_iter=2000, l1_ratios=(0,), use_legacy_attributes=True, scoring="accuracy"), tables.iris),
        ("LinearDiscriminantAnalysis", discriminant.LinearDiscriminantAnalysis(), tables.iris),
        ("QuadraticDiscriminantAnalysis", discriminant.QuadraticDiscriminantAnalysis(), tables.iris),
        ("SGDClassifier, log loss", linear_model.SGDClassifier(loss="log_loss", random_state=0), tables.iris),
        ("SGDClassifier, modified Huber loss", linear_model.SGDClassifier(loss="modified_huber", random_state=0), tables.iris),
        ("SGDClassifier, hinge loss", linear_model.SGDClassifier(random_state=0), tables.iris),
    ]:
        yield from classifiers(LINEAR, title, model, table)
    for title, model, table in [
        ("LinearSVC", svm.LinearSVC(random_state=0, max_iter=20000), tables.iris),
        ("LinearSVC, two classes", svm.LinearSVC(random_state=0, max_iter=20000), tables.cancer),
        ("RidgeClassifier", linear_model.RidgeClassifier(), tables.iris),
        ("RidgeClassifierCV", linear_model.RidgeClassifierCV(), tables.cancer),
        ("Perceptron", linear_model.Perceptron(random_state=0), tables.iris),
        ("PassiveAggressiveClassifier", linear_model.PassiveAggressiveClassifier(random_state=0), tables.iris),
    ]:
        yield Entry(LINEAR, title, model, table)


def trees():
    with_holes = lambda: tables.iris(missing=True)
    two_with_holes = lambda: tables.cancer(missing=True)
    for title, model, table in [
        ("DecisionTreeClassifier", tree.DecisionTreeClassifier(random_state=0), with_holes),
        ("ExtraTreeClassifier", tree.ExtraTreeClassifier(random_state=0), tables.iris),
        ("RandomForestClassifier", ensemble.RandomForestClassifier(50, random_state=0), with_holes),
        ("RandomForestClassifier, two classes", ensemble.RandomForestClassifier(20, random_state=0), two_with_holes),
        ("RandomForestClassifier, text labels", ensemble.RandomForestClassifier(20, random_state=0), lambda: tables.iris_named(missing=True)),
        ("RandomForestClassifier, two text labels", ensemble.RandomForestClassifier(20, random_state=0), tables.cancer_named),
        ("ExtraTreesClassifier", ensemble.ExtraTreesClassifier(20, random_state=0), with_holes),
        ("GradientBoostingClassifier", ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0), tables.iris),
        ("GradientBoostingClassifier, two classes", ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0), tables.cancer),
        ("HistGradientBoostingClassifier", ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0), with_holes),
        ("HistGradientBoostingClassifier, two classes", ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0), two_with_holes),
    ]:
        yield from classifiers(TREES, title, model, table)


def neighbours():
    for title, model, table in [
        ("KNeighborsClassifier", neighbors.KNeighborsClassifier(), tables.iris),
        ("KNeighborsClassifier, by distance", neighbors.KNeighborsClassifier(3, weights="distance"), tables.iris),
        ("KNeighborsClassifier, Manhattan, text labels", neighbors.KNeighborsClassifier(metric="manhattan"), tables.iris_named),
        ("RadiusNeighborsClassifier", neighbors.RadiusNeighborsClassifier(3.0, outlier_label=0), tables.iris),
        ("GaussianNB", naive_bayes.GaussianNB(), tables.iris),
        ("MultinomialNB", naive_bayes.MultinomialNB(), tables.counts),
        ("BernoulliNB", naive_bayes.BernoulliNB(binarize=4.0), tables.counts),
        ("ComplementNB", naive_bayes.ComplementNB(), tables.counts),
        ("CategoricalNB", naive_bayes.CategoricalNB(min_categories=64), lambda: whole(tables.iris())),
        ("MLPClassifier", neural_network.MLPClassifier(max_iter=1500, random_state=0), tables.iris),
        ("MLPClassifier, two classes, tanh", neural_network.MLPClassifier(activation="tanh", max_iter=300, random_state=0), tables.cancer),
        ("MLPClassifier, text labels", neural_network.MLPClassifier(activation="logistic", max_iter=1500, random_state=0), tables.iris_named),
    ]:
        yield from classifiers(NEIGHBOURS, title, model, table)


def whole(table):
    """In whole numbers, as categories are."""
    inputs = lambda rows: rows.clip(0, 8).astype("int64")
    cases = {case: {"X": inputs(request["X"])} for case, request in table.cases.items()}
    return tables.Table(inputs(table.x), table.y, cases)


def vectors():
    for title, model, table in [
        ("SVC", svm.SVC(), tables.iris),
        ("SVC, two classes", svm.SVC(), tables.cancer),
        ("SVC, linear kernel", svm.SVC(kernel="linear"), tables.iris),
        ("SVC, polynomial kernel", svm.SVC(kernel="poly", degree=2, coef0=1.0), tables.iris),
        ("SVC, sigmoid kernel", svm.SVC(kernel="sigmoid", gamma=0.01), tables.iris),
        ("SVC, text labels", svm.SVC(), tables.iris_named),
        ("SVC, probabilities", svm.SVC(probability=True, random_state=0), tables.iris),
        ("SVC, probabilities, two text labels", svm.SVC(probability=True, random_state=0), tables.cancer_named),
        ("SVC, decisions one against one", svm.SVC(decision_function_shape="ovo"), tables.iris),
        ("NuSVC", svm.NuSVC(nu=0.3), tables.iris),
        ("NuSVC, probabilities", svm.NuSVC(nu=0.3, probability=True, random_state=0), tables.iris),
        ("GaussianProcessClassifier", gaussian_process.GaussianProcessClassifier(), tables.cancer),
        ("GaussianProcessClassifier, three classes", gaussian_process.GaussianProcessClassifier(), tables.iris),
    ]:
        yield from classifiers(VECTORS, title, model, table, relative=SVM_AND_GP)


def composed():
    logistic = lambda: linear_model.LogisticRegression(max_iter=5000)
    forest = lambda: ensemble.RandomForestClassifier(5, max_depth=4, random_state=0)
    three = lambda: [("logistic", logistic()), ("bayes", naive_bayes.GaussianNB()), ("forest", forest())]
    for title, model, table in [
        ("AdaBoostClassifier", ensemble.AdaBoostClassifier(n_estimators=10, random_state=0), tables.iris),
        ("BaggingClassifier", ensemble.BaggingClassifier(n_estimators=5, random_state=0), tables.iris),
        ("BaggingClassifier of LogisticRegression", ensemble.BaggingClassifier(logistic(), n_estimators=4, random_state=0), tables.iris),
        ("StackingClassifier", ensemble.StackingClassifier(three(), cv=3), tables.iris),
        ("StackingClassifier, passing features through", ensemble.StackingClassifier(three(), cv=3, passthrough=True), tables.cancer),
        ("VotingClassifier, hard", ensemble.VotingClassifier(three(), flatten_transform=False), tables.iris),
        ("VotingClassifier, soft", ensemble.VotingClassifier(three(), voting="soft", flatten_transform=False), tables.iris),
        ("OneVsRestClassifier", OneVsRestClassifier(logistic()), tables.iris),
        ("OneVsOneClassifier", OneVsOneClassifier(logistic()), tables.iris),
        ("CalibratedClassifierCV, sigmoid", CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=3), tables.iris),
        ("CalibratedClassifierCV, isotonic", CalibratedClassifierCV(forest(), cv=3, method="isotonic"), tables.cancer),
        ("CalibratedClassifierCV of LinearSVC", CalibratedClassifierCV(svm.LinearSVC(random_state=0, max_iter=20000), cv=3), tables.iris),
        ("MultiOutputClassifier", MultiOutputClassifier(logistic()), tables.two_labels),
        ("GridSearchCV of LogisticRegression", GridSearchCV(logistic(), {"C": [0.1, 1.0]}, cv=3), tables.iris),
        ("TunedThresholdClassifierCV", TunedThresholdClassifierCV(logistic(), cv=3), tables.cancer),
    ]:
        yield from classifiers(COMPOSED, title, model, table)
