"""Diagnose published focal losses and store the verdicts in focal_lib/results/published.csv.

Run it in an environment that holds the packages of PUBLISHED (torch alone of them is needed by this project), with
this project on the path. A package that is not installed is an error, so that the table never shrinks unseen.
"""

import argparse
import csv
import importlib.metadata
import inspect
import sys
from pathlib import Path

import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))
from experiments import peers
from focal_lib import diagnose

OUT = Path(__file__).parent.parent / "focal_lib" / "results" / "published.csv"

SIGMOID = (
    "The paper's sigmoid form: right for detection and multilabel data, another loss where one class of C is right."
)
TABLE = "All that remains when its table (N, C) is summed over the classes first."
# (distribution, loss, how to build it, a fair word on what the properties show)
PUBLISHED = [
    (
        "fastai",
        "FocalLoss",
        peers.fastai,
        "Documented: weights go through F.cross_entropy's weight, and so into p_t. Unweighted values are exact.",
    ),
    ("tsai", "FocalLoss", peers.tsai, "Made for (N, C); it does not refuse images, and they come out wrong."),
    (
        "kornia",
        "focal_loss",
        peers.kornia,
        "Documented: 'mean' divides by N · C, and ignored labels stay in the mean. Its NaN for gamma < 1 is mended.",
    ),
    ("kornia", "focal_loss, summed over classes", peers.summed_over_classes(peers.kornia), TABLE),
    (
        "monai",
        "FocalLoss(use_softmax=True)",
        peers.monai,
        "Documented: 'mean' divides by N · C; float32 inside. Not documented: for (N, C) input 'sum' returns the mean.",
    ),
    ("monai", "FocalLoss(use_softmax=True), summed over classes", peers.summed_over_classes(peers.monai), TABLE),
    (
        "keras",
        "CategoricalFocalCrossentropy (torch backend)",
        peers.keras,
        "Clips p_t at 1e-7, as Keras clips probabilities: the worst mistakes get no gradient. Up to there it is exact.",
    ),
    (
        "focal-loss-torch",
        "FocalLoss",
        peers.focal_loss_torch,
        "Takes probabilities and adds 1e-16 before the logarithm: mistakes with a p_t far below that get no gradient.",
    ),
    (
        "pytorch-toolbelt",
        "CrossEntropyFocalLoss",
        peers.pytorch_toolbelt,
        "Softmax in the modulator, sigmoid cross-entropy beside it: a loss of its own.",
    ),
    ("segmentation-models-pytorch", "FocalLoss('multiclass')", peers.segmentation_models_pytorch, SIGMOID),
    ("catalyst", "FocalLossMultiClass", peers.catalyst, SIGMOID),
    ("balanced-loss", "Loss('focal_loss')", peers.balanced_loss, SIGMOID),
    ("fvcore", "sigmoid_focal_loss on one-hot targets", peers.fvcore, SIGMOID),
    ("super-gradients", "FocalLoss on one-hot targets", peers.super_gradients, SIGMOID),
]


def as_function(make):
    """``loss(input, target, ...)`` with the arguments that ``make`` takes: the form that diagnose reads best."""

    def loss(input, target, **settings):
        return make(**settings)(input, target)

    given = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("input", "target")]
    loss.__signature__ = inspect.Signature([*given, *inspect.signature(make).parameters.values()])
    return loss


def write_table(path, rows):
    """Rows, dictionaries with the same keys, as a CSV file."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbose", action="store_true", help="print the full reports")
    arguments = parser.parse_args()
    rows = []
    for distribution, name, make, word in tqdm(PUBLISHED, "packages"):
        diagnosis = diagnose(as_function(make))
        if diagnosis.stopped:
            sys.exit(f"{distribution}: {diagnosis.headline}")
        if arguments.verbose:
            print(f"\n=== {distribution} {name}\n{diagnosis}")
        rows.append(
            {
                "package": distribution,
                "version": importlib.metadata.version(distribution),
                "loss": name,
                "verdict": diagnosis.verdict,
                "violations": " ¦ ".join(f"{name}: {example}" for name, example in diagnosis.violations.items()),
                "suspects": " ".join(diagnosis.suspects),
                "conventions": " ".join(diagnosis.conventions),
                "untested": " ".join(diagnosis.untested),
                "word": word,
            }
        )
    write_table(OUT, rows)
    print(f"Wrote {OUT}: {len(rows)} losses, torch {torch.__version__}.")


if __name__ == "__main__":
    main()
