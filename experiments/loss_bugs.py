"""How many faulty losses does each check find, and how often does it blame a right one? focal_lib/results/loss_bugs.csv

The losses: the bugs and the look-alikes of the catalogue, and the published losses of ``published.py``. The checks:
``diagnose``, and four that people use. Run it in an environment that holds the packages of ``published.py`` and
torchfix, with this project on the path: ``python experiments/loss_bugs.py``. With ``--catalogue``, torchfix is enough:
the rows of the published losses stay as they are.
"""

import argparse
import csv
import importlib.metadata
import inspect
import math
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))
from experiments.published import PUBLISHED, as_function, write_table
from focal_lib import diagnose
from focal_lib.bugs import CATALOGUE, LOOKALIKES

OUT = Path(__file__).parent.parent / "focal_lib" / "results" / "loss_bugs.csv"


def batch(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, generator=generator, dtype=dtype), torch.tensor([0, 2, 1, 0])


def diagnosis(loss, build):
    """Whether ``diagnose`` says anything against it, a remark included."""
    return not diagnose(loss).ok


def gradcheck(loss, build):
    """Whether the analytical gradient is not that of finite differences."""
    input, target = batch()
    return not torch.autograd.gradcheck(
        lambda x: build()(x, target).sum(), (input.requires_grad_(),), raise_exception=False
    )


def gamma_zero(loss, build):
    """Whether it differs from cross-entropy at gamma = 0; a loss without a gamma is not asked."""
    if "gamma" not in inspect.signature(loss).parameters:
        return False
    input, target = batch()
    value = build(gamma=0.0)(input, target).double()  # some come back as float32
    return not torch.allclose(value, F.cross_entropy(input, target), rtol=1e-4)


def golden_number(loss, build):
    """Whether p_t = 3/4 does not cost (1/4)^2 log(4/3)."""
    value = build()(torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([0]))
    return not torch.allclose(value.float(), torch.tensor(0.0179801), rtol=1e-4)


def torchfix(entries):
    """The ids of those bugs and look-alikes about whose code the linter of the PyTorch project has something to say."""
    with tempfile.TemporaryDirectory() as folder:
        for id, entry in entries.items():
            head = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n"
            Path(folder, f"{id}.py").write_text(head + entry.code)
        command = [str(Path(sys.executable).with_name("torchfix")), "--select", "ALL", folder]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode not in (0, 1):  # 1: it has found something
        sys.exit(said.stderr)
    return {id for id in entries if f"{id}.py" in said.stdout}


CHECKS = {"diagnose": diagnosis, "gradcheck": gradcheck, "gamma = 0": gamma_zero, "golden number": golden_number}


def losses(published=PUBLISHED):
    """(kind, name, the loss, how to build it with a gamma) of every loss of the comparison."""
    for kind, register in (("bug", CATALOGUE), ("look-alike", LOOKALIKES)):
        for id, entry in register.items():
            yield kind, id, entry.loss, lambda gamma=2.0, entry=entry: entry.build(gamma=gamma)
    for package, name, make, _ in published:
        title = f"{package} {importlib.metadata.version(package)}, {name}"
        yield "published", title, as_function(make), lambda gamma=2.0, make=make: make(gamma=gamma)


def alarm(check, loss, build):
    """Whether a check speaks up. One that is broken off by an error of the loss does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(check(loss, build))
    except Exception:
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", action="store_true", help="compare the bugs and the look-alikes only")
    published = () if parser.parse_args().catalogue else PUBLISHED
    versions = {name: importlib.metadata.version(name) for name in ("torch", "torchfix")}
    linted = torchfix(CATALOGUE | LOOKALIKES)
    rows = []
    for kind, name, loss, build in tqdm(list(losses(published)), "losses"):
        found = {check: int(alarm(function, loss, build)) for check, function in CHECKS.items()}
        found["TorchFix"] = "" if kind == "published" else int(name in linted)
        rows.append({"kind": kind, "loss": name, **found})
    if not published:
        with OUT.open(encoding="utf-8") as file:
            rows += [row for row in csv.DictReader(file) if row["kind"] == "published"]
    write_table(OUT, rows)
    print(f"Wrote {OUT}: {len(rows)} losses, {versions}.")


if __name__ == "__main__":
    main()
