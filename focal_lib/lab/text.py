"""The four-class text task: the notes, a classifier on any BERT, its training and its scores. Needs no transformers.

A tokenizer and an encoder are passed in, so that a small BERT built on the spot and a pretrained one are the same to
this file. Chapter 08 uses it.
"""

import math
import warnings
from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np
import pandas as pd
import torch
from sklearn import metrics
from sklearn.model_selection import train_test_split
from torch import nn
from tqdm.auto import tqdm

__all__ = [
    "LABELS",
    "NoteClassifier",
    "Notes",
    "encode",
    "fine_tune",
    "label_indices",
    "load_notes",
    "predict",
    "scores",
]

LABELS = ("none", "repair", "order", "stop")
BATCH = 64


@dataclass(frozen=True)
class Notes:
    """``texts`` and ``kinds`` are lists of N strings, ``labels`` int64 of shape (N,), an index into ``LABELS``.

    A kind is the grammar's own name for what a note says. No model may see it: it serves to compute the best score
    that is possible at all.
    """

    texts: list
    labels: torch.Tensor
    kinds: list

    def split(self, seed):
        """(train, test): 3/4 and 1/4 of the notes, drawn by ``seed`` with the same share of each label in both."""
        train, test = train_test_split(
            np.arange(len(self.texts)), test_size=0.25, stratify=self.labels, random_state=seed
        )
        return self._at(train), self._at(test)

    def _at(self, index):
        return Notes([self.texts[i] for i in index], self.labels[torch.tensor(index)], [self.kinds[i] for i in index])


def load_notes():
    """All 8 000 notes of the corpus, which ``experiments/corpus.py`` writes. Explained in chapter 08."""
    with as_file(files("focal_lib") / "results" / "corpus.csv.gz") as path:
        table = pd.read_csv(path, keep_default_na=False)
    return Notes(table["text"].tolist(), label_indices(table["label"]), table["kind"].tolist())


def label_indices(labels, names=LABELS):
    """Label names as an int64 tensor of indices into ``names``.

    Raises:
        ValueError: a label that is not one of the names.
    """
    for k, label in enumerate(labels):
        if label not in names:
            raise ValueError(f"label {k} is {label!r}; expected one of {', '.join(names)}.")
    return torch.tensor([names.index(label) for label in labels], dtype=torch.int64)


def encode(texts, tokenizer, max_length=48):
    """Token ids and attention mask, both int64 of shape (N, longest text in tokens).

    Args:
        texts: list of N strings.
        tokenizer: a ``transformers`` tokenizer, or a callable with the same arguments.
        max_length: texts with more tokens lose their ends, and a warning says how many did.

    Raises:
        TypeError: something that is not a string.
        ValueError: no texts, or one without a word in it.
    """
    if len(texts) == 0:
        raise ValueError("texts must hold at least one text, got none.")
    for k, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {k} must be a string, got {type(text).__name__}.")
        if not text.strip():
            raise ValueError(f"text {k} is empty ({text!r}); leave such texts out, or give them a label of their own.")
    whole = tokenizer(texts)["input_ids"]
    too_long = sum(len(ids) > max_length for ids in whole)
    if too_long:
        warnings.warn(
            f"{too_long} of {len(texts)} texts have more than {max_length} tokens; their ends are cut off.",
            stacklevel=2,
        )
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
    return tokens["input_ids"], tokens["attention_mask"]


class NoteClassifier(nn.Module):
    """A BERT encoder, the mean over its tokens, one linear layer, and ``LogSoftmax``, which is source 001's.

    Args:
        encoder: a ``transformers.BertModel``, or a module with the same call and a ``config.hidden_size``.
        classes: number of classes.

    ``forward(ids, mask)`` takes int64 tensors of shape (N, L) and returns log-probabilities of shape (N, classes).
    """

    def __init__(self, encoder, classes=4):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, classes)
        self.log_softmax = nn.LogSoftmax(dim=1)

    def forward(self, ids, mask):
        hidden = self.encoder(ids, attention_mask=mask).last_hidden_state
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.log_softmax(self.head(mean))


def fine_tune(model, criterion, ids, mask, target, *, sampler_weights=None, epochs=8, learning_rate=5e-3, seed=0):
    """Train the model in place with AdamW and a one-cycle learning rate; returns the mean loss of each epoch.

    Args:
        model: :class:`NoteClassifier`; the data move to its device.
        criterion: ``criterion(log_probabilities, target) -> scalar``.
        ids, mask: int64, shape (N, L), from :func:`encode`.
        target: int64 labels, shape (N,).
        sampler_weights: None visits each text once an epoch; a tensor of one weight per *class* draws N texts with
            replacement instead, each with a probability proportional to the weight of its class.
        epochs: passes over N texts, in batches of 64.
        learning_rate: the highest of the cycle. 0.005 suits the small BERT, 0.0005 or less a pretrained one.
        seed: decides the order of the texts.

    Raises:
        ValueError: lengths that differ, a label out of range, or fewer than one epoch.
        FloatingPointError: the loss is no longer finite.

    Explained in chapter 08.
    """
    classes = model.head.out_features
    if not len(ids) == len(mask) == len(target):
        raise ValueError(f"ids, mask and target must have one length, got {len(ids)}, {len(mask)} and {len(target)}.")
    if target.min() < 0 or target.max() >= classes:
        raise ValueError(f"target must lie in [0, {classes}); its values run from {target.min()} to {target.max()}.")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}.")
    device = model.head.weight.device
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, fused=True)  # one kernel for all parameters
    steps = epochs * math.ceil(len(target) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.2)
    model.train()
    losses = []
    for _ in tqdm(range(epochs), unit="epoch"):
        if sampler_weights is None:
            order = torch.randperm(len(target), generator=generator)
        else:
            order = torch.multinomial(sampler_weights[target], len(target), replacement=True, generator=generator)
        total = 0.0
        for batch in _batches_of_like_length(order, mask.sum(1), generator):
            longest = int(mask[batch].sum(1).max())
            log_p = model(ids[batch, :longest].to(device), mask[batch, :longest].to(device))
            loss = criterion(log_p, target[batch].to(device))
            if not loss.isfinite():
                raise FloatingPointError(
                    f"the loss became {loss.item()} in epoch {len(losses)}; training stopped there."
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        losses.append(total / len(target))
    return losses


def _batches_of_like_length(order, lengths, generator):
    """Batches in random order. Sorting within 16 batches at a time keeps padding, and with it the cost, small."""
    batches = []
    for part in order.split(16 * BATCH):
        batches.extend(part[lengths[part].argsort(stable=True)].split(BATCH))
    return [batches[k] for k in torch.randperm(len(batches), generator=generator)]


def predict(model, ids, mask):
    """Log-probabilities of shape (N, C), on the CPU."""
    model.eval()
    device = model.head.weight.device
    pairs = zip(ids.split(256), mask.split(256), strict=True)
    with torch.no_grad():
        return torch.cat([model(i.to(device), m.to(device)).cpu() for i, m in pairs])


def scores(log_p, target, names=LABELS):
    """Scores of log-probabilities (N, C): accuracy, balanced accuracy, macro F1, and the F1 of each class by name.

    Raises:
        ValueError: target lacks one of the classes, so that its recall is undefined.
    """
    missing = set(range(len(names))) - set(target.tolist())
    if missing:
        raise ValueError(f"target must hold every class; {names[min(missing)]!r} is missing.")
    predicted = log_p.argmax(dim=1)
    each = metrics.f1_score(target, predicted, average=None, labels=range(len(names)), zero_division=0)
    result = {
        "accuracy": metrics.accuracy_score(target, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(target, predicted),
        "macro_f1": each.mean(),
    } | {f"f1_{name}": value for name, value in zip(names, each, strict=True)}
    return {name: float(value) for name, value in result.items()}
