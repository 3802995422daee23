"""Products of vectors and matrices."""

from array import array
from operator import mul

from . import _numbers as N
from ._missing import not_here
from ._reduce import sum_
from ._tensor import _wrap, one_device, op, recorded
from ._views import reshape, unsqueeze

try:
    from page_kernel import product as _by_page  # a loop in worker.js
except ImportError:
    _by_page = None


@op
def matmul(input, other):
    a, b = input, other
    if not (a.ndim and b.ndim):
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
    if a.dtype is not b.dtype:
        names = {"float32": "float", "float64": "double", "float16": "c10::Half", "int64": "long int"}
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {names.get(a.dtype.name, a.dtype.name)} != "
            f"{names.get(b.dtype.name, b.dtype.name)}"
        )
    if a.ndim > 2 or b.ndim > 2:
        return _batched(a, b)
    left, right = (a if a.ndim == 2 else unsqueeze(a, 0)), (b if b.ndim == 2 else unsqueeze(b, 1))
    out = _mm(left, right)
    return reshape(out, *(a.shape[:-1] if a.ndim == 2 else ()), *(b.shape[1:] if b.ndim == 2 else ()))


def _mm(a, b):
    (n, k), (rows, m) = a.shape, b.shape
    if k != rows:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({n}x{k} and {rows}x{m})")
    x, y = a._v(), b._v()
    result = _wrap(N.STORE[a.dtype](_product(x, y, n, k, m)), (n, m), a.dtype, one_device(a, b))
    wanted = a.requires_grad, b.requires_grad

    def back(g):
        return [
            _product(g, _transposed(y, k, m), n, m, k) if wanted[0] else None,
            _product(_transposed(x, n, k), g, k, n, m) if wanted[1] else None,
        ]

    return recorded(result, "Mm", (a, b), back, [a, b])


def _product(x, y, n, k, m):
    """(n, k) times (k, m), as flat lists. Large ones are multiplied by the page, a hundred times faster."""
    if _by_page and n * k * m > 5_000 and not isinstance(x[0], int):
        return _by_page(array("d", x), array("d", y), n, k, m).to_py().tolist()
    rows, columns = [x[i * k : (i + 1) * k] for i in range(n)], [y[j::m] for j in range(m)]
    return [sum(map(mul, r, c)) for r in rows for c in columns]


def _transposed(x, n, m):
    return [v for j in range(m) for v in x[j::m]]


def _batched(a, b):
    from ._index import stack

    if a.ndim == 3 and b.ndim == 3 and len(a) == len(b):
        return stack([matmul(x, y) for x, y in zip(a, b, strict=True)])
    if a.ndim > 2 and b.ndim == 2:
        return reshape(_mm(reshape(a, -1, a.shape[-1]), b), *a.shape[:-1], b.shape[-1])
    raise not_here(f"matmul of shapes {tuple(a.shape)} and {tuple(b.shape)}")


def dot(input, other):
    return sum_(input * other)


def outer(input, vec2):
    return unsqueeze(input, 1) * vec2


def einsum(*args):
    raise not_here("torch.einsum")
