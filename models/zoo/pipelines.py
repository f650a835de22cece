"""Whole pipelines: columns of texts and numbers, and sentences."""

from skl2onnx.common.data_types import DictionaryType, FloatTensorType, StringTensorType
from sklearn import ensemble, feature_selection, linear_model, naive_bayes, svm
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

import tables
from entries import Entry, classifiers

COLUMNS = "Pipelines over columns of texts and numbers"
TEXT = "Texts"


def entries() -> list[Entry]:
    return [*columns(), *text(), *unions()]


def mixed():
    """One input for each column of the frame."""
    table = tables.mixed()
    text = {"grade", "region"}
    table.types = [
        (name, (StringTensorType if name in text else FloatTensorType)([None, 1])) for name in table.x.columns
    ]
    return table


def named():
    """The same, with words for labels."""
    table = mixed()
    table.y = tables.WINES[table.y]
    return table


def prepared(encoder) -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return ColumnTransformer(
        [("numbers", numbers, ["alcohol", "phenols", "proline"]), ("texts", encoder, ["grade", "region"])]
    )


def columns():
    one_hot = lambda: OneHotEncoder(handle_unknown="ignore")
    ordinal = lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    for title, model in [
        ("ColumnTransformer, imputing, one-hot, LogisticRegression", make_pipeline(prepared(one_hot()), linear_model.LogisticRegression())),
        ("ColumnTransformer, imputing, ordinal, RandomForestClassifier", make_pipeline(prepared(ordinal()), ensemble.RandomForestClassifier(20, random_state=0))),
        ("ColumnTransformer, imputing, ordinal, HistGradientBoostingClassifier", make_pipeline(prepared(ordinal()), ensemble.HistGradientBoostingClassifier(max_iter=10, random_state=0))),
    ]:
        yield from classifiers(COLUMNS, title, model, mixed)
    words = make_pipeline(prepared(one_hot()), linear_model.LogisticRegression())
    yield from classifiers(COLUMNS, "ColumnTransformer, imputing, one-hot, LogisticRegression, text labels", words, named)
    regressor = make_pipeline(prepared(one_hot()), ensemble.GradientBoostingRegressor(n_estimators=20, random_state=0))
    yield Entry(COLUMNS, "ColumnTransformer, imputing, one-hot, GradientBoostingRegressor", regressor, mixed)
    yield Entry(COLUMNS, "ColumnTransformer alone", prepared(one_hot()), mixed)
    yield Entry(COLUMNS, "ColumnTransformer, ordinal, alone", prepared(ordinal()), mixed)


def sentences():
    table = tables.sentences()
    table.types = [("text", StringTensorType([None, 1]))]
    return table


def text():
    for title, model in [
        ("CountVectorizer", CountVectorizer()),
        ("CountVectorizer, binary", CountVectorizer(binary=True)),
        ("CountVectorizer, pairs of words", CountVectorizer(ngram_range=(1, 2))),
        ("CountVectorizer, with capitals", CountVectorizer(lowercase=False)),
        ("CountVectorizer, stop words", CountVectorizer(stop_words="english")),
        ("TfidfVectorizer", TfidfVectorizer()),
        ("TfidfVectorizer, pairs of words, sum", TfidfVectorizer(ngram_range=(1, 2), norm="l1", sublinear_tf=True)),
        ("TfidfVectorizer, own tokens", TfidfVectorizer(token_pattern="[a-zA-Z]+")),
        ("TfidfVectorizer, letters", TfidfVectorizer(analyzer="char", ngram_range=(1, 2))),
        ("CountVectorizer and TfidfTransformer", Pipeline([("count", CountVectorizer()), ("weigh", TfidfTransformer())])),
        ("TfidfVectorizer and TruncatedSVD", make_pipeline(TfidfVectorizer(), TruncatedSVD(5, random_state=0))),
    ]:
        yield Entry(TEXT, title, model, sentences)
    for title, model in [
        ("TfidfVectorizer and LogisticRegression", make_pipeline(TfidfVectorizer(), linear_model.LogisticRegression())),
        ("CountVectorizer and MultinomialNB", make_pipeline(CountVectorizer(), naive_bayes.MultinomialNB())),
    ]:
        yield from classifiers(TEXT, title, model, sentences)
    yield Entry(TEXT, "DictVectorizer", DictVectorizer(), word_counts)
    support = make_pipeline(TfidfVectorizer(), svm.LinearSVC(random_state=0))
    yield Entry(TEXT, "TfidfVectorizer and LinearSVC", support, sentences)


def word_counts():
    table = tables.word_counts()
    table.types = [("X", DictionaryType(StringTensorType([1]), FloatTensorType([1])))]
    return table


def unions():
    union = FeatureUnion([("scaled", MinMaxScaler()), ("projected", PCA(2))])
    yield Entry(COLUMNS, "FeatureUnion", union, tables.iris)
    selected = make_pipeline(union, feature_selection.SelectKBest(k=3), linear_model.LogisticRegression(max_iter=2000))
    yield from classifiers(COLUMNS, "FeatureUnion, SelectKBest, LogisticRegression", selected, tables.iris)
    by_number = ColumnTransformer([("scaled", StandardScaler(), [0, 1]), ("kept", "passthrough", [3])])
    yield Entry(COLUMNS, "ColumnTransformer by numbers of columns", by_number, tables.iris)
