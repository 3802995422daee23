"""The code to paste on the decisions page, taken from the page: right by itself, and inside the frameworks it is for.

Trainer, Lightning and Keras run here as stand-ins that make the documented calls; where the real libraries are
installed (transformers with accelerate, lightning, keras), the same tests run with them too.
"""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional as F

import focal_lib
from focal_lib.diagnosis import diagnose
from focal_lib.lab.data import inverse_frequency

PAGE = (Path(__file__).parents[1] / "book" / "decisions.md").read_text("utf-8")
NAMES = ["focal_loss", "sigmoid_focal_loss", "start_at_frequencies", "without_prior", "trainer", "lightning", "keras"]
BLOCKS = dict(zip(NAMES, re.findall(r"```python\n(.*?)```", PAGE, re.S), strict=True))
GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(7, 3, generator=GENERATOR), torch.tensor([0, 1, 1, 0, 0, 0, 1])
ALPHA = torch.tensor([1.0, 4.0])


def pasted(name, **given):
    """What a reader has after pasting one block into an empty file, where ``given`` is all there is."""
    namespace = {"__name__": "pasted", **given}
    exec(BLOCKS[name], namespace)
    return SimpleNamespace(**namespace)


focal_loss, sigmoid_focal_loss = pasted("focal_loss").focal_loss, pasted("sigmoid_focal_loss").sigmoid_focal_loss
PASTED_BEFORE = {"torch": torch, "F": F, "focal_loss": focal_loss}


def modes(*packages):
    """The stand-in always; the real library where it is."""
    return ["stand-in", *["real"] * all(importlib.util.find_spec(package) for package in packages)]


def value_and_gradient(loss, logits, *arguments, **options):
    logits = logits.clone().requires_grad_()
    value = loss(logits, *arguments, **options)
    return value.detach(), *torch.autograd.grad(value, logits)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
@pytest.mark.parametrize("alpha", [None, torch.tensor([0.5, 1.0, 3.0])])
def test_the_multiclass_block_is_the_librarys_loss(gamma, alpha):
    for scale in (1, 30, 1000):  # at 30 some p_t round to 1, at 1000 nearly all are 0 or 1
        logits = scale * torch.randn(40, 3, generator=GENERATOR)
        labels = torch.randint(3, (40,), generator=GENERATOR).index_fill(0, torch.tensor([3, 5]), -100)
        ours, theirs = (value_and_gradient(f, logits, labels, alpha, gamma) for f in (focal_lib.focal_loss, focal_loss))
        assert all(tensor.isfinite().all() for tensor in theirs)
        torch.testing.assert_close(theirs, ours)


def test_the_multiclass_block_passes_every_check_of_chapter_07():
    found = diagnose(lambda input, target, alpha, gamma: focal_loss(input, target, alpha, gamma))
    assert found.ok, found
    # The same, where a reader is told to move the classes of an image last.
    images = diagnose(
        lambda input, target, alpha=None, gamma=2.0, ignore_index=-100: focal_loss(
            input.movedim(1, -1).flatten(0, -2), target.where(target != ignore_index, -100).flatten(), alpha, gamma
        )
    )
    assert images.ok and not {"image_equals_its_rows", "ignored_rows_are_dropped"} & set(images.untested), images


def test_weights_for_other_classes_and_no_labels_at_all():
    for weights, shape in ((torch.ones(3), "[3]"), (torch.tensor(0.25), "[]"), (torch.ones(2, 1), "[2, 1]")):
        with pytest.raises(ValueError, match=re.escape(f"alpha torch.Size({shape}) for torch.Size([2, 2])")):
            focal_loss(torch.zeros(2, 2), torch.tensor([0, 1]), weights)
    assert focal_loss(torch.zeros(2, 2), torch.tensor([-100, -100])) == 0


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_the_sigmoid_block_is_the_librarys_loss(gamma, alpha):
    logits = torch.cat([torch.randn(40, generator=GENERATOR) * 8, torch.tensor([-200.0, 200.0, -60.0, 60.0])])
    labels = torch.randint(2, (44,), generator=GENERATOR)
    ours, theirs = (
        value_and_gradient(f, logits, labels, alpha, gamma) for f in (focal_lib.sigmoid_focal_loss, sigmoid_focal_loss)
    )
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-7)


def test_a_new_network_starts_at_the_frequencies():
    counts, labels = [6, 3, 1], torch.tensor([0] * 6 + [1] * 3 + [2])
    layer = nn.Linear(5, 3)
    pasted("start_at_frequencies").start_at_frequencies(layer, counts)
    logits = layer(torch.randn(10, 5, generator=GENERATOR))
    torch.testing.assert_close(logits.softmax(1), torch.tensor([0.6, 0.3, 0.1]).expand(10, 3))
    F.cross_entropy(logits, labels).backward()
    assert layer.bias.grad.abs().max() < 1e-6  # the counts are learned: nothing pushes the bias any more
    assert torch.logit(torch.tensor(0.01)).item() == pytest.approx(-np.log(0.99 / 0.01))  # the yes/no form


def test_without_the_prior_no_answer_finds_more_of_each_class():
    """Five kinds of example, the true posterior known: of all 3^5 ways to answer, this one has the best mean recall."""
    joint = torch.distributions.Dirichlet(torch.ones(15)).sample().view(5, 3) * torch.tensor([8.0, 1.0, 1.0])
    joint = joint / joint.sum()
    share = joint / joint.sum(0)  # of each class, the part that belongs to this kind
    ways = torch.cartesian_prod(*[torch.arange(3)] * 5)
    recalls = share[torch.arange(5), ways].sum(1) / 3
    logits = (joint / joint.sum(1, keepdim=True)).log()
    answers = pasted("without_prior", torch=torch).without_prior(logits, joint.sum(0))
    assert share[torch.arange(5), answers].sum() / 3 == pytest.approx(recalls.max().item())
    nobody = pasted("without_prior", torch=torch).without_prior(logits, [5.0, 0.0, 5.0])
    assert nobody.tolist() == [1] * 5  # "a class with count 0 becomes the answer to everything"


def test_weights_over_their_mean_keep_the_learning_rate():
    alpha = inverse_frequency(Y)
    assert (alpha / alpha[Y].mean())[Y].mean() == pytest.approx(1)


class Batches(torch.utils.data.Dataset):
    """The data as rows that Trainer's and Lightning's loaders can collate."""

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return {"x": X[i], "labels": Y[i]}


class Headed(nn.Module):
    """A model as Trainer wants it: keyword inputs in, something with ``.logits`` out."""

    def __init__(self, output):
        super().__init__()
        torch.manual_seed(0)
        self.head, self.output = nn.Linear(3, 2), output

    def forward(self, x, labels=None, **_):
        return self.output(logits=self.head(x))


class StandInTrainer:
    """One optimiser step over two accumulated batches, with the calls of transformers 5.15's Trainer."""

    def __init__(self, model, args, train_dataset, eval_dataset, compute_loss_func):
        self.model, self.data, self.loss = model, train_dataset, compute_loss_func

    def train(self):
        batches = [{"x": X[:4], "labels": Y[:4]}, {"x": X[4:], "labels": Y[4:]}]
        items = sum((batch["labels"] != -100).sum() for batch in batches)
        for batch in batches:
            labels = batch.pop("labels")
            self.loss(self.model(**batch), labels, num_items_in_batch=items).backward()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter -= parameter.grad

    def evaluate(self):
        return {"eval_loss": self.loss(self.model(X), Y, num_items_in_batch=None).item()}


def after_one_step(layer, loss, optimizer=torch.optim.SGD, rate=1.0):
    """The layer's weights after one step on all data at once, with the library's loss."""
    loss(layer(X), Y).backward()
    optimizer(layer.parameters(), lr=rate).step()
    return layer.weight.detach().clone()


def make_trainer(mode, folder):
    if mode == "stand-in":
        Trainer, arguments, output = StandInTrainer, None, SimpleNamespace
    else:
        from transformers import Trainer, TrainingArguments
        from transformers.modeling_outputs import SequenceClassifierOutput as output

        plain = {"optim": "sgd", "learning_rate": 1.0, "lr_scheduler_type": "constant", "max_grad_norm": 0}
        quiet = {"use_cpu": True, "report_to": [], "disable_tqdm": True, "save_strategy": "no"}
        size = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_train_epochs": 1}
        arguments = TrainingArguments(output_dir=str(folder), remove_unused_columns=False, **plain, **quiet, **size)
    given = {"Trainer": Trainer, "model": Headed(output), "arguments": arguments, "train": Batches()}
    return pasted("trainer", **PASTED_BEFORE, valid=Batches(), **given).trainer, given["model"]


@pytest.mark.parametrize("mode", modes("transformers", "accelerate"))
def test_the_trainer_block(mode, tmp_path):
    trainer, model = make_trainer(mode, tmp_path)
    expected = after_one_step(Headed(SimpleNamespace).head, lambda x, y: focal_lib.focal_loss(x, y, gamma=1.0))
    trainer.train()
    # Two unequal batches (4 and 3): only the divisor makes them one batch of 7.
    torch.testing.assert_close(model.head.weight.detach(), expected)
    scored = focal_lib.focal_loss(model.head(X), Y, gamma=1.0).item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(scored, rel=1e-4)


def test_the_installed_trainer_has_the_argument():
    assert "compute_loss_func" in inspect.signature(transformers.Trainer.__init__).parameters
    step = inspect.getsource(transformers.Trainer.compute_loss)
    assert re.search(r"self\.compute_loss_func\(\s*outputs,\s*labels,\s*num_items_in_batch=num_items_in_batch", step)
    best = inspect.getsource(transformers.TrainingArguments.__post_init__)
    assert 'self.metric_for_best_model = "loss"' in best


class StandInLightning:
    class LightningModule(nn.Module):
        def log(self, name, value):
            self.logged = {name: value}


@pytest.mark.parametrize("mode", modes("lightning"))
def test_the_lightning_block(mode):
    lightning = importlib.import_module("lightning") if mode == "real" else StandInLightning
    block = pasted("lightning", lightning=lightning, **PASTED_BEFORE)
    network, rate = Headed(SimpleNamespace).head, 0.1
    module = block.Classifier(network, ALPHA, learning_rate=rate)
    assert torch.equal(module.state_dict()["alpha"], ALPHA)
    expected = after_one_step(
        Headed(SimpleNamespace).head, lambda x, y: focal_lib.focal_loss(x, y, ALPHA, gamma=1.0), torch.optim.Adam, rate
    )
    if mode == "real":
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "barebones": False}
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=7)
        fitted = lightning.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **quiet)
        fitted.fit(module, loader, loader)
        logged = fitted.callback_metrics
    else:
        module.training_step((X, Y), 0).backward()
        module.configure_optimizers().step()
        module.validation_step((X, Y), 0)
        logged = module.logged
    torch.testing.assert_close(network.weight.detach(), expected)
    assert logged["val_ce"].item() == pytest.approx(F.cross_entropy(network(X), Y).item(), rel=1e-5)


class StandInKeras:
    """Keras 3 as far as a loss sees it: labels arrive in float32; the reduction divides by N."""

    class losses:
        class Loss:
            def __init__(self, name=None):
                self.name = name

            def __call__(self, y_true, y_pred, sample_weight=None):
                values = self.call(torch.as_tensor(y_true).float(), y_pred)
                return (values if sample_weight is None else values * torch.as_tensor(sample_weight)).mean()

    class ops:
        cast = staticmethod(lambda x, dtype: x.to({"int32": torch.int32}[dtype]))
        reshape = staticmethod(torch.reshape)
        log_softmax = staticmethod(lambda x, axis: x.log_softmax(axis))
        take_along_axis = staticmethod(lambda x, indices, axis: x.gather(axis, indices.long()))
        expm1 = staticmethod(torch.expm1)
        maximum = staticmethod(lambda x, floor: x.clamp_min(floor))


@pytest.fixture(params=modes("keras"))
def keras(request, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    return importlib.import_module("keras") if request.param == "real" else StandInKeras


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_keras_block(keras, gamma):
    loss = pasted("keras", keras=keras).FocalLoss(gamma=gamma)
    labels, extreme = torch.tensor([0, 1, 1, 0]), torch.tensor([[2.0, -1.0], [1.0, 1.5], [60.0, -60.0], [60.0, -60.0]])
    for shape in ((-1,), (-1, 1)):  # both forms of labels that Keras hands over
        found = value_and_gradient(lambda x, shape=shape: loss(labels.reshape(shape), x), extreme)
        torch.testing.assert_close(found, value_and_gradient(focal_lib.focal_loss, extreme, labels, gamma=gamma))
    weighted = loss(labels, extreme, sample_weight=ALPHA[labels])
    torch.testing.assert_close(weighted, focal_lib.focal_loss(extreme, labels, ALPHA, gamma))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's, with numpy 2
def test_the_keras_block_in_a_fit(keras):
    """One step with class weights: outside the loss, and divided by N."""
    layer, criterion = nn.Linear(3, 2, bias=False), pasted("keras", keras=keras).FocalLoss()
    start = layer.weight.detach().clone()
    if keras is StandInKeras:
        trained = after_one_step(layer, lambda x, y: criterion(y, x, sample_weight=ALPHA[y]))
    else:
        model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, use_bias=False)])
        model.set_weights([start.T.numpy()])
        model.compile(keras.optimizers.SGD(1.0), criterion)
        model.fit(X.numpy(), Y.numpy(), batch_size=7, class_weight={0: 1.0, 1: 4.0}, verbose=0)
        trained = torch.as_tensor(model.get_weights()[0]).T
    layer.weight.data, layer.weight.grad = start, None
    torch.testing.assert_close(trained, after_one_step(layer, lambda x, y: focal_lib.focal_loss(x, y, ALPHA, 1.0)))


def test_what_the_page_says_of_the_loss_that_keras_has(keras):
    if keras is StandInKeras:  # its verdict was stored when it was installed
        rows = (Path(focal_lib.__file__).parent / "results" / "published.csv").read_text("utf-8").splitlines()
        (row,) = [row for row in rows if row.startswith("keras,")]
        assert "gradient_is_full_when_wrong_by_100: logits [[100, 0]], target [1]: the gradient: got [[0, 0]]" in row
        return
    defaults = inspect.signature(keras.losses.CategoricalFocalCrossentropy).parameters
    assert (defaults["alpha"].default, defaults["from_logits"].default) == (0.25, False)
    theirs = keras.losses.CategoricalFocalCrossentropy(from_logits=True)
    wrong = value_and_gradient(lambda x: theirs(torch.tensor([[0.0, 1.0]]), x), torch.tensor([[100.0, 0.0]]))
    assert wrong[1].abs().max() == 0


def test_every_block_fits_the_column_and_the_ten_lines_are_ten():
    assert max(len(line) for block in BLOCKS.values() for line in block.splitlines()) <= 79
    body = BLOCKS["focal_loss"].partition('left out."""\n')[2]
    assert len(body.splitlines()) == 10
