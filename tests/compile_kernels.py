"""Compile the kernels of focal_lib/_cuda.py for a GPU that need not be there; print what each spills from registers.

Run by test_cuda.py in a process of its own, because that one has Triton's interpreter in the compiler's place. Tensors
on the meta device have shapes and strides and no memory, so the real sizes cost nothing.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from focal_lib import _cuda, _fused

TYPES = {
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.float64: "fp64",
    torch.int64: "i64",
}
SIZES = [(4096, 4), (262_144, 4), (65_536, 100), (262_144, 1000), (16_384, 128_256), (16, 19, 1024, 1024), (2, 150, 99)]


def compiled(kernel, arguments, options, arch):
    """The kernel as Triton would compile it for these arguments: 1 and None built in, multiples of 16 made known."""
    values = dict(zip(kernel.arg_names, arguments, strict=False)) | options
    signature, constants, known = {}, {}, {}
    for k, name in enumerate(kernel.arg_names):
        value = values[name]
        if kernel.params[k].is_constexpr or value is None or (isinstance(value, int) and value == 1):
            signature[name], constants[(k,)] = "constexpr", value
            continue
        if isinstance(value, torch.Tensor):
            signature[name] = "*" + TYPES[value.dtype]
        else:
            signature[name] = "fp32" if isinstance(value, float) else "i32" if abs(value) < 2**31 else "i64"
        if isinstance(value, torch.Tensor) or (isinstance(value, int) and value % 16 == 0):
            known[(k,)] = [["tt.divisibility", 16]]
    options = {name: value for name, value in options.items() if name not in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=known)
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)


def spills(ptx, arch):
    """Bytes that the assembler stores outside of the registers, as it says itself."""
    assembler = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        target = f"sm_{arch}{'a' if arch == 90 else ''}"
        run = subprocess.run([assembler, "-v", f"-arch={target}", file.name, "-o", "/dev/null"], capture_output=True)
    return int(re.search(rb"(\d+) bytes spill stores", run.stderr)[1])


def main():
    arch = int(sys.argv[1])
    for shape in SIZES:
        for dtype in (torch.float32, torch.bfloat16):
            input = torch.empty(shape, dtype=dtype, device="meta")
            target = torch.empty(shape[:1] + shape[2:], dtype=torch.int64, device="meta")
            alpha = torch.empty(shape[1], device="meta")

            def start(kernel, programs, *arguments, shape=shape, dtype=str(dtype)[6:], **options):
                ptx = compiled(kernel, arguments, options, arch).asm["ptx"]
                print(*shape, dtype, kernel.fn.__name__, spills(ptx, arch), flush=True)

            _cuda._start = start
            call = _fused.Call(input, target, alpha, 2.0, -100, "mean")
            _, gradient = _cuda.loss(call, True, True)
            _cuda.gradient(call, torch.empty((), device="meta"), gradient, dtype)
            if len(shape) > 2 or shape[0] == 4096:
                call = call._replace(gamma=1.5, reduction="none")
                _cuda.gradient(call, torch.empty_like(target, dtype=torch.float32), None, dtype)


if __name__ == "__main__":
    main()
