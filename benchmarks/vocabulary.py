"""Peak memory of a focal loss behind a linear head, with torch's chunked linear cross-entropy and without.

The plain way makes the logits of all tokens; the chunked one never does. Chapter 08 shows the stored numbers.
"""

import csv
from pathlib import Path

import torch
import torch.nn.functional as F
from speed import peak_bytes
from tqdm import tqdm

from focal_lib import focal_loss

RESULTS = Path(__file__).parents[1] / "focal_lib" / "results" / "vocabulary.csv"
# Tokens, width of what comes in, vocabulary.
SIZES = [(128, 256, 1000), (1024, 256, 1000), (128, 256, 32_000), (1024, 256, 32_000)]
GAMMA = 2.0


def whole(hidden, target, weight):
    return focal_loss(hidden @ weight.T, target, gamma=GAMMA)


def chunked(hidden, target, weight):
    options = torch.nn.LinearCrossEntropyOptions()
    ce = F.linear_cross_entropy(hidden, weight, target, reduction="none", options=options)
    one_minus_pt = -torch.expm1(-ce)
    return (one_minus_pt**GAMMA * ce).mean()


def measure(tokens, width, vocabulary):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, width, generator=generator).requires_grad_()
    weight = (torch.randn(vocabulary, width, generator=generator) / width**0.5).requires_grad_()
    target = torch.randint(vocabulary, (tokens,), generator=generator)
    sizes = []
    for way in (whole, chunked):
        weight.grad = None
        sizes.append(peak_bytes(lambda input, target, way=way: way(input, target, weight), hidden, target))
    return [tokens, width, vocabulary, *(round(size / 2**20) for size in sizes)]


def main():
    rows = [measure(*size) for size in tqdm(SIZES)]
    with RESULTS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["tokens", "width", "vocabulary", "all at once, MiB", "in pieces, MiB"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
