"""Tables as people have them: what is understood, what is left out, and what is refused."""
import numpy as np
import pytest

from npvae.data import load, load_file
from npvae.data.delimited import HEAD
from npvae.errors import DataError, ParameterError


def read(folder, text, name="x.csv", **options):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_file(folder / name, **options)


def refusal(folder, text, **options):
    with pytest.raises(DataError) as error:
        read(folder, text, **options)
    message = str(error.value)
    assert "\n" not in message and "x.csv" in message
    return message


@pytest.mark.parametrize(("text", "rows", "notes"), [
    # the first row
    ("0,1,2,3\n0.5,1.5,2.5,3.5\n", [[0.5, 1.5, 2.5, 3.5]], "header used"),  # as pandas names them
    ("0,1,2,3\n7,0,3,1\n2,2,2,2\n", [[7, 0, 3, 1], [2, 2, 2, 2]], "header used"),
    ("0,1\n0.5,1.5\n", [[0.5, 1.5]], "header used"),  # whole numbers over others
    ("id,0,1\n7,3,4\n9,5,6\n", [[3, 4], [5, 6]], "column 'id' is an index and left out"),
    ("0,0\n0,1\n1,0\n", [[0, 0], [0, 1], [1, 0]], "no header"),
    ("1,2,3\n4,5,6\n", [[1, 2, 3], [4, 5, 6]], "no header"),
    ("1,2,3\n", [[1, 2, 3]], "1 row x 3 columns, no header"),
    ("1.5\n2.5\n", [[1.5], [2.5]], "2 rows x 1 column, no header"),
    ("width\n2\n3\n", [[2], [3]], "header used"),
    ('a,"b\nc"\n1,2\n', [[1, 2]], "header used"),
    ("# by hand\n# w,h\n1,2\n", [[1, 2]], "header used"),  # as numpy.savetxt comments a header
    ("# by hand\n1,2\n", [[1, 2]], "no header"),
    ("True,False\nFalse,True\n", [[1, 0], [0, 1]], "no header"),
    # an index and labels
    (",a,b\n0,1,2\n1,3,4\n", [[1, 2], [3, 4]], "column 0 is an index and left out"),
    (",a\n2020-01-01,1\n2020-01-02,3\n", [[1], [3]], "column 0 is an index and left out"),
    ("Index,a\n5,1\n6,3\n", [[1], [3]], "column 'Index' is an index and left out"),
    ("index,a\n0.5,1\n0.7,3\n", [[0.5, 1], [0.7, 3]], "2 rows x 2 columns, header used"),
    ('"V1","V2"\n"1",0.5,2\n"2",1.5,3\n', [[0.5, 2], [1.5, 3]], "column 0 is an index"),  # R's
    ("x1,x2,y\n1,2,0\n3,4,1\n", [[1, 2], [3, 4]], "column 'y' holds labels and is left out"),
    ("x,y\n1,2\n3,4\n", [[1, 2], [3, 4]], "2 rows x 2 columns, header used"),  # points
    ("a,y\n1,2.5\n3,4\n", [[1, 2.5], [3, 4]], "2 rows x 2 columns, header used"),
    ("species,a,b\n0,1,2\n1,3,4\n", [[1, 2], [3, 4]], "column 'species' holds labels"),
    ("a,Target\n1,2.5\n3,4\n", [[1], [3]], "column 'Target' holds labels and is left out"),
    # delimiters, marks, encodings, lines
    ("1,5;2\n0,25;-3\n", [[1.5, 2], [0.25, -3]], "semicolons between columns, decimal commas"),
    ("1.5;2\n", [[1.5, 2]], "semicolons between columns, no header"),
    ("1|2\n3|4\n", [[1, 2], [3, 4]], "bars between columns"),
    ("1 2\n3   4\n", [[1, 2], [3, 4]], "spaces between columns"),
    ("0,5 1,5\n", [[0.5, 1.5]], "spaces between columns, decimal commas"),
    ("a, b\n 1 , +2\n", [[1, 2]], "header used"),
    ("1,2\r3,4\r", [[1, 2], [3, 4]], "no header"),
    ("1,2\n\n3,4\n\n\n", [[1, 2], [3, 4]], "2 rows"),
    ("a,b\n1,2\n".encode("utf-16-le"), [[1, 2]], "read as UTF-16-LE"),
    ("größe,b\n1,2\n".encode("latin-1"), [[1, 2]], "read as LATIN-1"),
    ("1e3,.5,5.,-1E-2\n", [[1000, 0.5, 5, -0.01]], "no header"),
    ("1e300,1e300,1e300\n", [[1e300] * 3], "no header"),
    ("9007199254740992,1\n", [[2.0**53, 1]], "no header"),
])
def test_what_is_understood(text, rows, notes, tmp_path):
    loaded = read(tmp_path, text)
    np.testing.assert_array_equal(loaded.pixels, rows)
    assert notes in loaded.notes, loaded.notes


def test_the_line_says_it_all(tmp_path):
    body = "".join(f"{9 * i};{i},5;{i + 1},5;{i % 2}\n" for i in range(1797))
    loaded = read(tmp_path, "id;a;b;class\n" + body)
    assert loaded.notes == (
        "1,797 rows x 2 columns, semicolons between columns, decimal commas, header used, "
        "column 'id' is an index and left out, column 'class' holds labels and is left out"
    )
    np.testing.assert_array_equal(loaded.labels, np.arange(1797) % 2)
    np.testing.assert_array_equal(loaded.pixels[:, 0], np.arange(1797) + 0.5)


@pytest.mark.parametrize(("text", "parts"), [
    ("a,b\n1,2\n3,\n", ["line 3, column 'b', has no value ('')", "--drop b"]),
    ("a,b\n1,2\n3,NA\n", ["line 3, column 'b', has no value ('NA')"]),
    ("a,b\n1,2\n3,nan\n", ["line 3, column 'b', has no value ('nan')"]),
    ("a,b\n1,2\n3,?\n", ["line 3, column 'b', has no value ('?')"]),
    ("a,b\n1,2\n3,inf\n", ["line 3, column 'b', is 'inf'"]),
    ("1,2\n#DIV/0!,4\n", ["line 2, column '0', is '#DIV/0!'"]),
    ("#DIV/0!,4\n3,4\n", ["line 1, column '0', is '#DIV/0!'"]),
    ("#N/A,#NAME?\n3,4\n", ["line 1, column '0', is '#N/A'"]),
    ("1,2\n3,4\n# the end\n", ["line 3, has 1 field, and others 2"]),
    ("a,kind of\n1,red\n3,blue\n", ["line 2, column 'kind of', is text ('red')",
                                    "--label-column 'kind of'", "--drop 'kind of'"]),
    ("a,date\n1,2020-01-01\n", ["column 'date', is text ('2020-01-01')"]),
    ("1,2\n3,4,5\n6,7\n", ["line 2, has 3 fields, and others 2"]),
    ("1,2\n3\n6,7\n", ["line 2, has 1 field, and others 2"]),
    ("1\n\n3\n", ["line 2, is blank"]),
    ("a,b\n1,2,3\n4,5,6\n", ["2 names of columns, and rows of another width"]),
    ("a,b\n1,2,\n3,4,\n", ["2 names of columns"]),
    ("1_000,2\n2,2\n", ["is '1_000'"]),
    ("0x1F,2\n1,2\n", ["is '0x1F'"]),
    ("١,2\n2,2\n", ["is '١'"]),
    ("2,2\nTrue,2\n", ["line 2, column '0', is 'True'"]),
    ("1.5,2\n1,5e\n", ["is '5e'"]),
    ('"1,234","5,678"\n', ["the number 1,234", "two ways", "without thousands"]),
    ("1.234,5;2\n", ["the number 1.234,5", "two ways"]),
    ("1,5;2\n1.5;2\n", ["line 2, column '0', is '1.5'"]),
    ("9007199254740993,1\n1,2\n", ["is 9007199254740993, which has more digits"]),
    ("0,1\n1,0\n0,0\n", ["begins with the row 0, 1, …", "--header or --no-header"]),
    ("0,1,2,3\n4,5,6,7\n8,9,10,11\n", ["begins with the row 0, 1, 2, 3", "--header"]),
    ("400,410,420,430\n0.5,0.1,0.3,0.2\n", ["begins with the row 400, 410", "--header"]),
    ("0,0.5,0.7\n1,0.1,0.2\n2,0.3,0.1\n", ["its first column counts the rows", "--index-column 0"]),
    (",a\n0.5,1\n0.7,2\n", ["no name for its first column, of 0.5", "--index-column 0"]),
    ("label,target,a\n1,2,3\n1,2,4\n", ["'label' or 'target'", "--label-column"]),
    ('1,"2\n3,4\n', ["line 2", "unexpected end"]),
    ("id,label\n1,2\n3,4\n", ["no column left"]),
])
def test_what_is_refused_by_line_and_column(text, parts, tmp_path):
    message = refusal(tmp_path, text)
    assert all(part in message for part in parts), message


def test_an_image_with_one_column_more_and_no_header_is_asked_about(tmp_path):
    """MNIST as it is often passed on: the label, and then the pixels."""
    rng = np.random.default_rng(0)
    rows = np.c_[np.arange(60) % 10, rng.integers(0, 256, (60, 64))]
    text = "\n".join(",".join(map(str, row)) for row in rows)
    assert "an image of 8 x 8 and labels? say --label-column 0" in refusal(tmp_path, text)
    loaded = read(tmp_path, text, label_column=0)
    np.testing.assert_array_equal(loaded.labels, rows[:, 0])
    np.testing.assert_array_equal(loaded.pixels, rows[:, 1:])
    assert loaded.image_shape == (8, 8)


def test_what_lies_beyond_the_first_lines_is_read_as_they_are(tmp_path):
    """Or refused: a decimal, a word, a gap and a longer row after the lines that are looked at."""
    head = "a,b\n" + "1,2\n" * (2 * HEAD)
    assert read(tmp_path, head + "1.5,2\n").pixels[-1, 0] == 1.5
    for line, part in [("x,2", "is 'x'"), (",2", "has no value"), ("1,2,3", "3 fields"),
                       ('"1,5",2', "is '1,5'")]:
        assert f"line {2 * HEAD + 2}" in (message := refusal(tmp_path, head + line + "\n"))
        assert part in message


def test_what_is_asked_for_is_done(tmp_path):
    text = "name,a,b,kind\nu,1,2,0\nv,3,4,1\n"
    loaded = read(tmp_path, text, label_column="kind", index_column="name", drop="b")
    np.testing.assert_array_equal(loaded.pixels, [[1], [3]])
    np.testing.assert_array_equal(loaded.labels, [0, 1])
    assert "column 'name' is an index" in loaded.notes and "'b' left out as asked" in loaded.notes
    by_place = read(tmp_path, text, label_column="-1", index_column=0, drop=[2])
    np.testing.assert_array_equal(by_place.pixels, loaded.pixels)
    loaded = read(tmp_path, "0,1\n2,3\n", header=False)
    np.testing.assert_array_equal(loaded.pixels, [[0, 1], [2, 3]])
    np.testing.assert_array_equal(read(tmp_path, "5,6\n2,3\n", header=True).pixels, [[2, 3]])
    scaled = read(tmp_path, "5,6\n2,3\n", scale=0.5)
    np.testing.assert_array_equal(scaled.images, [[2.5, 3], [1, 1.5]])
    message = refusal(tmp_path, text, drop=["c"])
    assert "no column 'c'" in message and "'name', 'a', 'b', 'kind'" in message
    assert "several columns 'a'" in refusal(tmp_path, "a,a\n1,2\n", drop="a")


def test_columns_are_of_tables(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 3)))
    for options in ({"label_column": "y"}, {"index_column": 0}, {"drop": "y"}, {"header": True}):
        with pytest.raises(ParameterError, match="no table"):
            load_file(tmp_path / "x.npy", **options)
        with pytest.raises(ParameterError, match="for tables"):
            load("digits", **options)


def test_names_say_whether_columns_are_pixels(tmp_path):
    rows = "\n".join(",".join(["0.5"] * 16) for _ in range(3))
    for name, shape in (("1x", (4, 4)), ("size", None)):
        names = ",".join(f"{name}{chr(97 + j)}" for j in range(16))
        assert read(tmp_path, f"{names}\n{rows}\n").image_shape == shape


@pytest.mark.parametrize(("columns", "parts"), [
    ({"a": [1.0, None]}, ["row 1, column 'a', has no value", "--drop a"]),
    ({"a": [1.0, float("inf")]}, ["row 1, column 'a', is inf"]),
    ({"a": ["u", "v"]}, ["column 'a', holds", "string", "--label-column a"]),
    ({"a": [1, 2**53 + 1], "b": [0.5, 1]}, ["column 'a', has more digits than float64"]),
])
def test_parquet_that_is_no_table_of_numbers(columns, parts, tmp_path):
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")
    with pytest.raises(DataError) as error:
        load_file(tmp_path / "x.parquet")
    assert all(part in str(error.value) for part in parts), error.value


def test_parquet_keeps_its_type_and_leaves_its_index_out(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    table = pandas.DataFrame({"a": [1, 200], "b": [3, 4]}, dtype=np.uint8)
    table.rename_axis("time").set_axis([0.5, 0.7]).rename_axis("time").to_parquet(tmp_path / "x.pq")
    loaded = load_file(tmp_path / "x.pq")
    np.testing.assert_array_equal(loaded.pixels, table)
    assert loaded.pixels.dtype == np.uint8 and loaded.grey_levels  # bytes, as of any other file
    assert "'time' is an index and left out" in loaded.notes
