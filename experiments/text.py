"""Write the results behind the text chapter: its losses on the small BERT, over many seeds.

losses  text.csv.gz: every loss on the test notes. A seed draws a corpus of 8 000 notes from the grammar of
        experiments/corpus.py, never that of the chapter, its split, the initial weights and the order of the batches,
        the same for every loss, so that losses can be compared in pairs. Each loss has its own learning rate, the one
        of RATES with the best macro F1 on the tuning seed, whose corpus is not scored.
seen    text_seen.csv: the two networks that the chapter trains itself, on training notes and on test notes, so that its
        text holds for more than one training.

One run takes about 12 seconds on one core. Runs are kept in .cache/text, so that an interrupted script resumes.
"""

import sys
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from joblib import Memory
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from transformers import BertConfig, BertModel, BertTokenizerFast

from focal_lib import focal_loss
from focal_lib.bugs import CATALOGUE
from focal_lib.lab.text import (
    LABELS,
    NoteClassifier,
    Notes,
    encode,
    fine_tune,
    label_indices,
    load_notes,
    predict,
    scores,
)

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from experiments.corpus import generate  # noqa: E402
from experiments.many_seeds import best_rates, finished, options, run_all  # noqa: E402

OUT = ROOT / "focal_lib" / "results"
PARTS = {"losses": 8, "seen": 5}
COLUMNS = ["loss", "gamma", "alpha", "rate", "seed", "metric", "value"]
SEEN_COLUMNS = ["loss", "seed", "notes", "metric", "value"]
RATES, TUNING_SEEDS = (0.0025, 0.005, 0.01), (1000,)


def small_bert(texts, seed):
    """A tokenizer that knows the texts' words and single letters, and a classifier on a BERT with two small layers."""
    words = sorted({word for text in texts for word in text.split()})
    letters = sorted({letter for word in words for letter in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters), *words]
    tokenizer = BertTokenizerFast(vocab={piece: k for k, piece in enumerate(dict.fromkeys(pieces))})
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.15,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return tokenizer, NoteClassifier(BertModel(config, add_pooling_layer=False))


def softmax_into_cross_entropy(log_p, target):
    return F.cross_entropy(log_p.exp(), target)  # probabilities where logits belong


# name: (gamma, alpha, make_criterion(alpha tensor), draw with the sampler?)
LOSSES = {
    "nll": (0, "none", lambda a: F.nll_loss, False),
    "weighted nll": (0, "balanced", lambda a: lambda p, t: F.nll_loss(p, t, weight=a), False),
    "sampler": (0, "sampler", lambda a: F.nll_loss, True),
    "focal": (2, "none", lambda a: focal_loss, False),
    "focal with alpha": (2, "balanced", lambda a: lambda p, t: focal_loss(p, t, a), False),
    "source's FocalLoss": (2, "none", lambda a: CATALOGUE["mean_before_pt"].loss, False),
    "weights inside": (
        2,
        "balanced",
        lambda a: lambda p, t: CATALOGUE["weight_inside_cross_entropy"].loss(p, t, a),
        False,
    ),
    "softmax into CE": (0, "none", lambda a: softmax_into_cross_entropy, False),
}


memory = Memory(ROOT / ".cache" / "text", verbose=0)


def trained(name, train, seed, learning_rate=5e-3):
    """A function from notes to the log-probabilities of one trained model, and the class weights."""
    torch.set_num_threads(1)
    alpha = torch.tensor(balanced_weights(train), dtype=torch.float32)
    _, _, make, sampled = LOSSES[name]
    tokenizer, model = small_bert(train.texts, seed)
    ids, mask = encode(train.texts, tokenizer)
    how = {"sampler_weights": alpha if sampled else None, "learning_rate": learning_rate, "seed": seed}
    fine_tune(model, make(alpha), ids, mask, train.labels, **how)
    return lambda notes: predict(model, *encode(notes.texts, tokenizer)), alpha


def fresh_notes(seed):
    """(train, test) of a corpus of the seed's own; the chapter's is the grammar's seed 0."""
    texts, labels, kinds = zip(*generate(8000, seed + 1), strict=True)
    return Notes(list(texts), label_indices(labels), list(kinds)).split(seed)


@memory.cache
def run(name, rate, seed):
    """All rows of one trained model."""
    train, test = fresh_notes(seed)
    gamma, alpha_name, *_ = LOSSES[name]
    says, alpha = trained(name, train, seed, rate)
    log_p = says(test)
    rows = scored((name, gamma, alpha_name, rate, seed), log_p, test)
    if name == "nll":  # the free alternative: divide the probabilities by the class frequencies afterwards
        rows += scored(("nll, prior divided out", 0, "afterwards", rate, seed), log_p + alpha.log(), test)
    return rows


@memory.cache
def seen(name, seed):
    """Rows (loss, seed, notes, metric, value) of one trained model on both halves of the notes."""
    train, test = load_notes().split(seed)
    says, _ = trained(name, train, seed)
    both = {"training": train, "test": test}
    rows = [row for which, notes in both.items() for row in scored((name, seed, which), says(notes), notes)]
    return [row for row in rows if row[3] in ("accuracy", "balanced_accuracy")]


def bag_of_words(seed):
    """All rows of the baseline that counts words, without and with class weights."""
    train, test = fresh_notes(seed)
    counter = CountVectorizer(token_pattern=r"\S+")
    counts = counter.fit_transform(train.texts)
    rows = []
    for name, weights in (("bag of words", None), ("bag of words, balanced", "balanced")):
        linear = LogisticRegression(max_iter=2000, class_weight=weights).fit(counts, train.labels)
        log_p = torch.tensor(linear.predict_log_proba(counter.transform(test.texts)))
        rows += scored((name, 0, weights or "none", 0, seed), log_p, test)
    return rows


def balanced_weights(notes):
    return compute_class_weight("balanced", classes=np.arange(len(LABELS)), y=notes.labels.numpy())


def scored(which, log_p, notes):
    return [(*which, metric, round(value, 4)) for metric, value in scores(log_p, notes.labels).items()]


def write_losses(seeds, arguments):
    work = [(name, rate, seed) for seed in TUNING_SEEDS for name in LOSSES for rate in RATES]
    tuning = chain.from_iterable(run_all(run, work, arguments))
    rates = best_rates(tuning, COLUMNS, ["loss"], "macro_f1")
    rows = run_all(run, [(name, rates[name], seed) for seed in range(seeds) for name in LOSSES], arguments)
    rows += [bag_of_words(seed) for seed in range(seeds)]
    finished(chain.from_iterable(rows), COLUMNS, arguments.out / "text.csv.gz")


def write_seen(seeds, arguments):
    rows = run_all(seen, [(name, seed) for seed in range(seeds) for name in ("nll", "weighted nll")], arguments)
    finished(chain.from_iterable(rows), SEEN_COLUMNS, arguments.out / "text_seen.csv")


def main():
    arguments = options(__doc__, OUT, PARTS)
    for part, seeds in arguments.parts.items():
        {"losses": write_losses, "seen": write_seen}[part](seeds, arguments)


if __name__ == "__main__":
    main()
