"""How a text file writes a table: its encoding, delimiter and decimal mark, and its header.

No file says any of this, so it is concluded from the first lines; Python's ``csv`` then cuts lines
into fields. What could be read in two ways is refused with a way to decide it: whether a first line
of 0, 1, 2, … is a datapoint, or 1,234 a thousand.
"""
import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from npvae.errors import DataError

HEAD = 200  # lines to conclude from
DELIMITERS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", " ": "spaces"}
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
NUMBER = re.compile(r"[+-]?(\d+(\.\d*|,\d+)*|[.,]\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.I)
WHOLE = re.compile(r"[+-]?\d+")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
SPREADSHEET_ERROR = re.compile(r"#¡?[A-ZÀ-Þ]+(/[A-ZÀ-Þ0]+)?[!?]|#N/A|#NV")  # #DIV/0!, #NAME?
MISSING = ("", "na", "n/a", "nan", "null", "none", "nil", "?", "-", "--", ".", "*", "<na>")


@dataclass(frozen=True)
class Delimited:
    """A table in a text.

    Attributes
    ----------
    text : bytes
        The whole of it.
    encoding : str
    delimiter : str
        A key of ``DELIMITERS``; a space stands for any run of spaces and tabs.
    decimal : str
        A point or a comma.
    n_comments : int
        Lines at the top that begin with # and are no rows.
    names : list of str or None
        Of the columns, if the file has them.
    first_is_names : bool
        Whether they are its first row.
    sample : list of list of str
        The first rows.
    """

    text: bytes
    encoding: str
    delimiter: str
    decimal: str
    n_comments: int
    names: list[str] | None
    first_is_names: bool
    sample: list[list[str]]

    @property
    def width(self) -> int:
        """Fields of most rows."""
        return most_common_length(self.sample)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Each row after the number of its line, which is from 1; a blank line is empty."""
        lines = islice(lines_of(self.text, self.encoding), self.n_comments, None)
        passed = not self.first_is_names
        for number, row in fields_of(lines, self.delimiter):
            if passed:
                yield self.n_comments + number, row
            passed = passed or bool(row)

    def notes(self) -> Iterator[str]:
        """What is not as it is in most files."""
        if self.encoding not in ("utf-8", "utf-8-sig"):
            yield f"read as {self.encoding.upper()}"
        if self.delimiter != ",":
            yield f"{DELIMITERS[self.delimiter]} between columns"
        if self.decimal == ",":
            yield "decimal commas"
        yield "no header" if self.names is None else "header used"


def conclude(path: Path, text: bytes, header: bool | None = None) -> Delimited:
    """How ``text`` writes a table; ``header`` decides what its first row is.

    Raises
    ------
    DataError
        If it has no rows, or could be read in two ways.
    """
    encoding = encoding_of(text)
    head = list(islice(lines_of(text, encoding), HEAD))
    plain = [line for line in head if line.strip() and not line.startswith("#")]
    delimiter = delimiter_of(plain)
    rows = [row for _, row in fields_of(plain, delimiter, strict=False) if row]
    if not rows:
        raise DataError(f"{path} holds no rows of numbers: add some")
    n_comments, names = comments(head, delimiter, most_common_length(rows))
    decimal = decimal_mark(path, rows)
    if header is None:
        header = first_row_is_names(rows[0], rows[1:])
    if header is None:
        raise DataError(f"{path} begins with the row {', '.join(rows[0][:4])}, …: names of columns "
                        "or a datapoint? say --header or --no-header (header=True or False)")
    if header:
        names = rows.pop(0)
        first = [row[0] for row in rows]
        if {len(names) + 1} == {*map(len, rows)} and (counts(first) or not is_number(first[0])):
            names = ["", *names]  # R leaves out the name of the row names
    if not rows:
        raise DataError(f"{path} holds names of columns and no rows: add some")
    if names is not None and len(names) != most_common_length(rows):
        raise DataError(f"{path} has {len(names)} names of columns, and rows of another width: "
                        "correct the header")
    names = None if names is None else [name.strip() for name in names]
    return Delimited(text, encoding, delimiter, decimal, n_comments, names, bool(header), rows)


def comments(head: Sequence[str], delimiter: str, width: int) -> tuple[int, list[str] | None]:
    """How many lines at the top are comments, and the columns' names, if they are in the last.

    numpy.savetxt writes a header so.
    """
    n, names = 0, None
    for line in head:
        fields = line.lstrip("# \t").split(None if delimiter == " " else delimiter)
        words = not any(map(is_number, fields))
        is_row = len(fields) == width > 1 and not words
        if line.strip() and (line[0] != "#" or is_row or SPREADSHEET_ERROR.match(line)):
            break
        n, names = n + 1, fields if len(fields) == width > 1 and words else None
    return n, names


def most_common_length(rows: Sequence[Sequence[str]]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0]


def lines_of(text: bytes, encoding: str) -> Iterator[str]:
    return io.TextIOWrapper(io.BytesIO(text), encoding, newline="")


def fields_of(
    lines: Iterable[str], delimiter: str, strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """Each row of ``lines`` after the number of its last line."""
    if delimiter == " ":
        yield from enumerate(map(str.split, lines), 1)
        return
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=strict)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def encoding_of(text: bytes) -> str:
    """By its byte order mark; without one UTF-8, UTF-16 by its zeros, or else Latin-1."""
    for bom, encoding in BOMS.items():
        if text.startswith(bom):
            return encoding
    first = text[:4096]
    if b"\0" in first:
        return "utf-16-be" if first[::2].count(0) > first[1::2].count(0) else "utf-16-le"
    try:
        codecs.decode(text, "utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def delimiter_of(lines: Sequence[str]) -> str:
    """The delimiter by which the most fields are numbers and the most rows of one width."""
    best, delimiter = (0.0, 0.0), ","
    for candidate in DELIMITERS:
        rows = [row for _, row in fields_of(lines[:50], candidate, strict=False) if row]
        if max(map(len, rows), default=0) < 2:
            continue
        even = [*map(len, rows)].count(most_common_length(rows)) / len(rows)
        fields = [field for row in rows[1:] or rows for field in row]
        score = even * sum(map(is_number, fields)) / len(fields), even
        if score > best:
            best, delimiter = score, candidate
    return delimiter


def is_number(field: str) -> bool:
    return NUMBER.fullmatch(field.strip()) is not None


def counts(fields: Sequence[str]) -> bool:
    """Whether they are 0, 1, 2, … or 1, 2, 3, …"""
    found = [field.strip() for field in fields]
    return any(found == [str(first + i) for i in range(len(found))] for first in (0, 1))


def is_boolean(field: str) -> bool:
    return field.strip().casefold() in ("true", "false")


def is_missing(field: str) -> bool:
    return field.strip().casefold() in MISSING


def decimal_mark(path: Path, rows: Sequence[Sequence[str]]) -> str:
    """A comma, if numbers have one that cannot separate thousands."""
    with_comma = [f.strip() for row in rows for f in row if "," in f and is_number(f)]
    if not with_comma:
        return "."
    if all(map(THOUSANDS.fullmatch, with_comma)) or any("." in field for field in with_comma):
        raise DataError(f"{path} has the number {with_comma[0]}, whose marks can be read in two "
                        "ways: write numbers without thousands separators")
    return ","


def first_row_is_names(first: Sequence[str], body: Sequence[Sequence[str]]) -> bool | None:
    """Whether the first row names the columns; None where it may as well be a datapoint.

    Words over numbers are names. So are the numbers 0, 1, 2, … that pandas writes for columns
    without names, unless the rows go on so.

    Examples
    --------
    >>> first_row_is_names(["width", "height"], [["1", "2"]])
    True
    >>> first_row_is_names(["0", "1", "2", "3"], [["7", "0", "3", "1"]])
    True
    >>> first_row_is_names(["0", "1"], [["1", "0"]]) is None
    True
    >>> first_row_is_names(["1.5", "2"], [["3", "4"]])
    False
    """
    first = [field.strip() for field in first]
    words = [j for j, field in enumerate(first) if not is_number(field)]
    numbers = [field for field in first if is_number(field)]
    if any(is_boolean(f) or SPREADSHEET_ERROR.match(f) or (f and is_missing(f)) for f in first):
        return False  # a value, if a strange one
    if not numbers:
        return any(first)
    from_zero = numbers == [str(j) for j in range(len(numbers))]
    whole, rising = all(map(WHOLE.fullmatch, numbers)), evenly_spaced(numbers)
    over_numbers = any(is_number(row[j]) for row in body[:1] for j in words if j < len(row))
    if (over_numbers and all(first)) or (words == [0] and not first[0]):  # an index without a name
        return from_zero or (whole and rising and len(numbers) > 2)
    values = [[field.strip() for field in row if is_number(field)] for row in body]
    decimal = not any(WHOLE.fullmatch(value) for row in values for value in row)
    if from_zero and decimal and values:
        return True  # 0, 1, 2 over numbers that are written otherwise
    if not rising or not values or not (len(numbers) > 3 or (whole and decimal)):
        return None if from_zero and values else False
    goes_on = evenly_spaced(values[0])
    if from_zero:
        return None if goes_on else True
    return False if goes_on else None  # wavelengths, years?


def evenly_spaced(numbers: Sequence[str]) -> bool:
    """Whether they rise or fall by the same step, and are two at least."""
    values = [float(number.replace(",", ".")) for number in numbers if number.count(",") < 2]
    steps = [after - before for before, after in pairwise(values)]
    return bool(steps) and steps[0] != 0 and all(abs(s - steps[0]) < 1e-9 for s in steps)
