"""Many seeds at once give each seed the run of the plain loop, on any joblib backend, for any loss of ours."""

from functools import partial

import joblib
import pytest
import torch
from torch.utils.data import WeightedRandomSampler

from focal_lib import focal_loss
from focal_lib.bugs import CATALOGUE
from focal_lib.lab.data import Example, inverse_frequency, load_example
from focal_lib.lab.sweep import SEEDS_PER_BLOCK, sweep
from focal_lib.lab.training import OPTIMIZERS, make_model, train

# On one machine the two agree to the last bit; another processor may pick other kernels for the stacked products.
CLOSE = {"rtol": 0, "atol": 1e-6}
CRASHES = {"reduction_in_the_wrong_call"}  # faults that stop the first call, in a sweep as anywhere

quiet_sweep = partial(sweep, progress=False)


@pytest.fixture(scope="module")
def example():
    return load_example()


def plain_losses(criterion, example, seeds, epochs, **options):
    return torch.tensor([train(criterion, example, s, epochs, "cpu", **options).losses for s in seeds])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("alpha", ["none", "inverse_frequency"])
def test_same_runs_as_the_plain_loop(example, optimizer, alpha):
    seeds = range(3, 3 + SEEDS_PER_BLOCK + 2)  # two blocks, the second one short
    done = quiet_sweep("focal", seeds, gamma=0.5, alpha=alpha, optimizer=optimizer, epochs=30)
    weights = inverse_frequency(example.y_train) if alpha == "inverse_frequency" else None
    plain = plain_losses(partial(focal_loss, alpha=weights, gamma=0.5), example, seeds, 30, optimizer=optimizer)
    torch.testing.assert_close(done.losses, plain, **CLOSE)
    last = train(partial(focal_loss, alpha=weights, gamma=0.5), example, seeds[-1], 30, "cpu", optimizer)
    torch.testing.assert_close(done.logits(example.x_test)[-1], last.logits(example.x_test), rtol=0, atol=1e-5)
    # The comparison can fail: another seed's run is far away.
    assert (done.losses[0] - plain[1]).abs().max() > 1e-3


def test_cross_entropy_is_gamma_0(example):
    plain = plain_losses(torch.nn.CrossEntropyLoss(), example, [5], 10)
    torch.testing.assert_close(quiet_sweep("cross_entropy", [5], epochs=10).losses, plain, **CLOSE)
    torch.testing.assert_close(quiet_sweep("focal", [5], gamma=0, epochs=10).losses, plain, **CLOSE)


@pytest.mark.filterwarnings("ignore")  # some of the faulty losses warn
@pytest.mark.parametrize("bug", [bug for bug in CATALOGUE if bug not in CRASHES])
def test_every_bug_of_the_catalogue(bug):
    example, weights = load_example(), inverse_frequency(load_example().y_train)
    done = quiet_sweep(bug, [0, 1], alpha="inverse_frequency", epochs=3, data=example)
    plain = [train(CATALOGUE[bug].build(weights.clone(), 2.0), load_example(), s, 3, "cpu").losses for s in (0, 1)]
    torch.testing.assert_close(done.losses, torch.tensor(plain), rtol=1e-5, atol=1e-6)
    assert torch.equal(example.y_train, load_example().y_train)


@pytest.mark.parametrize("bug", sorted(CRASHES))
def test_a_loss_that_crashes_crashes_here_too(bug):
    with pytest.raises(TypeError):
        quiet_sweep(bug, [0], epochs=1)


def test_any_criterion(example):
    done = quiet_sweep(lambda input, target: input.square().mean(), [2], epochs=4)
    torch.testing.assert_close(done.losses, plain_losses(lambda i, t: i.square().mean(), example, [2], 4), **CLOSE)


def test_resampled_data_means_own_data_split_and_weights():
    seeds = [11, 42]
    done = quiet_sweep("focal", seeds, data="resampled", alpha="inverse_frequency", epochs=5)
    for k, seed in enumerate(seeds):
        own = load_example(seed)
        plain = plain_losses(partial(focal_loss, alpha=inverse_frequency(own.y_train)), own, [seed], 5)
        torch.testing.assert_close(done.losses[k : k + 1], plain, **CLOSE)
        assert torch.equal(done.examples[k].x_test, own.x_test)
    assert done.logits().shape == (2, 200, 2)


def test_the_sampler_is_torchs_own(example):
    """The same run written down plainly: before each update, draw 800 examples with replacement."""
    seed, model = 7, make_model(7)
    weights = inverse_frequency(example.y_train)[example.y_train]
    sampler = WeightedRandomSampler(weights, len(weights), generator=torch.Generator().manual_seed(seed))
    adam, expected = torch.optim.Adam(model.parameters()), []
    for _ in range(5):
        rows = list(sampler)
        loss = torch.nn.functional.cross_entropy(model(example.x_train[rows]), example.y_train[rows])
        adam.zero_grad()
        loss.backward()
        adam.step()
        expected.append(loss.item())
    done = quiet_sweep("sampler", [0, seed], epochs=5)
    torch.testing.assert_close(done.losses[1], torch.tensor(expected), **CLOSE)


def test_checkpoints_are_the_same_run_stopped_earlier(example):
    long = quiet_sweep("focal", [0, 1], epochs=12, checkpoints=[5])
    short = quiet_sweep("focal", [0, 1], epochs=5)
    assert torch.equal(long.logits(epoch=5), short.logits())
    assert torch.equal(long.losses[:, :5], short.losses)
    assert sorted(long.parameters) == [5, 12]
    assert not torch.equal(long.logits(), long.logits(epoch=5))


def test_a_dask_cluster_is_one_line_away():
    from distributed import Client, LocalCluster

    seeds, here = range(SEEDS_PER_BLOCK + 1), quiet_sweep("focal", range(SEEDS_PER_BLOCK + 1), epochs=3)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}  # with one, joblib asks no cluster
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        with joblib.parallel_config("dask"):
            there = quiet_sweep("focal", seeds, epochs=3)
        ran = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert sum(ran.values()) > 0, "no task reached the cluster"
    torch.testing.assert_close(there.losses, here.losses, **CLOSE)
    torch.testing.assert_close(there.logits(), here.logits(), rtol=0, atol=1e-5)


def test_threads_do_not_mix_up_the_seeds():
    seeds, here = range(4 * SEEDS_PER_BLOCK), quiet_sweep("focal", range(4 * SEEDS_PER_BLOCK), epochs=1)
    with joblib.parallel_config("threading", n_jobs=4):
        there = quiet_sweep("focal", seeds, epochs=1)
    torch.testing.assert_close(there.losses, here.losses, **CLOSE)


def test_a_progress_bar_counts_the_seeds(capsys):
    sweep("focal", range(3), epochs=1)
    assert "3/3" in capsys.readouterr().err


def not_finite(example):
    x = example.x_train.clone()
    x[3, 7] = float("nan")
    return Example(x_train=x, y_train=example.y_train, x_test=example.x_test, y_test=example.y_test)


def three_classes(example):
    """The example with every third point of class 0 called class 2."""
    y_train, y_test = (
        torch.where((y == 0) & (torch.arange(len(y)) % 3 == 0), 2, y) for y in (example.y_train, example.y_test)
    )
    return Example(x_train=example.x_train, y_train=y_train, x_test=example.x_test, y_test=y_test)


@pytest.mark.parametrize("alpha", ["none", "inverse_frequency"])
def test_any_number_of_classes_any_rate_any_size(example, alpha):
    """The same run written down plainly, and a loss of each example as the loss of their mean."""
    data, model = three_classes(example), make_model(1, hidden=8, classes=3)
    weights = inverse_frequency(data.y_train) if alpha == "inverse_frequency" else None
    adam, expected = torch.optim.Adam(model.parameters(), lr=0.02), []
    for _ in range(5):
        loss = focal_loss(model(data.x_train), data.y_train, weights)
        adam.zero_grad()
        loss.backward()
        adam.step()
        expected.append(loss.item())
    options = {"data": data, "learning_rate": 0.02, "hidden": 8, "epochs": 5}
    done = quiet_sweep("focal", [0, 1], alpha=alpha, **options)
    torch.testing.assert_close(done.losses[1], torch.tensor(expected), rtol=0, atol=1e-5)
    assert done.logits().shape == (2, 200, 3)
    each = quiet_sweep(partial(focal_loss, alpha=weights, reduction="none"), [0, 1], per_example=True, **options)
    torch.testing.assert_close(each.losses, done.losses, rtol=0, atol=1e-5)


def one_class(example, part):
    labels = {"y_train": example.y_train, "y_test": example.y_test}
    labels[part] = torch.zeros_like(labels[part])
    return Example(x_train=example.x_train, x_test=example.x_test, **labels)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"gamma": -1.0}, "gamma must be a finite number >= 0, got -1.0"),
        ({"device": "tpu"}, "device must be one of .*, got 'tpu'"),
        ({"loss": "dice"}, "loss must be one of cross_entropy, focal, sampler, .*; got 'dice'"),
        ({"optimizer": "lion"}, "optimizer must be one of adam, sgd; got 'lion'"),
        ({"alpha": "balanced"}, "alpha must be one of none, inverse_frequency; got 'balanced'"),
        ({"data": "iris"}, "data must be one of fixed, resampled; got 'iris'"),
        ({"data": [load_example()] * 3}, "one Example for each of the 2 seeds, got 3"),
        ({"data": one_class(load_example(), "y_train")}, r"the training set must hold both classes 0 and 1, got \[0\]"),
        ({"data": one_class(load_example(), "y_test")}, r"the test set must hold both classes 0 and 1, got \[0\]"),
        (
            {"data": not_finite(load_example())},
            "the training set must hold finite features, got nan in example 3, feature 7",
        ),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0, got 0.0"),
        ({"seeds": []}, "seeds must hold at least one seed, got none"),
        ({"checkpoints": [9]}, r"checkpoints must lie in 1 to 5, the number of epochs; got \[9\]"),
    ],
)
def test_bad_input_gets_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        quiet_sweep(**{"seeds": [0, 1], "epochs": 5, **options})


def test_a_diverging_loss_names_seed_and_epoch():
    with pytest.raises(FloatingPointError, match="the loss of seed 4 became nan at epoch 0"):
        quiet_sweep(lambda input, target: input.sum() * float("nan"), [4], epochs=2)
