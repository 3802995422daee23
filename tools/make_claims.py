"""Write book/claims.md from book/claims.toml: every claim of the sources, its verdict, and what shows it.

Each number in a reason is computed anew from focal_lib and from the stored runs, so the page cannot drift from them.
With --check nothing is written; the exit status is 1 if the page is not what would be written.
"""

import argparse
import re
import sys
import tomllib
from functools import partial
from pathlib import Path

import nbformat
import pandas as pd
import torch
import yaml
from torch.nn import functional as F
from tqdm import tqdm

from focal_lib.bugs import CATALOGUE
from focal_lib.lab.curves import curve, per_example
from focal_lib.lab.data import inverse_frequency, load_example
from focal_lib.lab.stored_runs import average, difference, interval
from focal_lib.lab.sweep import sweep
from focal_lib.lab.training import make_model, train
from focal_lib.losses import focal_loss

ROOT = Path(__file__).parent.parent
VERDICTS = ("right", "half right", "wrong", "not shown")
SOURCES = {
    "001": "a question on multiclass focal loss for a four-class BERT, and its answers",
    "002": "a note that explains focal loss and gives binary code",
    "003": "an article on class weights with focal loss",
    "paper": "what the paper found in dense detection, tried again in miniature",
}
HEAD = """\
# The sources, claim by claim

**You will find** which claims about focal loss hold, which do not, and where to see it.
**Time:** 15 minutes, or look up the one you came for.

Here are the claims of three public texts on focal loss that we checked, in our words, with a verdict and the place that
shows it; then the findings of the [paper](references.md).
A difference reads "mean [95 % interval]", over pairs of the same seed: 200 pairs for the example of chapter 05, eight
for the text of chapter 08 and ten for the images of chapter 09 (five where each loss has its own rate). The page is
generated: `python tools/make_claims.py` computes each number anew, and a test compares.

"""


def gradient_cosine(bug):
    """Cosine between a faulty loss's gradient and cross-entropy's, on the example's untrained network."""
    example, model = load_example(), make_model(0)

    def gradient(loss):
        value = loss(model(example.x_train), example.y_train)
        return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()))])

    return f"{F.cosine_similarity(gradient(CATALOGUE[bug].build()), gradient(F.cross_entropy), dim=0):.3f}"


def disagreements(bug, optimizer):
    """On how many test points the networks trained with a faulty loss and with the right one disagree."""
    example = load_example()
    one, other = (
        train(loss, example, seed=0, device="cpu", optimizer=optimizer).logits(example.x_test).argmax(dim=1)
        for loss in (focal_loss, CATALOGUE[bug].build())
    )
    return int((one != other).sum())


def weight_inside_acts_like(p_t, weight=4.0):
    """Gradient of a class of this weight over that of a class of weight 1, with the weight inside, at one p_t."""
    inside, p_t = CATALOGUE["weight_inside_cross_entropy"].loss, torch.tensor([p_t], dtype=torch.float64)
    alphas = torch.tensor([[weight, 1.0], [1.0, weight]], dtype=torch.float64)
    heavy, light = (curve(p_t, 2.0, partial(inside, alpha=alpha))[1] for alpha in alphas)
    return f"{(heavy / light).item():.1f}"


def loss_of_one_example(weight):
    logits, target = torch.tensor([[0.5, -0.5]]), torch.tensor([1])
    return f"{F.cross_entropy(logits, target, weight=torch.tensor([1.0, weight])):.3f}"


def gamma_zero_of_source_002():
    logits, target = torch.randn(8, 2, generator=torch.Generator().manual_seed(0)), torch.ones(8, 2)
    ours = CATALOGUE["binary_scalar_alpha"].loss(logits, target, gamma=0.0)
    return f"{ours / F.binary_cross_entropy_with_logits(logits, target):.2f}"


def focal_to_cross_entropy(p_t, digits=3):
    """(value, gradient) of focal loss with gamma 2, as multiples of cross-entropy's."""
    p_t = torch.tensor([p_t], dtype=torch.float64)
    return [f"{(a / b).item():.{digits}f}" for a, b in zip(curve(p_t, 2.0), curve(p_t, 0.0), strict=True)]


def class_weight_sums():
    """For each class of the example, its weight N / count added up over its examples."""
    y = load_example().y_train
    return " and ".join(f"{total:.0f}" for total in (inverse_frequency(y) * y.bincount()).tolist())


def minority_share(alpha):
    """The minority's share of the gradient of (weighted) cross-entropy, on the example's untrained network."""
    example = load_example()
    y = example.y_train
    weights = inverse_frequency(y) if alpha else None
    with torch.no_grad():
        logits = make_model(0)(example.x_train)
    size = per_example(logits, y, alpha=weights, gamma=0)[2]
    return f"{100 * size[y == 1].sum() / size.sum():.0f} %"


def gradient_crossing():
    """(the p_t below which focal loss's gradient exceeds cross-entropy's, the largest ratio), for gamma 2."""
    p_t = torch.linspace(0.001, 0.999, 99_801, dtype=torch.float64)
    ratio = curve(p_t, 2.0)[1] / curve(p_t, 0.0)[1]
    return f"{p_t[ratio > 1].max():.3f}", f"{ratio.max():.2f}"


def falling_runs():
    """In how many of 16 runs the training loss fell, the fewest over the sources' faulty losses."""
    bugs = ["mean_before_pt", "scalar_alpha", "weight_inside_cross_entropy", "binary_scalar_alpha"]
    losses = [sweep(bug, range(16), alpha="inverse_frequency", progress=False).losses for bug in bugs]
    return min(int((run[:, -1] < run[:, 0]).sum()) for run in losses)


def text_runs(first, second, metric):
    """Paired difference between two losses of chapter 08."""
    runs = stored("text").pivot(index="seed", columns=["loss", "metric"], values="value")
    return interval(runs[first, metric] - runs[second, metric])


def detection_runs(first, second):
    """Paired difference in average precision between two (loss, gamma, alpha) of chapter 09."""
    runs = stored("detection").pivot(index="seed", columns=["loss", "gamma", "alpha"], values="value")
    return interval(runs[first] - runs[second])


def detection_at_own_rates(steps):
    """The same of gamma 1 and balanced cross-entropy, each at its own learning rate."""
    runs = stored("detection_own_rates", "csv").pivot(index="seed", columns=["steps", "gamma", "alpha"], values="value")
    return interval(runs[steps, 1, 0.25] - runs[steps, 0, 0.75])


def stored(name, ending="csv.gz"):
    return pd.read_csv(ROOT / "focal_lib" / "results" / f"{name}.{ending}")


NAMESPACE = {
    f.__name__: f
    for f in (
        average, class_weight_sums, detection_at_own_rates, detection_runs, difference, disagreements, falling_runs,
        focal_to_cross_entropy,
        gamma_zero_of_source_002, gradient_cosine, gradient_crossing, inverse_frequency, load_example,
        loss_of_one_example, minority_share, text_runs, weight_inside_acts_like, len,
    )
}  # fmt: skip


def headings(slug):
    """{anchor: title} of a chapter's headings."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{slug}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    titles = [line.lstrip("#").strip() for line in text.splitlines() if line.startswith("#")]
    return {anchor(title): title for title in titles}


def anchor(title):
    """The anchor that MyST gives a heading."""
    return re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))


def link(place):
    """A chapter's heading or a test, as a Markdown link; refuses one that is not there."""
    if "::" in place:
        file, function = place.split("::")
        path = ROOT / "tests" / file
        if not path.is_file() or f"def {function}(" not in path.read_text("utf-8"):
            raise ValueError(f"shown_by names a test that does not exist: {place!r}.")
        repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
        return f"[`{function}`]({repository['url']}/blob/{repository['branch']}/tests/{file})"
    slug, _, heading = place.partition("#")
    if not (ROOT / "notebooks" / f"{slug}.ipynb").is_file():
        raise ValueError(f"shown_by names a chapter that does not exist: {place!r}.")
    if not heading:
        return f"[chapter {slug[:2]}](../notebooks/{slug}.ipynb)"
    if heading not in headings(slug):
        raise ValueError(f"shown_by names a heading that does not exist: {place!r}; there are {list(headings(slug))}.")
    return f"[chapter {slug[:2]}, {headings(slug)[heading]}](../notebooks/{slug}.ipynb#{heading})"


def entry(claim):
    """One claim as Markdown."""
    if claim["verdict"] not in VERDICTS:
        raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}; got {claim['verdict']!r}.")
    if not claim.get("shown_by"):
        raise ValueError(f"this claim has no evidence: {claim['says']!r}.")
    numbers = {name: eval(expression, NAMESPACE) for name, expression in claim.get("numbers", {}).items()}
    unused = [name for name in numbers if "{" + name + "}" not in claim["because"]]
    if unused:
        raise ValueError(f"number {unused[0]!r} is not used in the reason of {claim['says']!r}.")
    reason = claim["because"].format(**numbers)
    places = " · ".join(link(place) for place in claim["shown_by"])
    return f"### {claim['says']}\n\n**{claim['verdict'].capitalize()}.** {reason}\n\nShown by {places}.\n"


def page(claims, progress=False):
    parts = [HEAD]
    for source, what in SOURCES.items():
        parts.append(f"## {'The paper' if source == 'paper' else f'Source {source}'}: {what}\n")
        chosen = [claim for claim in claims if claim["source"] == source]
        parts += [entry(claim) for claim in tqdm(chosen, desc=source, unit="claim", disable=not progress)]
    return "\n".join(parts)


def read_claims():
    return tomllib.loads((ROOT / "book" / "claims.toml").read_text("utf-8"))["claim"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    arguments = parser.parse_args()
    output = ROOT / "book" / "claims.md"
    text = page(read_claims(), progress=True)
    if arguments.check:
        if output.read_text("utf-8") != text:
            sys.exit("book/claims.md is out of date; run: python tools/make_claims.py")
    else:
        output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
