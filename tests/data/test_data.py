"""The data a model is given: what the loaders promise, and what `check_data` lets through."""
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from npvae import VAE
from npvae.data import Dataset, available, check_data, load, load_digits, make_swiss_roll
from npvae.distributions import BernoulliLikelihood
from npvae.distributions.support import COUNTS, levels
from npvae.errors import DataError, ParameterError

UNIT, LEVELS = BernoulliLikelihood.support, levels(3, "categorical")


def says(error: pytest.ExceptionInfo[BaseException], *parts: str) -> bool:
    """Whether the message is one line with all these parts."""
    message = str(error.value)
    return "\n" not in message and all(part in message for part in parts)


# --- the digits ---------------------------------------------------------------------------


def test_the_digits_are_those_of_scikit_learn():
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    ours = load_digits()
    np.testing.assert_array_equal(ours.pixels, theirs.data)
    np.testing.assert_array_equal(ours.images * 16, theirs.data)  # 1/16 is exact in binary
    np.testing.assert_array_equal(ours.labels, theirs.target)


def test_the_digits_need_no_network_and_fill_the_unit_interval():
    digits = load_digits()
    assert digits.pixels.dtype == np.uint8 and digits.images.dtype == np.float32
    assert (digits.images.min(), digits.images.max()) == (0.0, 1.0)
    assert (len(digits), digits.image_shape, digits.name) == (1797, (8, 8), "digits")
    assert check_data(digits.images, 64, support=UNIT) is digits.images


# --- the swiss roll -----------------------------------------------------------------------


def test_the_swiss_roll_lies_on_its_manifold():
    roll = make_swiss_roll(5000, rng=1)
    t = roll.labels.astype(np.float64)
    x, height, z = 10 * roll.pixels.T.astype(np.float64)
    # Polar coordinates give the position along the roll back twice: as radius and as angle.
    # float32 keeps 2⁻²⁴ of a coordinate of 14: 10⁻⁶ with the rounding of t itself.
    np.testing.assert_allclose(np.hypot(x, z), t, atol=1e-5)
    np.testing.assert_allclose(np.exp(1j * np.arctan2(z, x)), np.exp(1j * t), atol=1e-5)
    assert t.min() >= 1.5 * np.pi - 1e-6 and t.max() <= 4.5 * np.pi + 1e-6
    assert height.min() >= 0 and height.max() <= 21.00001
    assert roll.image_shape is None and len(roll) == 5000


def test_the_swiss_roll_fills_its_sheet_evenly():
    stats = pytest.importorskip("scipy.stats")
    roll = make_swiss_roll(5000, rng=2)
    u, v = (roll.labels / (1.5 * np.pi) - 1) / 2, roll.pixels[:, 1] / 2.1
    # A uniform sample has p below 1e-3 once in a thousand seeds; this seed is fixed.
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert stats.kstest(v, "uniform").pvalue > 1e-3
    assert abs(stats.spearmanr(u, v).statistic) < 4 / np.sqrt(5000)  # 4 standard errors


def test_a_seed_gives_the_same_roll_and_none_another():
    np.testing.assert_array_equal(make_swiss_roll(9, rng=3).pixels, make_swiss_roll(9, 3).pixels)
    generator = np.random.default_rng(3)
    np.testing.assert_array_equal(
        make_swiss_roll(9, generator).pixels, make_swiss_roll(9, rng=3).pixels)
    assert (make_swiss_roll(9, generator).pixels != make_swiss_roll(9, rng=3).pixels).any()
    assert (make_swiss_roll(9).pixels != make_swiss_roll(9).pixels).any()
    with pytest.raises(ParameterError) as error:
        make_swiss_roll(0)
    assert says(error, "n = 0", "1 or more")


# --- Dataset ------------------------------------------------------------------------------


def test_bytes_are_scaled_into_the_unit_interval_and_floats_are_left_alone():
    pixels = np.arange(256, dtype=np.uint8)[None]
    images = Dataset(pixels, scale=1 / 255).images
    assert images.dtype == np.float32 and images.max() == 1.0
    # 1/255 is rounded and so is the product: two halves of a unit in the last place.
    np.testing.assert_allclose(images, pixels / 255, rtol=2.0**-23)
    for dtype in (np.float32, np.float64):
        floats = np.full((2, 3), 0.3, dtype)
        assert Dataset(floats).images is floats


BYTES = np.array([[0, 1, 2, 200], [0, 1, 1, 0]], np.uint8)


@pytest.mark.parametrize(("likelihood", "factor"), [
    ("bernoulli", 1 / 255), ("continuous-bernoulli", 1 / 255), ("normal", 1 / 255),
    ("laplace", 1 / 255), ("poisson", 1), ("categorical", 1 / 200),
    ("discretized-logistic", 1 / 200),
])
def test_bytes_are_scaled_by_what_the_likelihood_wants(likelihood, factor):
    """The same model, as it is asked about bytes and about the floats that they stand for."""
    K = 201 if factor == 1 / 200 else None
    vae = VAE(hidden=(3,), likelihood=likelihood, n_levels=K, dtype="float64", random_state=0)
    vae.initialize(4)
    dataset, values = Dataset(BYTES), BYTES * factor
    # the factor and the product are rounded in turn, and the bound is a sum of a few dozen terms
    np.testing.assert_allclose(vae.score_samples(dataset), vae.score_samples(values), rtol=1e-12)
    for part in (dataset.first(1), dataset.split(1, seed=0)[0], dataset.split(1, seed=0)[1]):
        assert part.scale == dataset.scale  # also the row that is all 0 and 1
        wanted = dataset.scaled_for(vae.engine_.model.likelihood.support).scale
        assert part.scaled_for(vae.engine_.model.likelihood.support).scale == wanted


def test_bytes_that_are_left_as_they_are():
    for pixels in (BYTES[1:], BYTES.astype(int), BYTES.astype(float), BYTES > 0):
        assert Dataset(pixels).scale == 1 and not Dataset(pixels).grey_levels
        for support in (COUNTS, UNIT, levels(9, "categorical")):
            assert Dataset(pixels).scaled_for(support).scale == 1
    assert Dataset(BYTES, scale=0.5).scaled_for(COUNTS).scale == 0.5  # what was said is kept
    poisson = VAE(hidden=(3,), likelihood="poisson", random_state=0).initialize(4)
    assert poisson.score(BYTES) == poisson.score(BYTES.astype(np.float32))  # as an array


def test_the_bundled_bytes_are_levels_and_counts():
    digits = load_digits()
    assert digits.scaled_for(COUNTS).images.max() == 16
    assert digits.scaled_for(levels(17, "categorical")).images.max() == 1
    with pytest.raises(ParameterError, match="scale = nan"):
        Dataset(BYTES, scale=np.nan)


def test_a_split_parts_the_rows_and_repeats_with_its_seed():
    data = Dataset(np.arange(40).reshape(20, 2), labels=np.arange(20), name="rows")
    train, validation = data.split(6, seed=0)
    assert (len(train), len(validation)) == (14, 6)
    assert sorted([*train.labels, *validation.labels]) == list(range(20))
    for part in (train, validation):
        np.testing.assert_array_equal(part.pixels[:, 0], 2 * part.labels)  # rows stay whole
        assert (np.diff(part.labels) > 0).all() and part.name == "rows"
    np.testing.assert_array_equal(data.split(6, seed=0)[1].labels, validation.labels)
    assert (data.split(6, seed=1)[1].labels != validation.labels).any()


@pytest.mark.parametrize("n", [0, -1, 20, 21])
def test_a_split_leaves_no_part_empty(n):
    with pytest.raises(ParameterError) as error:
        Dataset(np.ones((20, 2))).split(n)
    assert says(error, f"n_validation = {n}", "from 1 to 19")


@pytest.mark.parametrize(("fields", "parts"), [
    ({"pixels": [[1.0, 2.0]]}, ("of type list", "array")),
    ({"pixels": np.ones(4)}, ("shape (4,)", "(N, D)")),
    ({"pixels": np.ones((0, 4))}, ("shape (0, 4)", "(N, D)")),
    ({"pixels": np.array([["a"]])}, ("<U1", "numbers")),
    ({"pixels": np.ones((2, 1), complex)}, ("complex128", "real numbers")),
    ({"labels": np.ones(3)}, ("(3,)", "2 datapoints")),
    ({"image_shape": (3, 2)}, ("4 pixels", "(3, 2)")),
])
def test_arrays_that_do_not_fit_together_make_no_dataset(fields, parts):
    with pytest.raises(DataError) as error:
        Dataset(**{"pixels": np.ones((2, 4)), "name": "mine"} | fields)
    assert says(error, "mine", *parts)


# --- by name ------------------------------------------------------------------------------


def test_every_name_on_offer_is_listed_once():
    rows = available()
    assert [name for name, _, _ in rows] == ["digits", "mnist", "freyfaces", "swiss-roll"]
    assert all(isinstance(found, bool) and hint for _, found, hint in rows)
    assert load("digits").name == "digits" and load("swiss-roll").name == "swiss-roll"
    np.testing.assert_array_equal(load("swiss-roll").pixels, load("swiss-roll").pixels)


def test_unknown_names_are_answered_with_the_known_ones(tmp_path):
    for name in ("mnst", tmp_path / "mnst"):
        with pytest.raises(DataError) as error:
            load(name)
        assert says(error, repr(str(name)), "digits, mnist, freyfaces, swiss-roll", ".npy")
    with pytest.raises(DataError, match="did you mean 'mnist'"):
        load("mnst")
    with pytest.raises(ParameterError) as error:
        load("digits", split="test")
    assert says(error, "'test'", "'digits' has no splits")
    with pytest.raises(ParameterError) as error:
        load("mnist", split="valid")
    assert says(error, "'valid'", "'train' or 'test'")


def test_importing_the_package_costs_numpy_alone():
    code = ("import sys, npvae.data; "
            "print([m for m in ('scipy', 'pooch', 'PIL', 'matplotlib') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- check_data ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_good_data_passes_uncopied_in_its_own_dtype(dtype):
    X = np.ones((3, 5), dtype)
    before = X.copy()
    assert check_data(X, 5, support=UNIT) is X
    np.testing.assert_array_equal(X, before)


def test_lists_and_objects_become_arrays():
    np.testing.assert_array_equal(check_data([[0, 1], [2, 3]]), [[0, 1], [2, 3]])
    objects = np.array([[0.5, 1], [2, 3]], object)
    assert check_data(objects).dtype == np.float64 and objects.dtype == object


def test_a_memory_mapped_array_is_not_loaded(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((4, 2)))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert np.shares_memory(check_data(X, 2), X)


def spoiled(value, i=1, j=2, shape=(3, 4), dtype=np.float64):
    X = np.full(shape, 0.5).astype(dtype)
    X[i, j] = value
    return X


@pytest.mark.parametrize(("X", "options", "parts"), [
    (np.ones(64), {}, ("shape (64,)", "Reshape your data", "X.reshape(1, -1)")),
    (3.0, {}, ("shape ()", "Reshape your data")),
    (np.ones((2, 8, 8)), {}, ("shape (2, 8, 8)", "X.reshape(len(X), -1)")),
    (np.ones((0, 3)), {}, ("0 sample(s) (shape=(0, 3)) while a minimum of 1 is required.",)),
    (np.ones((12, 0)), {}, ("0 feature(s) (shape=(12, 0)) while a minimum of 1 is required.",)),
    (np.ones((2, 65)), {"n_features": 64}, ("X has 65 features", "expecting 64 features as input")),
    (spoiled(np.nan), {}, ("X[1, 2] is NaN", "remove or impute")),
    (spoiled(np.inf), {}, ("X[1, 2] is inf", "remove or impute")),
    (spoiled(-np.inf, dtype=np.float32), {}, ("X[1, 2] is -inf",)),
    (spoiled(np.nan, 2500, 1, (5000, 2)), {}, ("X[2500, 1] is NaN",)),  # in a later block
    (spoiled(255.0), {"support": UNIT},
     ("X[1, 2] = 255 lies outside [0, 1]", "Bernoulli", "divide", "likelihood='normal'")),
    (spoiled(200, dtype=np.uint8), {"support": UNIT}, ("X[1, 2] = 200 lies outside",)),
    (spoiled(-0.25), {"support": UNIT}, ("X[1, 2] = -0.25 lies outside",)),
    (np.ones((2, 2), complex), {}, ("Complex data not supported", "complex128")),
    (np.array([["a", "b"]]), {}, ("<U1", "no numbers")),
    (np.array([["a", 1.0]], object), {}, ("X[0, 0] is 'a'", "encode or leave out a string")),
    (np.array([[0.5, "1.0"]], object), {}, ("X[0, 1] is '1.0'", "a string")),
    (np.array([[0.5, None]], object), {}, ("X[0, 1] is None", "impute a missing number")),
    (np.array([[0.5, 10**400]], object), {}, ("X[0, 1] is inf",)),
    (np.array([[np.datetime64("2020")]]), {}, ("datetime64[Y]", "no numbers")),
    (np.ma.masked_greater([[1.0, 2.0], [9.0, 1.0]], 5), {}, ("X[1, 0] is masked", "impute")),
    ((row for row in [[1.0]]), {}, ("of type generator", "(N, D)")),
    (spoiled(1 + 1e-9), {"support": UNIT}, ("X[1, 2] = 1.000000001 lies outside",)),
    (spoiled(1.0001, dtype=np.float32), {"support": UNIT}, ("X[1, 2] = 1.0001 lies outside",)),
    (spoiled(-1e-9), {"support": UNIT}, ("X[1, 2] = -1e-09 lies outside",)),
    (spoiled(2.000001), {"support": COUNTS}, ("X[0, 0] = 0.5 is no count",)),
    (spoiled(1e300), {"dtype": "float32"}, ("X[1, 2] = 1e+300 is infinite in float32", "float64")),
    (spoiled(-1e39), {"dtype": "float32"}, ("X[1, 2] = -1e+39", "ends at 3.4e+38", "rescale")),
    (spoiled(255, dtype=np.uint8), {"dtype": "float32", "scale": 1e37}, ("2.55e+39",)),
    ([[1.0, 2.0], [3.0]], {}, ("X is no array of numbers",)),
])
def test_bad_data_is_answered_in_one_line(X, options, parts):
    before = np.array(X, copy=True) if isinstance(X, np.ndarray) else None
    with pytest.raises(DataError) as error:
        check_data(X, **options)
    assert says(error, *parts)
    if before is not None:
        np.testing.assert_array_equal(X, before)


def test_what_is_no_number_at_all_is_a_type_error():
    """Also, as scikit-learn asks; it is a DataError like any other."""
    with pytest.raises(TypeError, match=r"argument must be .* string.* number") as error:
        check_data(np.array([[{}, 1.0]], object))
    assert type(error.value) is DataError


def test_masked_arrays_without_a_masked_value_are_taken():
    X = np.ma.masked_greater([[1.0, 2.0]], 5)
    np.testing.assert_array_equal(check_data(X), [[1.0, 2.0]])
    assert type(check_data(X)) is np.ndarray


@pytest.mark.parametrize("container", ["csr_array", "csr_matrix", "coo_array", "csc_matrix"])
def test_sparse_data_are_taken_as_they_are(container):
    sparse = pytest.importorskip("scipy.sparse")
    X = check_data(getattr(sparse, container)(np.eye(3)), 3, support=UNIT, dtype="float32")
    assert len(X) == 3 and X[1:2].tolist() == [[0, 1, 0]]


def test_the_range_may_be_touched():
    X = np.array([[0.0, 1.0]])
    assert check_data(X, support=UNIT) is X


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_rounding_left_outside_is_clipped_in_a_copy(dtype):
    """Four units in the last place; of data to be scaled too. What is given stays as it is."""
    one, zero = dtype(1), dtype(0)
    over, under = one + 4 * np.finfo(dtype).eps, zero - np.finfo(dtype).eps
    for scale in (1.0, 0.25):
        X = np.array([[over, under, 0.5]], dtype) / dtype(scale)
        before = X.copy()
        clipped = check_data(X, support=UNIT, scale=scale)
        np.testing.assert_array_equal(X, before)
        assert clipped.dtype == dtype
        np.testing.assert_array_equal(clipped * dtype(scale), np.array([[1, 0, 0.5]], dtype))
    levels = check_data(np.array([[over, under, 0.5]], dtype), support=LEVELS)
    assert levels.tolist() == [[1, 0, 0.5]]
    if dtype is not np.float16:  # which the largest count is beyond
        counts = check_data(np.array([[under, 3]], dtype), support=COUNTS)
        assert counts.tolist() == [[0, 3]]


@pytest.mark.parametrize("offset", [0, 1, 50, 300])
def test_what_a_scaler_leaves_is_taken(offset):
    """Of 100 tables some are outside of [0, 1], and the more the farther they are from 0."""
    scaler = pytest.importorskip("sklearn.preprocessing").MinMaxScaler
    rng, outside = np.random.default_rng(0), 0
    for _ in range(100):
        X = scaler().fit_transform(offset + rng.normal(size=(50, 8)))
        outside += X.max() > 1 or X.min() < 0
        clipped = check_data(X, support=UNIT)
        assert clipped.min() == 0 and clipped.max() == 1
        np.testing.assert_allclose(clipped, X, atol=2e-12, rtol=0)
    assert outside >= 5


def test_values_are_finite_in_the_dtype_of_the_model():
    """A number above the largest float32 is still finite if it is rounded down to that."""
    largest = float(np.finfo(np.float32).max)
    X = np.array([[largest * (1 + 2.0**-26), 1.0]])
    assert np.isfinite(X.astype(np.float32)).all() and X[0, 0] > largest
    assert check_data(X, dtype="float32") is X
    huge = np.array([[1e300, 1.0]])
    assert check_data(huge, dtype="float64") is huge


def test_another_array_module_is_used_through_two_functions():
    """What a device array must offer: `asarray`, `isfinite`, reductions and slicing."""
    used = []
    xp = SimpleNamespace(
        asarray=lambda X: used.append("asarray") or X,
        isfinite=lambda X: used.append("isfinite") or np.isfinite(X))
    X = np.full((2, 2), 0.5)
    assert check_data(X, 2, support=UNIT, xp=xp) is X and not used
    other = X.view(type("Other", (np.ndarray,), {}))
    assert check_data(other, 2, support=UNIT, xp=xp) is other and used == ["asarray"]
    with pytest.raises(DataError, match=r"X\[0, 1\] is NaN"):
        check_data(np.array([[0.5, np.nan]]), xp=xp)
