"""Train the example's network for many seeds at once."""

import math
from dataclasses import dataclass
from functools import partial

import torch
from joblib import Parallel, delayed
from torch.func import stack_module_state, vmap
from torch.utils.data import WeightedRandomSampler
from tqdm import tqdm

from .._checks import check_choice, check_gamma
from ..bugs import CATALOGUE
from ..losses import focal_loss
from .data import Example, inverse_frequency, load_example
from .training import OPTIMIZERS, check_device, check_epochs, make_model

__all__ = ["Sweep", "sweep"]

SEEDS_PER_BLOCK = 16  # the hidden layer of 16 seeds, 16 x 800 x 64 float32, is 3.3 MB and stays in the cache;
BLOCK = SEEDS_PER_BLOCK * 800 * 64  # of smaller data and networks, as many seeds as have a layer of that size


@dataclass
class Sweep:
    """The runs of many seeds.

    ``losses`` has shape (seeds, epochs): the training loss before each update. ``parameters[epoch]`` maps the name of
    a parameter to its values after that many updates, the seed as first dimension. ``examples``: each seed's data.
    """

    seeds: list
    losses: torch.Tensor
    parameters: dict
    examples: list

    def logits(self, x=None, epoch=None):
        """Logits of every seed, shape (seeds, N, C).

        Args:
            x: features (N, features); None takes each seed's own test set.
            epoch: one of the checkpoints; None takes the last.
        """
        if x is None:
            x = torch.stack([example.x_test for example in self.examples])
        parameters = self.parameters[max(self.parameters) if epoch is None else epoch]
        return _forward(parameters, x.expand(len(self.seeds), *x.shape[-2:]))


def sweep(
    loss="focal",
    seeds=range(200),
    *,
    data="fixed",
    gamma=2.0,
    alpha="none",
    optimizer="adam",
    learning_rate=None,
    hidden=64,
    per_example=False,
    epochs=100,
    checkpoints=(),
    device="cpu",
    progress=True,
):
    """Train one network per seed, many at once; each seed gets the run that
    :func:`~focal_lib.lab.training.train` would give it.

    A loop over seeds spends most of its time starting small operations. Here the parameters of a block of seeds are
    stacked, so that each operation starts once for the whole block. A block is small enough for the processor's
    cache; on an accelerator all seeds form one block. Blocks are joblib tasks: one after the other by default, on as
    many processes or machines as ``joblib.parallel_config`` says.

    Args:
        loss: "cross_entropy", "focal", the id of a bug, "sampler" (cross-entropy on examples that a
            ``WeightedRandomSampler`` draws anew for every update), or a criterion ``(input, target) -> scalar``.
        seeds: decide the initial weights; with resampled data also the data, with the sampler also its draws.
        data: "fixed" (one data set), "resampled" (one for each seed), an Example, or a list with one for each seed.
        gamma: for the focal loss and its bugs.
        alpha: "none", or "inverse_frequency" of each run's own training labels.
        optimizer: "adam" or "sgd", as in :func:`~focal_lib.lab.training.train`.
        learning_rate: None takes 0.001 for Adam and 0.1 for SGD.
        hidden: units of the hidden layer. Features and classes are the data's, the same for all seeds.
        per_example: a criterion of one's own gives the loss of each example, to be averaged; this is faster.
        epochs: number of full-batch updates.
        checkpoints: epochs whose parameters are kept, besides the last.
        device: "cpu", "cuda", "mps"; None takes :func:`~focal_lib.lab.training.best_device`.
        progress: show a progress bar.

    Returns:
        :class:`Sweep`, on the CPU.

    Raises:
        ValueError: an unknown name or device, a negative gamma, a learning rate that is not positive, fewer than one
            epoch, a checkpoint outside the run, no seeds, a training or test set that lacks a class or has a feature
            that is not finite.
        FloatingPointError: a loss is no longer finite; the message names the seed and the epoch.

    Explained in chapter 05.
    """
    seeds = list(seeds)
    device = check_device(device)
    check_gamma(gamma)
    check_epochs(epochs)
    check_choice(optimizer, OPTIMIZERS, "optimizer")
    check_choice(alpha, ("none", "inverse_frequency"), "alpha")
    if learning_rate is not None and not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be a finite number above 0, got {learning_rate}.")
    if not callable(loss):
        check_choice(loss, ("cross_entropy", "focal", "sampler", *CATALOGUE), "loss")
    if not seeds:
        raise ValueError("seeds must hold at least one seed, got none.")
    if any(not 1 <= epoch <= epochs for epoch in checkpoints):
        raise ValueError(f"checkpoints must lie in 1 to {epochs}, the number of epochs; got {list(checkpoints)}.")
    examples = _examples(data, seeds)
    size = max(1, BLOCK // (len(examples[0].x_train) * hidden)) if device == "cpu" else len(seeds)
    network = partial(make_model, features=examples[0].x_train.shape[1], hidden=hidden, classes=_classes(examples))
    updater = partial(OPTIMIZERS[optimizer], **({} if learning_rate is None else {"lr": learning_rate}))
    kind = (loss, gamma, alpha, per_example)
    block = delayed(partial(_train_block, kind, network, updater, epochs, {*checkpoints, epochs}, device))
    blocks = Parallel(return_as="generator")(
        block(seeds[start : start + size], examples[start : start + size]) for start in range(0, len(seeds), size)
    )
    losses, parameters = [], []
    with tqdm(total=len(seeds), unit="seed", disable=not progress) as bar:
        for block_losses, block_parameters in blocks:
            losses.append(block_losses)
            parameters.append(block_parameters)
            bar.update(len(block_losses))
    joined = {
        epoch: {name: torch.cat([part[epoch][name] for part in parameters]) for name in parameters[0][epoch]}
        for epoch in parameters[0]
    }
    return Sweep(seeds, torch.cat(losses), joined, examples)


def _examples(data, seeds):
    """One Example for each seed; seeds that share their data share the object."""
    if isinstance(data, str):
        check_choice(data, ("fixed", "resampled"), "data")
        data = load_example() if data == "fixed" else [load_example(seed) for seed in seeds]
    examples = [data] * len(seeds) if isinstance(data, Example) else list(data)
    if len(examples) != len(seeds):
        raise ValueError(f"data must hold one Example for each of the {len(seeds)} seeds, got {len(examples)}.")
    classes = _classes(examples)
    for example in examples[:1] if isinstance(data, Example) else examples:
        parts = {"training": (example.x_train, example.y_train), "test": (example.x_test, example.y_test)}
        for part, (x, y) in parts.items():
            if y.unique().tolist() != list(range(classes)):
                wanted = "both classes 0 and 1" if classes == 2 else f"all classes 0 to {classes - 1}"
                raise ValueError(f"the {part} set must hold {wanted}, got {y.unique().tolist()}.")
            if not x.isfinite().all():
                row, column = (~x.isfinite()).nonzero()[0].tolist()
                raise ValueError(
                    f"the {part} set must hold finite features, "
                    f"got {x[row, column]} in example {row}, feature {column}."
                )
    return examples


def _classes(examples):
    return 1 + max(1, *(int(y.max()) for example in examples for y in (example.y_train, example.y_test) if len(y)))


def _train_block(kind, network, optimizer, epochs, checkpoints, device, seeds, examples):
    """Train one block; returns its losses (seeds, epochs) and its parameters at the checkpoints."""
    loss, gamma, alpha, per_example = kind
    stacked, _ = stack_module_state([network(seed) for seed in seeds])
    parameters = {name: p.detach().to(device) for name, p in stacked.items()}
    updater = optimizer(parameters.values(), fused=True)  # one pass over the parameters of all seeds
    classes = len(parameters["2.bias"][0])
    samplers = [_sampler(example, seed, classes) for example, seed in zip(examples, seeds, strict=True)]
    if all(example is examples[0] for example in examples):
        examples = examples[:1]
    x = torch.stack([example.x_train for example in examples]).to(device).expand(len(seeds), -1, -1)
    y = torch.stack([example.y_train for example in examples]).to(device).repeat(len(seeds) // len(examples), 1)
    weights = None
    if alpha == "inverse_frequency":
        weights = torch.stack([inverse_frequency(example.y_train, classes) for example in examples]).to(device)
        weights = weights.expand(len(seeds), -1)
    criterion = _batched_criterion(loss, gamma, weights, len(seeds), per_example)
    step = _Backward(parameters, x)
    losses, kept = [], {}
    for epoch in range(1, epochs + 1):
        x_now, y_now = _draw(x, y, samplers) if loss == "sampler" else (x, y)
        losses.append(step(criterion, x_now, y_now))
        updater.step()
        if epoch in checkpoints:
            kept[epoch] = {name: p.cpu().clone() for name, p in parameters.items()}
    losses = torch.stack(losses, dim=1).cpu()
    bad = (~losses.isfinite()).nonzero().tolist()
    if bad:
        run, epoch = min(bad, key=lambda place: place[1])
        raise FloatingPointError(f"the loss of seed {seeds[run]} became {losses[run, epoch]} at epoch {epoch}.")
    return losses, kept


def _criterion(loss, gamma, alpha):
    if callable(loss):
        return loss
    if loss in CATALOGUE:
        return CATALOGUE[loss].build(alpha, gamma)
    return partial(focal_loss, gamma=gamma if loss == "focal" else 0.0)


def _batched_criterion(loss, gamma, weights, runs, per_example):
    """(input, target) of all runs to the loss of each, shape (runs,), with each run's own class weights."""
    if loss in CATALOGUE and not CATALOGUE[loss].batched:
        criteria = [_criterion(loss, gamma, alpha) for alpha in ([None] * runs if weights is None else weights)]
        return lambda input, target: torch.stack(
            [one(z, y.clone()) for one, z, y in zip(criteria, input, target, strict=True)]  # one writes to its labels
        )
    if per_example or loss in ("cross_entropy", "focal", "sampler"):  # one call for all examples of all runs
        examples = loss if per_example else partial(_criterion(loss, gamma, None), reduction="none")

        def each_run(input, target):
            losses = examples(input.flatten(0, 1), target.flatten()).view(target.shape)
            return (losses if weights is None else losses * weights.gather(1, target)).mean(dim=1)

        return each_run
    if weights is None:
        return vmap(_criterion(loss, gamma, None))
    batched = vmap(lambda input, target, alpha: _criterion(loss, gamma, alpha)(input, target))
    return lambda input, target: batched(input, target, weights)


def _forward(parameters, x):
    """The network of :func:`make_model` on stacked parameters: x (seeds, N, features) to logits (seeds, N, C)."""
    hidden = torch.baddbmm(parameters["0.bias"][:, None], x, parameters["0.weight"].mT).relu()
    return torch.baddbmm(parameters["2.bias"][:, None], hidden, parameters["2.weight"].mT)


class _Backward:
    """Gradients of the network of :func:`make_model` on stacked parameters, into the same memory at every step.

    Autograd would ask the system for the hidden layer's memory anew at every step, which takes longer than the sums.
    """

    def __init__(self, parameters, x):
        self.parameters = parameters
        shape = (*x.shape[:2], parameters["0.bias"].shape[1])
        self.hidden, self.slope = (torch.empty(shape, device=x.device) for _ in range(2))

    def __call__(self, criterion, x, y):
        """The loss of each seed, shape (seeds,); each parameter's ``grad`` is that of its own seed's loss."""
        w1, b1, w2, b2 = (self.parameters[name] for name in ("0.weight", "0.bias", "2.weight", "2.bias"))
        hidden = torch.baddbmm(b1[:, None], x, w1.mT, out=self.hidden).relu_()
        logits = torch.baddbmm(b2[:, None], hidden, w2.mT).requires_grad_()
        values = criterion(logits, y)
        (at_logits,) = torch.autograd.grad(values.sum(), logits)  # the seeds share nothing
        w2.grad, b2.grad = at_logits.mT @ hidden, at_logits.sum(1)
        at_hidden = torch.bmm(at_logits, w2, out=self.slope).mul_(hidden.sign_())  # 1 where ReLU let it pass, else 0
        w1.grad, b1.grad = at_hidden.mT @ x, at_hidden.sum(1)
        return values.detach()


def _sampler(example, seed, classes):
    """Draws as many examples as there are, with replacement, all classes equally often on average."""
    weights = inverse_frequency(example.y_train, classes)[example.y_train]
    return WeightedRandomSampler(weights, len(weights), generator=torch.Generator().manual_seed(seed))


def _draw(x, y, samplers):
    rows = torch.stack([torch.tensor(list(sampler)) for sampler in samplers]).to(y.device)
    return x.gather(1, rows[..., None].expand_as(x)), y.gather(1, rows)
