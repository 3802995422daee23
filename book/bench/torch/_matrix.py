"""Products of vectors and matrices."""

from . import _numbers as N
from ._missing import not_here
from ._reduce import sum_
from ._tensor import _wrap, one_device, op, recorded
from ._views import reshape, unsqueeze


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
    rows = [x[i * k : (i + 1) * k] for i in range(n)]
    columns = [y[j::m] for j in range(m)]
    values = [_dot(r, c) for r in rows for c in columns]
    result = _wrap(N.STORE[a.dtype](values), (n, m), a.dtype, one_device(a, b))

    def back(g):
        lines, ups = [g[i * m : (i + 1) * m] for i in range(n)], [g[j::m] for j in range(m)]
        right = [y[i * m : (i + 1) * m] for i in range(k)]
        return [
            [_dot(line, r) for line in lines for r in right],
            [_dot(x[i::k], up) for i in range(k) for up in ups],
        ]

    return recorded(result, "Mm", (a, b), back, [a, b])


def _dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) if x else 0


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
