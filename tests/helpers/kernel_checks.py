"""Kernels held to the bodies of their ops, whatever device runs them."""
from contextlib import contextmanager

import numpy as np
from op_cases import CASES, SIZES, copied

from npvae.ops import reference

BODIES = reference(np)
# More rows, columns and elements than a block has threads, and none a multiple of anything.
WIDE = {"L": 2, "M": 71, "H": 301, "J": 21, "D": 293, "P": 1777}
# Where exp overflows or underflows, in float32 and in float64; what is rounded to zero; no number.
EXTREMES = [-1e4, -709.8, -89, -30, -1, -1e-29, 0, 1e-31, 1e-40, 1e-310, 30, 89, 709.8, 1e4, np.nan]


@contextmanager
def guarded(call, arrays):
    """The arrays for a call, each between margins that must survive; what is read is read-only."""
    margin, memory, inside = 32, {}, dict(arrays)
    for name in call.words("", "!", "~"):
        value = arrays[name]
        if isinstance(value, np.ndarray):
            poison = np.nan if value.dtype.kind == "f" else 255
            memory[name] = np.full(value.size + 2 * margin, poison, value.dtype)
            inside[name] = memory[name][margin:-margin].reshape(value.shape)
            inside[name][...] = value
            inside[name].flags.writeable = name not in call.words("")
    margins = {name: same[[*range(margin), *range(-margin, 0)]] for name, same in memory.items()}
    yield inside
    for name, before in margins.items():
        after = memory[name][[*range(margin), *range(-margin, 0)]]
        assert after.tobytes() == before.tobytes(), f"{call.op} writes outside {name}"


def outcome(ops, call, arrays):
    """What a call returns or leaves behind in what it writes, working space aside."""
    returned = call(ops, arrays)
    written = {word: arrays[word] for word in call.results}
    return written if returned is None else {"returned": np.asarray(returned)}


def by_kernels(ops, call, arrays):
    """The outcome of the kernels ``ops``; ``arrays`` become what they leave behind."""
    with guarded(call, arrays) as inside:
        result = outcome(ops, call, inside)
    arrays.update((word, inside[word]) for word in call.words("!", "~"))
    return result


def steps(name, kernels):
    """The calls of a case that are kernels, and whether [μ | log σ²] stays in the product ``a``."""
    case = CASES[name]
    return [call for call in case.calls if call.op in kernels], case.backward.split().count("a")


def like_the_body(ops, name, kernels, dtype, size, again=None):
    """The body on the same numbers in float64. Outputs were full of NaN, and lie between NaN.

    Every term is of order one, or of the largest result. Some ten roundings make one, and sums of
    a few hundred lose some ten more, by the square root of their number. ``again``, if given, is a
    context in which the kernels must leave the same bits.
    """
    todo, a_stays = steps(name, kernels)
    arrays = CASES[name].arrays(size, dtype)
    for call in todo:
        expected = outcome(BODIES, call, copied(arrays, np.float64))
        other = copied(arrays)
        result = by_kernels(ops, call, arrays)
        if again:
            with again():
                for word, value in by_kernels(ops, call, other).items():
                    assert value.tobytes() == result[word].tobytes(), f"{word}: other bits"
        for word in result:
            if word != "a" or a_stays:
                scale = max(1.0, np.abs(expected[word]).max())
                accuracy = 32 * np.finfo(dtype).eps * scale
                np.testing.assert_allclose(result[word], expected[word], 0, accuracy, err_msg=word)


def extremes_like_the_body(ops, name, kernels, dtype, roundings=32):
    """One element at a time, so that no sum hides another: finite where finite, NaN where NaN."""
    todo, a_stays = steps(name, kernels)
    rng, case = np.random.default_rng(0), CASES[name]
    normal = [word for word, spec in case.given.items() if isinstance(spec, str)]
    for _ in range(40):
        arrays = case.arrays(SIZES["ones"], dtype)
        for word in (*normal, *("d_" + v for v in case.upstream)):
            arrays[word][...] = rng.choice(EXTREMES, arrays[word].shape)
        for call in todo:
            inputs = [arrays[w] for w in call.words("", "~") if isinstance(arrays[w], np.ndarray)]
            largest = max(np.abs(v[np.isfinite(v)]).max(initial=1) for v in inputs)
            body = copied(arrays)
            with np.errstate(all="ignore"):
                expected = outcome(BODIES, call, body)
            result = by_kernels(ops, call, arrays)
            for word in result if a_stays else result.keys() - {"a"}:
                eps = np.finfo(dtype).eps  # the same formula, some roundings in another order
                absolute = 8 * eps * min(largest, 1e4)
                np.testing.assert_allclose(
                    result[word], expected[word], roundings * eps, absolute, err_msg=word
                )
