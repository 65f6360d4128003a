"""CuPy's arrays, and its functions on them: NumPy's, wrapped so that nothing else gets through.

Where CuPy would copy from the host unasked, for indices that are lists or NumPy arrays, this
refuses. New memory is full of NaN.
"""
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import shim

from strict_cupy import cuda

KEYWORDS = {  # of some functions, in CuPy's order
    """abs absolute add bitwise_and bitwise_or bitwise_xor cos divide equal exp expm1 floor
    floor_divide greater greater_equal invert isfinite isinf isnan less less_equal log log1p
    logaddexp logical_and logical_not logical_or maximum minimum multiply negative not_equal power
    reciprocal remainder right_shift rint sign sin sqrt square subtract tanh true_divide""":
        "out dtype casting",
    "sum mean": "axis dtype out keepdims",
    "max min any all argmax argmin": "axis out keepdims",
    "var": "axis dtype out ddof keepdims",
}  # fmt: skip
OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power",
    "floordiv": "floor_divide", "mod": "remainder", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor",
}  # fmt: skip
ONE_WAY = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
    "ne": "not_equal", "neg": "negative", "invert": "invert", "abs": "abs", "matmul": "matmul",
}  # fmt: skip
BORROWED = """bool_ dtype finfo float16 float32 float64 iinfo inf int16 int32 int64 int8 intp nan
    newaxis pi uint16 uint32 uint64 uint8 uintp"""  # from NumPy


class ndarray:
    """``cupy.ndarray``: a NumPy array ``_host`` that nobody else may look at, in a ``_memory``."""

    __slots__ = ("_host", "_memory")
    __hash__ = None
    __array_priority__ = 100

    def __init__(self, shape: Any, dtype: Any = float):
        self._host = np.empty(shape, dtype)
        self._host.reshape(-1).view(np.uint8).fill(0xFF)  # NaN, or −1
        self._memory = cuda.Memory(self.nbytes)

    @classmethod
    def _of(cls, host: Any, memory: cuda.Memory | None = None) -> "ndarray":
        """An array of new memory, or a view of what is there."""
        new = cls.__new__(cls)
        new._host = np.asarray(host)
        new._memory = memory or cuda.Memory(new.nbytes)
        return new

    @property
    def T(self) -> "ndarray":
        return self.transpose() if self.ndim > 1 else self

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self._host.ctypes.data, mem=self._memory)

    @property
    def flags(self) -> Any:
        flags = self._host.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        strides = None if self.flags.c_contiguous else self.strides
        return {
            "shape": self.shape, "typestr": self.dtype.str, "strides": strides,
            "data": (self.data.ptr, False), "version": 3,
        }  # fmt: skip

    # what NumPy tries

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        if "out" in options:
            (options["out"],) = options["out"]
        return self.__array_function__(ufunc, (), inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        ours = FUNCTIONS.get(function.__name__)
        return ours(*args, **options) if ours else NotImplemented

    # to and from the host

    def get(self, stream: Any = None, order: str = "C", out: Any = None) -> np.ndarray:
        cuda.talk("to_host")
        out = np.empty(self.shape, self.dtype, order) if out is None else out
        out[...] = self._host
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray) or (arr.dtype, arr.shape) != (self.dtype, self.shape):
            raise TypeError(f"what is set must be a NumPy array of {self.dtype} {self.shape}")
        cuda.talk("to_device")
        self._host[...] = arr

    def __reduce__(self) -> Any:
        return array, (self.get(),)

    # views of the same memory, and copies

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> "ndarray":
        keys = key if isinstance(key, tuple) else (key,)
        arrays = [k for k in keys if isinstance(k, ndarray)]
        hosts = tuple(index(k) for k in keys)
        if arrays:
            if any(a.dtype == bool for a in arrays):
                cuda.talk("to_host")  # how many are true
            return computed(self._host.__getitem__, hosts)
        if not any(k is Ellipsis for k in hosts):
            hosts = (*hosts, ...)  # for a view of a single element, and not a scalar
        return ndarray._of(self._host[hosts], self._memory)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, ndarray) and key.dtype != bool:  # rows by their numbers
            value = value if isinstance(value, ndarray) else operand(value)
            return launch(np.ndarray.__setitem__, self, key, value)
        view = self[key]
        if view._memory is not self._memory:
            raise NotImplementedError("the stand-in assigns to no such index")
        if not isinstance(value, ndarray):
            view.fill(value)
        elif value.__cuda_array_interface__ != view.__cuda_array_interface__:  # it is in a[i] += b
            launch(np.ndarray.__setitem__, view, ..., value)

    def fill(self, value: Any) -> None:
        if isinstance(value, np.ndarray):
            if value.ndim:
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            value = value.item()
        launch(np.ndarray.fill, self, operand(value))

    def copy(self, order: str = "C") -> "ndarray":
        return computed(np.array, self._host, order=order)

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return self.copy()

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> "ndarray":
        same = not copy and self.dtype == dtype
        return self if same else computed(self._host.astype, dtype, order=order)

    def _arranged(self, how: str, *args: Any) -> "ndarray":
        """By one of NumPy's methods: a view where that is possible."""
        host = getattr(self._host, how)(*args)
        view = not self.size or np.may_share_memory(host, self._host)
        return ndarray._of(host, self._memory) if view else computed(np.copy, host)


def operand(value: Any) -> Any:
    """What CuPy lets into a kernel, for NumPy: arrays of the device, and scalars."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, (bool, int, float, complex, np.generic)):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def index(key: Any) -> Any:
    """An index, for NumPy."""
    return key if key is None or key is Ellipsis or isinstance(key, slice) else operand(key)


def launch(function: Callable[..., Any], *args: Any, **options: Any) -> None:
    """``function`` as one launch: counted, and called now or whenever its graph is launched.

    Arrays of the device reach it as the NumPy arrays behind them; everything else as it is now.
    """
    memories = [a._memory for a in (*args, *options.values()) if isinstance(a, ndarray)]
    hosts = [a._host if isinstance(a, ndarray) else a for a in args]
    named = {k: v._host if isinstance(v, ndarray) else v for k, v in options.items()}
    cuda.submit(partial(function, *hosts, **named), memories)


def computed(function: Callable[..., Any], *hosts: Any, **options: Any) -> ndarray:
    """A launch that needs new memory for its result."""
    result = ndarray._of(cuda.run(partial(function, *hosts, **options)))
    cuda.note("launches")
    return result


def into(function: Any, inputs: Any, out: Any = None, **options: Any) -> ndarray:
    """``function`` of arrays and scalars, written into ``out`` if there is one."""
    hosts = [operand(a) for a in inputs]
    if out is None:
        return computed(function, *hosts, **options)
    if not isinstance(out, ndarray):
        raise TypeError("Output arguments type must be cupy.ndarray")
    elementwise = isinstance(function, np.ufunc) and not function.signature
    if elementwise and np.broadcast(*hosts).shape != out.shape:
        raise ValueError("Out shape is mismatched")
    # CuPy copies an input that shares memory with the output and is not itself the output
    safe = [a.copy() if a is not out and overlap(a, out) else a for a in inputs]
    launch(function, *safe, out=out, **options)
    return out


def overlap(a: Any, b: ndarray) -> bool:
    """Whether two arrays may share memory, as far as CuPy looks."""
    return isinstance(a, ndarray) and np.may_share_memory(a._host, b._host)


def wrapped(name: str, keywords: list[str]) -> Callable[..., ndarray]:
    """NumPy's function with CuPy's keywords."""
    function = getattr(np, name)
    n = getattr(function, "nin", 1)

    def call(*args: Any, **options: Any) -> ndarray:
        options |= dict(zip(keywords, args[n:], strict=False))
        if unknown := options.keys() - set(keywords):
            raise TypeError(f"Wrong arguments of {name}: {unknown}")
        return into(function, args[:n], **{k: v for k, v in options.items() if v is not None})

    return call


def array(obj: Any, dtype: Any = None, copy: bool = True) -> ndarray:
    """An array of the device, from one or from what is on the host."""
    if isinstance(obj, ndarray):
        return obj.astype(obj.dtype if dtype is None else dtype, copy=copy)
    fortran = isinstance(obj, np.ndarray) and obj.flags.f_contiguous
    host = np.array(obj, dtype, order="F" if fortran else "C")
    if host.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    if not host.ndim:
        return full((), host.item(), host.dtype)
    cuda.talk("to_device")
    return ndarray._of(host)


def asarray(a: Any, dtype: Any = None) -> ndarray:
    return array(a, dtype, copy=False)


def ascontiguousarray(a: ndarray, dtype: Any = None) -> ndarray:
    if not isinstance(a, ndarray):
        raise TypeError(f"Unsupported type {type(a)}")
    a = asarray(a, dtype)
    return a if a.flags.c_contiguous else a.copy()


def full(shape: Any, fill_value: Any, dtype: Any = None) -> ndarray:
    new = ndarray(shape, np.array(fill_value).dtype if dtype is None else dtype)
    new.fill(fill_value)
    return new


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> ndarray:
    first, last = (0, start) if stop is None else (start, stop)
    return computed(np.arange, first, last, step, dtype)


def take(a: ndarray, indices: Any, axis: int | None = None, out: Any = None) -> ndarray:
    """As NumPy's, but that an index out of range wraps round."""
    if out is not None and out.dtype != a.dtype:
        raise TypeError("Output dtype mismatch")
    return into(np.take, (a, indices), out, axis=axis, mode="wrap")


def where(condition: ndarray, x: Any, y: Any) -> ndarray:
    return into(np.where, (condition, x, y))


def sort(a: ndarray, axis: int = -1) -> ndarray:
    return into(np.sort, (a,), axis=axis)


def concatenate(tup: list[ndarray], axis: int = 0) -> ndarray:
    if not all(isinstance(a, ndarray) for a in tup):
        raise TypeError("Only cupy arrays can be concatenated")
    return into(lambda *arrays: np.concatenate(arrays, axis), tuple(tup))


def stack(tup: list[ndarray], axis: int = 0) -> ndarray:
    return into(lambda *arrays: np.stack(arrays, axis), tuple(tup))


def product(function: Any, *inputs: ndarray, out: ndarray | None = None, **options: Any) -> ndarray:
    """By cuBLAS, which CuPy does not call in a capture; what it lacks is allocated before."""
    if cuda.STATE.capture and (out is not None or not getattr(cuda.THREAD, "allocator", None)):
        raise NotImplementedError("calling cuBLAS API during stream capture is unsupported")
    return into(function, inputs, out, **options)


def matmul(a: ndarray, b: ndarray, out: ndarray | None = None) -> ndarray:
    """Where CuPy would quietly compute in other memory and copy, this raises."""
    if out is not None:
        if not out.flags.c_contiguous or out.dtype != np.result_type(a.dtype, b.dtype):
            raise ValueError("out is not C-contiguous, or of another dtype than the product")
        if overlap(a, out) or overlap(b, out):
            raise ValueError("out shares memory with a factor")
    if not all(x.flags.c_contiguous or x.flags.f_contiguous for x in (a, b)):
        raise ValueError("a factor is neither C- nor F-contiguous")
    return product(np.matmul, a, b, out=out)


def dot(a: ndarray, b: ndarray, out: ndarray | None = None) -> ndarray:
    return product(np.dot, a, b, out=out)


def einsum(subscripts: str, *operands: ndarray, dtype: Any = None) -> ndarray:
    return product(partial(np.einsum, subscripts), *operands, dtype=dtype)


class RawModule:
    """``cupy.RawModule``: the source compiled for the processor, on the arrays of the device."""

    def __init__(self, code: str, *, options: tuple[str, ...] = ()):
        self.module = shim.RawModule(code=code, options=options)

    def get_function(self, name: str) -> Callable[..., None]:
        kernel = self.module.get_function(name)

        def call(grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
            for argument in args:
                operand(argument)

            def work(*hosts: Any) -> None:
                kernel(grid, block, hosts)

            work.__name__ = name  # by which its node in a graph goes
            launch(work, *args)

        return call


FUNCTIONS: dict[str, Any] = {
    **{n: wrapped(n, words.split()) for names, words in KEYWORDS.items() for n in names.split()},
    **{f.__name__: f for f in (array, asarray, ascontiguousarray, full, arange, take)},
    **{f.__name__: f for f in (where, sort, concatenate, stack)},
    **{f.__name__: f for f in (matmul, dot, einsum)},
    "empty": lambda shape, dtype=float: ndarray(shape, dtype),
    "zeros": lambda shape, dtype=float: full(shape, 0, dtype),
    "ones": lambda shape, dtype=float: full(shape, 1, dtype),
    "empty_like": lambda a, dtype=None: ndarray(a.shape, dtype or a.dtype),
    "zeros_like": lambda a, dtype=None: full(a.shape, 0, dtype or a.dtype),
    "asnumpy": lambda a: a.get(),
}
CUPY = {
    "__version__": "14.2.0", "ndarray": ndarray, "RawModule": RawModule,
    "get_default_memory_pool": lambda: cuda.STATE.pool,
    **FUNCTIONS, **{name: getattr(np, name) for name in BORROWED.split()},
}  # fmt: skip

for name in ("dtype", "shape", "strides", "ndim", "size", "nbytes", "itemsize"):
    setattr(ndarray, name, property(lambda self, _n=name: getattr(self._host, _n)))
FROM_HOST = ("item", "tolist", "__bool__", "__int__", "__float__", "__repr__", "__format__")
for name in FROM_HOST:
    setattr(ndarray, name, lambda self, *args, _n=name: getattr(self.get(), _n)(*args))
for name in ("reshape", "ravel", "transpose", "swapaxes", "squeeze", "view"):
    setattr(ndarray, name, lambda self, *args, _n=name: self._arranged(_n, *args))
for name in ("sum", "mean", "max", "min", "any", "all", "argmax", "argmin", "var", "take", "dot"):
    setattr(ndarray, name, lambda self, *a, _f=FUNCTIONS[name], **named: _f(self, *a, **named))
for sign, name in (OPERATORS | ONE_WAY).items():
    setattr(ndarray, f"__{sign}__", lambda self, *other, _f=FUNCTIONS[name]: _f(self, *other))
for sign, name in OPERATORS.items():
    setattr(ndarray, f"__r{sign}__", lambda self, other, _f=FUNCTIONS[name]: _f(other, self))
    setattr(ndarray, f"__i{sign}__", lambda self, x, _f=FUNCTIONS[name]: _f(self, x, out=self))
