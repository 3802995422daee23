"""The text task: the corpus is what it claims to be, bad input is refused, and a classifier learns."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from experiments import text as protocol
from experiments.corpus import KINDS, generate
from focal_lib import focal_loss
from focal_lib.lab.stored_runs import interval
from focal_lib.lab.text import LABELS, NoteClassifier, encode, fine_tune, label_indices, load_notes, predict, scores
from focal_lib.widgets import TextRanking

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def notes():
    return load_notes()


def words_to_ids(texts, padding=False, truncation=False, max_length=None, return_tensors=None):
    """A tokenizer for tests: a word's id is its length."""
    ids = [[len(word) for word in text.split()][: max_length if truncation else None] for text in texts]
    if return_tensors is None:
        return {"input_ids": ids}
    longest = max(map(len, ids))
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    return {"input_ids": padded, "attention_mask": (padded > 0).long()}


class Embedding(nn.Module):
    """An encoder for tests, with the call of a BERT: it looks words up and knows no order."""

    def __init__(self, words=50, width=8):
        super().__init__()
        self.config = SimpleNamespace(hidden_size=width)
        self.table = nn.Embedding(words, width)

    def forward(self, ids, attention_mask):
        return SimpleNamespace(last_hidden_state=self.table(ids))


def classifier(seed=0):
    torch.manual_seed(seed)
    return NoteClassifier(Embedding())


def test_the_corpus_is_what_the_generator_writes(notes):
    assert list(zip(notes.texts, [LABELS[k] for k in notes.labels], notes.kinds, strict=True)) == generate(8000, seed=0)


def test_the_corpus_is_imbalanced_as_stated(notes):
    shares = notes.labels.bincount() / len(notes.labels)
    assert torch.allclose(shares, torch.tensor([0.70, 0.20, 0.07, 0.03]), atol=0.01)


def test_no_word_gives_a_rare_label_away(notes):
    """No word that occurs at least 20 times belongs to one of the three rare labels in more than half of its notes."""
    words = pd.DataFrame(
        [
            (word, label)
            for text, label in zip(notes.texts, notes.labels.tolist(), strict=True)
            for word in set(text.split())
        ],
        columns=["word", "label"],
    )
    shares = pd.crosstab(words["word"], words["label"])
    shares = shares[shares.sum(axis=1) >= 20]
    assert len(shares) > 50
    assert shares.div(shares.sum(axis=1), axis=0)[[1, 2, 3]].to_numpy().max() <= 0.5


def test_the_labels_follow_the_stated_noise(notes):
    for kind, (_, expected) in KINDS.items():
        labels = notes.labels[torch.tensor([k == kind for k in notes.kinds])]
        assert torch.allclose(
            (labels.bincount(minlength=4) / len(labels)).double(), torch.tensor(expected).double(), atol=0.07
        )


def test_a_split_covers_all_notes_once_and_keeps_the_shares(notes):
    train, test = notes.split(seed=3)
    assert sorted(train.texts + test.texts) == sorted(notes.texts)
    assert not set(train.texts) & set(test.texts)
    assert torch.allclose(train.labels.bincount() / 6000, test.labels.bincount() / 2000, atol=1e-3)
    assert notes.split(seed=3)[1].texts == test.texts != notes.split(seed=4)[1].texts


def test_an_unknown_label_is_named():
    assert label_indices(["stop", "none"]).tolist() == [3, 0]
    with pytest.raises(ValueError, match=r"label 1 is 'halt'; expected one of none, repair, order, stop\."):
        label_indices(["stop", "halt"])


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([], ValueError, "at least one text"),
        (["fine", "  "], ValueError, "text 1 is empty"),
        (["fine", None], TypeError, "text 1 must be a string, got NoneType"),
    ],
)
def test_texts_that_cannot_be_encoded_are_named(texts, error, message):
    with pytest.raises(error, match=message):
        encode(texts, words_to_ids)


def test_texts_that_are_too_long_are_cut_with_a_warning():
    with pytest.warns(UserWarning, match="1 of 2 texts have more than 3 tokens"):
        ids, mask = encode(["a bb ccc dddd", "a"], words_to_ids, max_length=3)
    assert ids.tolist() == [[1, 2, 3], [1, 0, 0]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_the_classifier_returns_log_probabilities_that_ignore_padding():
    model = classifier()
    ids, mask = encode(["a bb", "a bb ccc dddd"], words_to_ids)
    log_p = model(ids, mask)
    assert torch.allclose(log_p.exp().sum(1), torch.ones(2))
    assert torch.allclose(log_p[:1], model(ids[:1, :2], mask[:1, :2]))


def learnable(count=256):
    """Texts whose label is the length of their first word."""
    labels = torch.arange(count) % 4
    ids = torch.stack([labels + 1, torch.arange(count) % 7 + 10], dim=1)
    return ids, torch.ones_like(ids), labels


def test_fine_tuning_learns_and_is_repeatable():
    ids, mask, labels = learnable()
    models = [classifier(), classifier()]
    histories = [fine_tune(m, focal_loss, ids, mask, labels, epochs=20, learning_rate=0.1) for m in models]
    assert histories[0] == histories[1] and len(histories[0]) == 20
    assert scores(predict(models[0], ids, mask), labels)["accuracy"] == 1.0
    assert histories[0][-1] < 0.1 * histories[0][0]


def test_the_sampler_draws_by_class_weight():
    """With all weight on class 2, the model meets nothing else and always answers 2."""
    ids, mask, labels = learnable()
    model = classifier()
    only_two = torch.tensor([0.0, 0.0, 1.0, 0.0])
    fine_tune(model, F.nll_loss, ids, mask, labels, sampler_weights=only_two, epochs=10, learning_rate=0.1)
    assert (predict(model, ids, mask).argmax(1) == 2).all()


def test_log_probabilities_are_harmless_where_logits_are_expected():
    """The same training, whether the loss expects log-probabilities or takes log-softmax once more."""
    ids, mask, labels = learnable()
    results = []
    for criterion in (F.nll_loss, F.cross_entropy):
        model = classifier()
        fine_tune(model, criterion, ids, mask, labels, epochs=3)
        results.append(predict(model, ids, mask))
    assert torch.allclose(*results, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": torch.full((256,), 4)}, r"target must lie in \[0, 4\); its values run from 4 to 4"),
        ({"target": torch.zeros(3, dtype=torch.int64)}, "must have one length, got 256, 256 and 3"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
    ],
)
def test_training_refuses_bad_arguments(change, message):
    ids, mask, labels = learnable()
    with pytest.raises(ValueError, match=message):
        fine_tune(classifier(), **({"criterion": F.nll_loss, "ids": ids, "mask": mask, "target": labels} | change))


def test_a_loss_that_is_not_finite_stops_the_training():
    ids, mask, labels = learnable()
    with pytest.raises(FloatingPointError, match="became nan in epoch 0"):
        fine_tune(classifier(), lambda p, t: F.nll_loss(p, t) * float("nan"), ids, mask, labels)


def test_scores_against_numbers_made_by_hand():
    """Answers 0 0 1 1 1 3 for labels 0 0 0 1 2 3."""
    log_p = F.one_hot(torch.tensor([0, 0, 1, 1, 1, 3]), 4).double()
    result = scores(log_p, torch.tensor([0, 0, 0, 1, 2, 3]))
    assert result["accuracy"] == pytest.approx(4 / 6)
    assert result["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0 + 1) / 4)
    assert [result[f"f1_{name}"] for name in LABELS] == pytest.approx([4 / 5, 1 / 2, 0, 1])
    assert result["macro_f1"] == pytest.approx((4 / 5 + 1 / 2 + 1) / 4)
    with pytest.raises(ValueError, match="'order' is missing"):
        scores(log_p, torch.tensor([0, 0, 0, 1, 1, 3]))


RANKED = {
    "texts": ["easy and common", "hard and common", "easy and rare"],
    "labels": ["none", "none", "stop"],
    "p_t": [0.9, 0.4, 0.7],
    "weights": [0.5, 0.5, 8.0],
}


def test_the_view_puts_the_most_expensive_text_first():
    """Shares by hand: of -log p_t, times (1 - p_t)**2, times the weights."""
    view = TextRanking(**RANKED, gamma=0.0)
    assert "“hard and common” (none, p_t = 0.40): 66.5\u00a0% of the loss of these 3 notes, 66.5\u00a0% under" in str(
        view
    )
    view.gamma = 2.0
    assert "“hard and common” (none, p_t = 0.40): 90.9\u00a0% of the loss" in str(view)
    view.weighting = "balanced"
    assert "“easy and rare” (stop, p_t = 0.70): 60.8\u00a0% of the loss" in str(view)
    labels = [label.get_text().split("\n")[0] for label in view.picture().axes[0].get_yticklabels()]
    assert labels == ["easy and rare", "hard and common", "easy and common"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_t": [0.9, 0.4]}, "must have one length, got 3, 3, 2 and 3"),
        ({"p_t": [0.9, 0.4, 1.0]}, "strictly between 0 and 1, got 0.4 to 1.0"),
    ],
)
def test_the_view_refuses_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        TextRanking(**(RANKED | change))


def test_the_library_does_not_import_transformers():
    code = "import sys, focal_lib.lab.text, focal_lib.lab.detection; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def notebook_names(names):
    """Run those cells of the chapter that define the given names."""
    notebook = nbformat.read(ROOT / "notebooks" / "08_text.ipynb", as_version=4)
    scope = {"train": load_notes().split(seed=0)[0]}
    for cell in notebook.cells:
        if any(f"def {name}(" in cell.source for name in names):
            exec(cell.source, scope)
    return scope


@pytest.fixture(scope="module")
def chapter():
    return notebook_names(["small_bert", "pretrained_bert"])


def test_the_chapter_trains_the_model_of_the_stored_runs(chapter):
    texts = load_notes().texts[:500]
    tokenizer, encoder, _ = chapter["small_bert"](texts, seed=1)
    other_tokenizer, other = protocol.small_bert(texts, seed=1)
    assert tokenizer.get_vocab() == other_tokenizer.get_vocab()
    ids, mask = encode(texts[:4], tokenizer)
    pair = [e(ids, attention_mask=mask).last_hidden_state for e in (encoder.eval(), other.encoder.eval())]
    assert torch.equal(*pair)


def test_without_network_the_switch_says_one_sentence(chapter, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert chapter["pretrained_bert"]() is None
    assert capsys.readouterr().out == (
        "google/bert_uncased_L-2_H-128_A-2 cannot be fetched, so we go on with the small BERT.\n"
    )


@pytest.mark.parametrize("pretrained", [False, True])
def test_weights_are_compared_on_two_small_networks_whatever_was_trained_before(chapter, notes, pretrained, capsys):
    notebook = nbformat.read(ROOT / "notebooks" / "08_text.ipynb", as_version=4)
    (cell,) = [cell.source for cell in notebook.cells if "def train_small(" in cell.source]
    trained, few = [], SimpleNamespace(texts=notes.texts[:300], labels=notes.labels[:300])
    scope = {
        **{name: globals()[name] for name in ("torch", "F", "NoteClassifier", "encode", "scores", "predict")},
        **{"small_bert": chapter["small_bert"], "train": few, "test": few, "alpha": torch.ones(4)},
        **{"best_device": lambda: "cpu", "clear_output": lambda: None, "pretrained": pretrained},
        **{"seen": "before", "held_out": "before", "pair": lambda name, metric, *both: both[0]},
        "fine_tune": lambda model, criterion, *rest: trained.append(sum(p.numel() for p in model.parameters())),
    }
    exec(cell, scope)
    assert len(trained) == 1 + pretrained and len(set(trained)) == 1  # weighted, and a plain one of its kind
    assert ("before" in capsys.readouterr().out) == (not pretrained)


def test_the_stored_runs_are_complete():
    runs = pd.read_csv(ROOT / "focal_lib" / "results" / "text.csv.gz")
    assert list(runs.columns) == protocol.COLUMNS
    assert runs.groupby(["loss", "metric"]).seed.nunique().eq(protocol.PARTS["losses"]).all()
    assert not runs.duplicated(["loss", "seed", "metric"]).any()
    assert runs.value.between(0, 1).all()


def test_each_network_has_one_rate_that_was_chosen_on_a_corpus_that_is_not_scored():
    runs = pd.read_csv(ROOT / "focal_lib" / "results" / "text.csv.gz")
    networks = runs[~runs.loss.str.startswith("bag of words")]
    assert networks.groupby("loss").rate.nunique().eq(1).all()
    assert set(networks.rate) <= set(protocol.RATES)
    assert not set(runs.seed) & set(protocol.TUNING_SEEDS)


def test_each_seed_has_notes_of_its_own(notes):
    first, second = (protocol.fresh_notes(seed) for seed in (0, 1))
    for train, test in (first, second):
        assert (len(train.texts), len(test.texts)) == (6000, 2000) and not set(train.texts) & set(test.texts)
    own, other, chapters = (set(texts) for texts in (first[0].texts, second[0].texts, notes.texts))
    assert len(own & other) < 0.2 * len(own) and len(own & chapters) < 0.2 * len(own)


@pytest.fixture(scope="module")
def runs():
    """The stored scores, indexed by (loss, metric), one column a seed."""
    stored = pd.read_csv(ROOT / "focal_lib" / "results" / "text.csv.gz")
    return stored.pivot(index=["loss", "metric"], columns="seed", values="value")


def sign(runs, first, second, metric):
    """1 or -1 if the interval of the paired difference excludes zero, else 0."""
    return interval(runs.loc[first, metric] - runs.loc[second, metric]).sign


def test_neither_weights_nor_gamma_helped(runs):
    means = runs.mean(axis=1).unstack()
    networks = means.drop(index=["bag of words", "bag of words, balanced"])
    assert networks.macro_f1.idxmax() == "nll"
    weighted = networks.loc[["weighted nll", "sampler", "focal with alpha"], "macro_f1"]
    assert [round(x, 2) for x in (weighted.min(), weighted.max())] == [0.56, 0.59]  # as the figure's words say
    unweighted = networks.macro_f1[["nll", "source's FocalLoss", "focal", "weights inside"]]
    assert unweighted.round(2).tolist() == [0.68, 0.66, 0.65, 0.39] and runs.shape[1] == 8
    shown = networks.balanced_accuracy.drop(index=["nll, prior divided out", "softmax into CE"])
    assert len(shown) == 7 and shown.between(0.57, 0.65).all()
    for metric, signs in {"macro_f1": (-1, -1, -1), "balanced_accuracy": (0, -1, -1)}.items():
        pairs = [("weighted nll", "nll"), ("focal", "nll"), ("focal with alpha", "weighted nll")]
        assert tuple(sign(runs, *pair, metric) for pair in pairs) == signs
    assert sign(runs, "bag of words, balanced", "bag of words", "balanced_accuracy") == 1
    assert sign(runs, "bag of words, balanced", "bag of words", "accuracy") == -1


def test_the_three_answers(runs):
    assert sign(runs, "focal with alpha", "focal", "macro_f1") == -1
    assert sign(runs, "focal with alpha", "focal", "balanced_accuracy") == 0
    for metric in ("macro_f1", "balanced_accuracy", "f1_stop"):
        assert sign(runs, "weights inside", "focal with alpha", metric) == -1
        assert sign(runs, "source's FocalLoss", "nll", metric) == 0
        assert runs.loc["source's FocalLoss", metric].mean() < runs.loc["nll", metric].mean()
        assert sign(runs, "focal", "nll", metric) < 1
        assert sign(runs, "source's FocalLoss", "focal", metric) == 0


def test_the_other_rivals(runs):
    for rival in ("nll", "weighted nll"):
        assert sign(runs, "nll, prior divided out", rival, "balanced_accuracy") == 1
    networks = runs.mean(axis=1).unstack().drop(index=["bag of words", "bag of words, balanced"])
    assert networks.balanced_accuracy.idxmax() == "nll, prior divided out"
    assert sign(runs, "nll, prior divided out", "nll", "macro_f1") == -1
    assert sign(runs, "sampler", "weighted nll", "balanced_accuracy") == -1
    for label in LABELS[1:]:  # a network that only ever says "none"
        assert (runs.loc["softmax into CE", f"f1_{label}"] == 0).all()


def test_the_ceiling_and_the_baseline(notes, runs):
    kinds = pd.crosstab(pd.Series(notes.kinds), notes.labels.numpy(), normalize=True)
    ceiling = kinds.max(axis=1).sum(), (kinds / kinds.sum()).max(axis=1).sum() / 4
    assert ceiling == pytest.approx((0.88, 0.79), abs=0.005)
    assert runs.loc["bag of words", "accuracy"].mean() == pytest.approx(0.83, abs=0.005)
    assert runs.loc["bag of words, balanced", "balanced_accuracy"].mean() == pytest.approx(0.70, abs=0.005)
    assert round(ceiling[0] - runs.loc["bag of words", "accuracy"].mean(), 2) == 0.05
    assert round(ceiling[1] - runs.loc["bag of words, balanced", "balanced_accuracy"].mean(), 2) == 0.09


def test_where_a_vocabulary_in_pieces_saves_memory():
    sizes = pd.read_csv(ROOT / "focal_lib" / "results" / "vocabulary.csv").set_index(["vocabulary", "tokens"])
    whole, pieces = sizes["all at once, MiB"], sizes["in pieces, MiB"]
    assert pieces[32000, 1024] < 1.1 * pieces[32000, 128] and pieces[1000, 1024] > 2 * pieces[1000, 128]
    head = 32000 * 256 * 4 / 2**20  # the gradient of the head's own weights
    assert head > 0.9 * pieces[32000, 1024]
    for words in (1000, 32000):  # width 256: "many more tokens than the model has width"
        assert whole[words, 1024] / pieces[words, 1024] > whole[words, 128] / pieces[words, 128]


def test_what_the_chapter_says_of_its_own_trainings_holds_for_every_stored_one(notes):
    """The chapter trains these two where it is read, on a processor or a GPU that we do not know."""
    stored = pd.read_csv(ROOT / "focal_lib" / "results" / "text_seen.csv")
    of = stored.pivot(index="seed", columns=["loss", "notes", "metric"], values="value")
    assert len(of) >= 5 and of.notna().all(axis=None)
    ceiling = pd.crosstab(pd.Series(notes.kinds), notes.labels.numpy(), normalize=True).max(axis=1).sum()
    assert (of["nll", "training", "accuracy"] > ceiling).all()  # "more accurate than anybody can be on new ones"
    assert of["nll", "training", "accuracy"].max() < 0.95  # "has begun to" learn them by heart
    weighted = of["weighted nll", "training", "balanced_accuracy"]
    assert weighted.between(0.8, 0.95).all()  # "partly: better there than the 0.79 that is the most for new notes"
    gain = weighted - of["nll", "training", "balanced_accuracy"]
    assert (gain > 0).all()  # "did raise balanced accuracy, on the notes that the network had seen"
