"""Tables go in with their columns' names and come out with the latents', as scikit-learn has it."""
import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

import npvae
from npvae.errors import (
    DataError,
    MissingExtraError,
    ModelFileError,
    NotFittedError,
    ParameterError,
)
from npvae.io import read_archive, write_archive

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
checks = pytest.importorskip("sklearn.utils.estimator_checks")

NAMES = ["height", "width", "age", "pulse"]
X = np.random.default_rng(0).random((30, 4))  # (N, D)
FRAMES = {
    "pandas": pd.DataFrame(X, columns=NAMES, index=[f"p{i}" for i in range(30)]),
    "polars": pl.DataFrame(X, schema=NAMES, orient="row"),
    "pyarrow": pa.table(dict(zip(NAMES, X.T, strict=True))),
}
CLASSES = {
    "VAE": npvae.VAE, "Autoencoder": npvae.Autoencoder, "WakeSleep": npvae.WakeSleep,
    "FullVB": npvae.FullVB, "MCEM": npvae.MCEM,
}  # fmt: skip
TAKES_X = {
    "transform": lambda m, X: m.transform(X),
    "reconstruct": lambda m, X: m.reconstruct(X),
    "posterior_of": lambda m, X: m.posterior_of(X),
    "score": lambda m, X: m.score(X),
    "score_samples": lambda m, X: m.score_samples(X),
    "elbo": lambda m, X: m.elbo(X),
    "iwae_bound": lambda m, X: m.iwae_bound(X, k=1, n_samples=2),
    "log_likelihood": lambda m, X: m.log_likelihood(X, 2),
    "loss_and_grad": lambda m, X: m.loss_and_grad(X),
    "partial_fit": lambda m, X: m.partial_fit(X),
}
METHODS = [(k, name) for k, kind in CLASSES.items() for name in TAKES_X if hasattr(kind, name)]


def made(kind="VAE", **settings):
    defaults = {"latent_dim": 2, "hidden": (3,), "epochs": 1, "random_state": 0, "verbose": False}
    return CLASSES[kind](**defaults | {"likelihood": "bernoulli"} | settings)


def said(error):
    text = str(error.value)
    assert "\n" not in text
    return text


# --- what goes in -------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.filterwarnings("error")
def test_the_names_are_kept_and_the_numbers_are_those_of_an_array(frame, first):
    model = getattr(made(), first)(frame)
    assert model.feature_names_in_.dtype == object and list(model.feature_names_in_) == NAMES
    assert list(model.partial_fit(frame).feature_names_in_) == NAMES
    again = getattr(made(), first)(X).partial_fit(X)
    np.testing.assert_array_equal(model.transform(frame), again.transform(X))
    assert not hasattr(model.fit(X), "feature_names_in_")  # as of new data without
    assert not hasattr(model.fit(frame).initialize(4), "feature_names_in_")


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize(("kind", "asked"), METHODS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_other_columns_are_refused_by_every_method_in_scikit_learns_words(kind, asked, frame):
    model = made(kind).fit(frame)
    from sklearn.decomposition import PCA

    theirs = PCA().fit(FRAMES["pandas"])
    make = pa.table if type(frame) is pa.Table else type(frame)
    others = {
        "same order": NAMES[::-1], "unseen at fit time: 'weight'": [*NAMES[:3], "weight"],
        "yet now missing: 'pulse'": NAMES[:3],
    }  # fmt: skip
    for part, names in others.items():
        other = make({name: X[:, i] for i, name in enumerate(names)})
        with pytest.raises(DataError) as error:
            TAKES_X[asked](model, other)
        assert part in said(error)
        with pytest.raises(ValueError) as expected:
            theirs.transform(pd.DataFrame({name: X[:, i] for i, name in enumerate(names)}))
        first = str(expected.value).splitlines()[0]  # the feature names should match …
        assert said(error).startswith(first)
    TAKES_X[asked](model, make({name: X[:3, i] for i, name in enumerate(NAMES)}))


def test_validation_data_have_the_columns_of_the_training_data():
    frame = FRAMES["pandas"]
    with pytest.raises(DataError, match="same order"):
        made().fit(frame, validation=frame[NAMES[::-1]])
    made().fit(frame, validation=frame)


def test_where_one_of_the_two_has_no_names_scikit_learns_warning_says_so():
    named, plain = made().fit(FRAMES["pandas"]), made().fit(X)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but VAE was fitted"):
        named.transform(X)
    with pytest.warns(UserWarning, match="X has feature names, but VAE was fitted without"):
        plain.transform(FRAMES["pandas"])


@pytest.mark.parametrize("columns", [[0, 1, 2, 3], [("a", 1), ("a", 2), ("b", 1), ("b", 2)]])
def test_names_that_are_no_strings_are_not_kept(columns):
    model = made().fit(pd.DataFrame(X, columns=columns))
    assert not hasattr(model, "feature_names_in_")
    with warnings.catch_warnings(action="error"):
        model.transform(pd.DataFrame(X))


def test_a_mixture_of_names_and_numbers_is_refused_as_scikit_learn_does():
    mixed = pd.DataFrame(X, columns=["a", 1, 2, "b"])
    for use in (made().fit, made().partial_fit, made().fit(X).transform):
        with pytest.raises(TypeError, match="Feature names are only supported if all") as error:
            use(mixed)
        assert type(error.value) is DataError and "['int', 'str']" in said(error)


# --- cells that are no numbers ------------------------------------------------------------

PANDAS, POLARS = FRAMES["pandas"], FRAMES["polars"]
ARROW_BOOL = FRAMES["pyarrow"].set_column(2, "age", pa.array(X[:, 2] > 0.5))
GOOD = {
    "bool beside float": (PANDAS.assign(age=PANDAS.age > 0.5), X[:, 2] > 0.5),
    "nullable float": (PANDAS.astype({"age": "Float64"}), X[:, 2]),
    "nullable bool": (PANDAS.assign(age=pd.array(X[:, 2] > 0.5, "boolean")), X[:, 2] > 0.5),
    "integers in categories": (PANDAS.assign(age=pd.Categorical([0, 1] * 15)), [0, 1] * 15),
    "sparse": (PANDAS.astype(pd.SparseDtype(float, 0)), X[:, 2]),
    "float32": (PANDAS.astype({"age": "float32"}), X[:, 2].astype("f4")),
    "polars: bool": (POLARS.with_columns(age=pl.col("age") > 0.5), X[:, 2] > 0.5),
    "pyarrow: bool": (ARROW_BOOL, X[:, 2] > 0.5),
    "polars: decimal": (POLARS.with_columns(age=pl.lit("0.5").cast(pl.Decimal(3, 1))), 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_numbers_of_any_kind_are_read_right(name):
    frame, age = GOOD[name]
    expected = X.copy()
    expected[:, 2] = age
    with warnings.catch_warnings(action="error"):
        ours, theirs = made().fit(frame).transform(frame), made().fit(expected).transform(expected)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def with_cell(value, dtype=object):
    frame = PANDAS.astype({"age": dtype})
    frame.iloc[3, 2] = value
    return frame


def with_column(values):
    return POLARS.with_columns(age=pl.Series(values))


def arrow(values):
    return FRAMES["pyarrow"].set_column(2, "age", pa.array(values))


BAD = {
    "NA in objects": (with_cell(pd.NA), "[3, 'age'] is <NA>"),
    "NA in nullable floats": (with_cell(pd.NA, "Float64"), "[3, 'age'] is NaN"),
    "NA in nullable bools": (
        PANDAS.assign(age=pd.array([True] * 3 + [None] * 27, "boolean")), "[3, 'age'] is NaN"),
    "None": (with_cell(None), "[3, 'age'] is None"),
    "NaN": (with_cell(np.nan, float), "[3, 'age'] is NaN"),
    "NaT": (with_cell(pd.NaT), "[3, 'age'] is NaT"),
    "text": (with_cell("x"), "[3, 'age'] is 'x'"),
    "a number as text": (with_cell("0.5"), "[3, 'age'] is '0.5'"),
    "strings": (PANDAS.assign(age="x"), "[0, 'age'] is 'x'"),
    "categories": (PANDAS.assign(age=pd.Categorical(["u", "v"] * 15)), "[0, 'age'] is 'u'"),
    "dates": (PANDAS.assign(age=pd.Timestamp("2020")), "[0, 'age'] is Timestamp('2020"),
    "dates alone": (pd.DataFrame({"day": pd.date_range("2020", periods=9)}), "[0, 'day'] is Times"),
    "time zones": (PANDAS.assign(age=pd.Timestamp("2020", tz="UTC")), "[0, 'age'] is Timestamp("),
    "spans": (PANDAS.assign(age=pd.Timedelta("1s")), "[0, 'age'] is Timedelta("),
    "periods": (PANDAS.assign(age=pd.Period("2020")), "[0, 'age'] is Period("),
    "complex": (PANDAS.assign(age=1j), "Complex"),
    "outside": (with_cell(1.5, float), "X[3, 'age'] = 1.5 lies outside [0, 1]"),
    "infinite in float32": (with_cell(1e300, float), "X[3, 'age'] = 1e+300"),
    "numbers for names": (pd.DataFrame(X, columns=[5, 6, 7, 8]).mul(np.nan), "X[0, 5] is NaN"),
    "polars: null": (with_column([0.5] * 3 + [None] * 27), "[3, 'age'] is NaN"),
    "polars: null bool": (with_column([True] * 3 + [None] * 27), "[3, 'age'] is NaN"),
    "polars: text": (with_column(["x"] * 30), "[0, 'age'] is 'x'"),
    "polars: a number as text": (with_column(["1"] * 30), "[0, 'age'] is '1'"),
    "polars: dates": (with_column([pd.Timestamp("2020").date()] * 30), "[0, 'age'] is datetime."),
    "polars: spans": (with_column([pd.Timedelta("1s")] * 30), "[0, 'age'] is datetime."),
    "polars: lists": (with_column([[1]] * 30), "numbers"),
    "pyarrow: null": (arrow([0.5] * 3 + [None] * 27), "[3, 'age'] is NaN"),
    "pyarrow: null bool": (arrow([True] * 3 + [None] * 27), "[3, 'age'] is None"),
    "pyarrow: text": (arrow(["0.5"] * 30), "[0, 'age'] is '0.5'"),
    "pyarrow: dates": (arrow([pd.Timestamp("2020").date()] * 30), "[0, 'age'] is datetime.date("),
    "polars: lazy": (POLARS.lazy(), "LazyFrame"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_cell_that_is_no_number_has_its_row_and_column(name):
    frame, part = BAD[name]
    for use in (made().fit, made().partial_fit, made().initialize(len(frame.columns)).transform):
        with pytest.raises(DataError) as error, warnings.catch_warnings(action="ignore"):
            use(frame)
        assert part in said(error) and len(said(error)) < 300


# --- what comes out -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLASSES)
def test_latents_are_named_after_the_class(kind):
    model = made(kind, latent_dim=3)
    with pytest.raises(NotFittedError):
        model.get_feature_names_out()
    model.fit(PANDAS)
    names = model.get_feature_names_out()
    assert names.dtype == object and list(names) == [f"{kind.lower()}{j}" for j in range(3)]
    assert list(model.get_feature_names_out(NAMES)) == list(names)
    for wrong in (NAMES[::-1], NAMES[:2]):
        with pytest.raises(ParameterError, match="not equal to feature_names_in_"):
            model.get_feature_names_out(wrong)


@pytest.mark.parametrize("kind", ["VAE", "Autoencoder"])
@pytest.mark.parametrize("check", [
    "check_transformer_get_feature_names_out", "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform", "check_set_output_transform_pandas",
    "check_set_output_transform_polars", "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learns_own_checks_of_names_and_tables(kind, check):
    getattr(checks, check)(kind, made(kind, likelihood="normal"))


def test_a_table_out_goes_in_again_but_in_another_order():
    model = made().fit(PANDAS).set_output(transform="pandas")
    Z = model.transform(PANDAS)
    assert list(Z.columns) == ["vae0", "vae1"] and list(Z.index) == list(PANDAS.index)
    plain = made().fit(PANDAS)
    np.testing.assert_array_equal(model.inverse_transform(Z), plain.reconstruct(PANDAS))
    np.testing.assert_array_equal(model.reconstruct(PANDAS), plain.reconstruct(PANDAS))
    for use in (model.inverse_transform, model.likelihood_of):
        with pytest.raises(DataError, match="'vae1', 'vae0', not 'vae0', 'vae1'") as error:
            use(Z[["vae1", "vae0"]])
        said(error)
    just_above = 1.01 * np.asarray(Z).var(axis=0).max()  # and below pandas's own, of N − 1
    assert not npvae.evaluation.active_units(Z, just_above).any()
    assert type(model.set_output(transform="default").transform(PANDAS)) is np.ndarray
    assert model.set_output() is model
    with pytest.raises(ParameterError, match="transform='xarray' is not one of default, pandas"):
        model.set_output(transform="xarray")


def test_a_table_without_its_library_is_one_line(monkeypatch):
    model = made().fit(X).set_output(transform="polars")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match="pip install polars"):
        model.transform(X)


@pytest.mark.parametrize("output", ["pandas", "polars"])
@pytest.mark.filterwarnings("error")
def test_scikit_learns_composites(output):
    """Each column of what comes out is that of the model alone."""
    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    frame = FRAMES[output]
    alone = made().fit(frame[["age", "pulse"]]).transform(frame[["age", "pulse"]])
    columns = ColumnTransformer([("z", made(), ["age", "pulse"]), ("x", "passthrough", ["width"])])
    table = clone(columns).set_output(transform=output).fit(frame).transform(frame)
    assert list(table.columns) == ["z__vae0", "z__vae1", "x__width"]
    np.testing.assert_array_equal(np.asarray(table)[:, :2].astype("f4"), alone)
    np.testing.assert_array_equal(columns.fit_transform(frame)[:, :2].astype("f4"), alone)
    shuffled = frame[["pulse", "width", "height", "age"]]  # it picks its columns by name
    np.testing.assert_array_equal(np.asarray(columns.transform(shuffled)[:, 2]), X[:, 1])

    union = FeatureUnion([("a", made()), ("b", made("Autoencoder"))]).set_output(transform=output)
    assert list(union.fit_transform(frame).columns) == [
        "a__vae0", "a__vae1", "b__autoencoder0", "b__autoencoder1"]  # fmt: skip

    pipeline = make_pipeline(MinMaxScaler(clip=True), made()).set_output(transform=output)
    search = GridSearchCV(pipeline, {"vae__latent_dim": [1, 2]}, cv=2).fit(frame)
    best = search.best_estimator_
    assert list(best[-1].feature_names_in_) == NAMES and best.get_feature_names_out()[0] == "vae0"
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# --- files and copies ---------------------------------------------------------------------


def test_names_travel_with_the_model(tmp_path):
    model, path = made().fit(PANDAS), tmp_path / "model.npz"
    model.save(path)
    for other in (npvae.load(path), pickle.loads(pickle.dumps(model))):
        assert list(other.feature_names_in_) == NAMES
        with pytest.raises(DataError, match="same order"):
            other.transform(PANDAS[NAMES[::-1]])
        other.partial_fit(PANDAS)
        with pytest.raises(DataError, match="unseen"):
            other.partial_fit(PANDAS.rename(columns={"age": "years"}))
    made().fit(X).save(path)
    assert not hasattr(npvae.load(path), "feature_names_in_")


def test_a_trained_model_of_a_file_without_names_takes_none_from_later_data(tmp_path):
    made().fit(X).save(tmp_path / "model.npz")
    model = npvae.load(tmp_path / "model.npz")
    with pytest.warns(UserWarning, match="fitted without feature names"):
        model.partial_fit(PANDAS)
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize("names", [NAMES[:3], [1, 2, 3, 4], "abcd", {"a": 1}, 7])
def test_a_file_with_other_names_than_features_is_refused(names, tmp_path):
    path = tmp_path / "model.npz"
    made().fit(PANDAS).save(path)
    config, arrays = read_archive(path, "model")
    assert json.dumps(config["feature_names"]) == json.dumps(NAMES)
    write_archive(path, "model", config | {"feature_names": names}, arrays)
    with pytest.raises(ModelFileError, match="feature_names are not 4 names"):
        npvae.load(path)
    del config["feature_names"]  # of an older npvae
    write_archive(path, "model", config, arrays)
    assert not hasattr(npvae.load(path), "feature_names_in_")


def test_a_training_goes_on_with_the_same_columns_alone(tmp_path):
    path = tmp_path / "checkpoint.npz"
    made().fit(PANDAS, checkpoint=path)
    with pytest.raises(ModelFileError, match="feature_names"):
        made(epochs=2).fit(PANDAS[NAMES[::-1]], checkpoint=path, resume=True)
    assert made(epochs=2).fit(PANDAS, checkpoint=path, resume=True).history_["epoch"] == [1, 2]
    config, arrays = read_archive(path, "checkpoint")
    del config["feature_names"]
    write_archive(path, "checkpoint", config, arrays)
    made(epochs=3).fit(PANDAS, checkpoint=path, resume=True)


def test_tables_are_read_without_importing_any_library():
    program = """
import sys, npvae, numpy as np
class Table:  # what pandas and polars have in common
    columns, dtypes, shape = ["a", "b"], [np.dtype(float)] * 2, (6, 2)
    def __array__(self, dtype=None, copy=None):
        return np.linspace(0, 1, 12).reshape(6, 2)
model = npvae.VAE(hidden=(3,), epochs=1, verbose=False, random_state=0).fit(Table())
assert list(model.feature_names_in_) == ["a", "b"] and model.transform(Table()).shape == (6, 2)
print([name for name in ("sklearn", "pandas", "polars", "scipy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
