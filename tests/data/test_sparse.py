"""A sparse matrix gives the rows, the sums and the extremes of the dense one, and stays sparse."""
import numpy as np
import pytest

from npvae.data.sparse import SparseRows

sparse = pytest.importorskip("scipy.sparse")
FORMATS = ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")
rng = np.random.default_rng(0)
DENSE = np.where(rng.random((11, 6)) < 0.3, rng.normal(size=(11, 6)), 0)  # (N, D)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("format", FORMATS)
def test_rows_of_any_format_are_those_of_the_dense_matrix(format, container):
    X = SparseRows(container(DENSE).asformat(format))
    assert len(X) == 11 and X.shape == (11, 6) and X.dtype == np.float64
    np.testing.assert_array_equal(X[:], DENSE)
    np.testing.assert_array_equal(X[3:5], DENSE[3:5])
    rows = np.array([7, 0, 7])
    np.testing.assert_array_equal(X[rows], DENSE[rows])
    assert X.min() == DENSE.min() and X.max() == DENSE.max()
    np.testing.assert_array_equal((X * 2 > 0.5)[:], 2 * DENSE > 0.5)
    np.testing.assert_array_equal(X.clip(-0.1, 0.1)[:], DENSE.clip(-0.1, 0.1))
    mean, variance = X.moments()
    np.testing.assert_allclose(mean, DENSE.mean(axis=0), rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(variance, DENSE.var(axis=0), rtol=1e-13)


def test_numbers_stored_twice_add_up_and_the_matrix_stays_as_it_is():
    twice = sparse.csr_array((np.array([0.7, 0.7, 0.0]), np.array([1, 1, 0]), np.array([0, 2, 3])))
    before = [array.copy() for array in (twice.data, twice.indices, twice.indptr)]
    X = SparseRows(twice)
    assert X.max() == 1.4 and X[:].tolist() == [[0, 1.4], [0, 0]]
    X.clip(0, 1)
    for array, copy in zip((twice.data, twice.indices, twice.indptr), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_extremes_count_the_zeros_that_are_not_stored(dtype):
    def extremes(dense):
        X = SparseRows(sparse.csr_array(np.array(dense, dtype)))
        return float(X.min()), float(X.max())

    assert extremes([[0, 0], [0, 0]]) == (0, 0)
    assert extremes([[1, 0], [1, 1]]) == (0, 1)
    assert extremes([[1, 1], [1, 1]]) == (1, 1)


def test_the_first_wrong_number_has_its_place():
    X = SparseRows(sparse.csr_array([[0.0, 2.0, 3.0], [0.0, 0.0, 9.0], [1.0, 8.0, 0.0]]))
    assert X.first(lambda x: x > 5) == (1, 2)
    assert X.first(lambda x: x == 8) == (2, 1)
    assert X.first(lambda x: x > 10) is None
    assert X.first(lambda x: x == 0) == (0, 0)  # none of them is stored
    assert SparseRows(sparse.csr_array([[1.0, 2.0], [3.0, 0.0]])).first(lambda x: x == 0) == (1, 1)
    assert SparseRows(sparse.csr_array([[1.0]])).first(lambda x: x == 0) is None


def test_rows_are_written_where_numbers_are_stored():
    X = SparseRows(sparse.csr_array(DENSE)).astype(np.uint8)
    for start in range(0, 11, 4):
        X[start : start + 4] = (DENSE != 0)[start : start + 4]
    np.testing.assert_array_equal(X[:], DENSE != 0)


def test_it_is_never_made_dense_by_the_way():
    with pytest.raises(TypeError, match="not made dense as a whole"):
        np.asarray(SparseRows(sparse.csr_array(DENSE)))
