"""Write the results behind the text chapter: its losses on the small BERT, over many seeds.

text.csv.gz has the scores of every loss on the test notes; text_seen.csv those of the two networks that the chapter
trains itself, on training notes and on test notes, so that its text holds for more than one training.

A seed decides the split of the notes, the initial weights and the order of the batches, the same for every loss, so
that losses can be compared in pairs. One run takes about 12 seconds on one core. Runs are
kept in .cache/text, so that an interrupted script resumes.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from joblib import Memory
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from transformers import BertConfig, BertModel, BertTokenizerFast

from focal_lib import focal_loss
from focal_lib.bugs import CATALOGUE
from focal_lib.lab.text import LABELS, NoteClassifier, encode, fine_tune, load_notes, predict, scores

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from experiments.many_seeds import finished, options, run_all  # noqa: E402

OUT = ROOT / "focal_lib" / "results" / "text.csv.gz"
SEEN = "text_seen.csv"
COLUMNS = ["loss", "gamma", "alpha", "seed", "metric", "value"]


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


@memory.cache
def run(name, seed):
    """All rows of one trained model."""
    torch.set_num_threads(1)
    train, test = load_notes().split(seed)
    alpha = torch.tensor(balanced_weights(train), dtype=torch.float32)
    gamma, alpha_name, make, sampled = LOSSES[name]
    tokenizer, model = small_bert(train.texts, seed)
    ids, mask = encode(train.texts, tokenizer)
    fine_tune(model, make(alpha), ids, mask, train.labels, seed=seed, sampler_weights=alpha if sampled else None)
    log_p = predict(model, *encode(test.texts, tokenizer))
    rows = scored(name, gamma, alpha_name, seed, log_p, test)
    if name == "nll":  # the free alternative: divide the probabilities by the class frequencies afterwards
        rows += scored("nll, prior divided out", 0, "afterwards", seed, log_p + alpha.log(), test)
    return rows


@memory.cache
def seen(name, seed):
    """Rows (loss, seed, notes, metric, value) of one trained model on both halves of the notes."""
    torch.set_num_threads(1)
    train, test = load_notes().split(seed)
    alpha = torch.tensor(balanced_weights(train), dtype=torch.float32)
    tokenizer, model = small_bert(train.texts, seed)
    ids, mask = encode(train.texts, tokenizer)
    fine_tune(model, LOSSES[name][2](alpha), ids, mask, train.labels, seed=seed)
    both = {
        "training": (train, predict(model, ids, mask)),
        "test": (test, predict(model, *encode(test.texts, tokenizer))),
    }
    return [
        (name, seed, which, metric, round(value, 4))
        for which, (notes, log_p) in both.items()
        for metric, value in scores(log_p, notes.labels).items()
        if metric in ("accuracy", "balanced_accuracy")
    ]


def bag_of_words(seed):
    """All rows of the baseline that counts words, without and with class weights."""
    train, test = load_notes().split(seed)
    counter = CountVectorizer(token_pattern=r"\S+")
    counts = counter.fit_transform(train.texts)
    rows = []
    for name, weights in (("bag of words", None), ("bag of words, balanced", "balanced")):
        linear = LogisticRegression(max_iter=2000, class_weight=weights).fit(counts, train.labels)
        log_p = torch.tensor(linear.predict_log_proba(counter.transform(test.texts)))
        rows += scored(name, 0, weights or "none", seed, log_p, test)
    return rows


def balanced_weights(notes):
    return compute_class_weight("balanced", classes=np.arange(len(LABELS)), y=notes.labels.numpy())


def scored(name, gamma, alpha, seed, log_p, test):
    return [(name, gamma, alpha, seed, metric, round(value, 4)) for metric, value in scores(log_p, test.labels).items()]


def main():
    arguments = options(__doc__, OUT, "from 0")
    work = [(name, seed) for seed in range(arguments.seeds) for name in ("nll", "weighted nll")]
    rows = [row for rows in run_all(seen, work, arguments) for row in rows]
    table = pd.DataFrame(rows, columns=["loss", "seed", "notes", "metric", "value"])
    table.to_csv(arguments.out.with_name(SEEN), index=False)
    work = [(name, seed) for seed in range(arguments.seeds) for name in LOSSES]
    rows = [row for rows in run_all(run, work, arguments) for row in rows]
    rows += [row for seed in range(arguments.seeds) for row in bag_of_words(seed)]
    finished(rows, COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
