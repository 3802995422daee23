"""How to call a focal loss that somebody else wrote: classes, instances and functions under one set of names."""

import contextlib
import copy
import errno
import inspect

import torch
from torch import nn

from .forms import ALPHAS, BASES, FORMS, INPUT_NAMES, NAMES, REDUCTIONS, REQUIRED, TARGET_NAMES, one_hot
from .probing import Nonsense, Probing, Stopped, Untestable, as_number, first_of
from .roles import Roles
from .settings import built, hushed

__all__ = ["Adapter", "parameters_of", "product_of"]


class Adapter(Probing, Roles):
    """Calls a loss as ``adapter(input, target, alpha=, gamma=, reduction=, ignore_index=)``.

    Args:
        loss: a Module class, a Module instance, a function of (input, target), or a function that returns one. Its
            arguments are found by their usual names (``NAMES``), or by what they do. An instance is built anew from
            its class where that gives the same loss; else it is tested as it is.
        gamma: the gamma inside a loss that has no argument for it; None to find it out.
        dtype, device: of the logits and weights that the loss gets. A loss that cannot take float64 gets float32.

    Attributes:
        settable: which of alpha, gamma, reduction and ignore_index the loss takes.
        reductions: the reductions that can be asked for; empty where the loss has one only, ``own_reduction``.
        no_weights: what to pass as alpha so that no class is weighted: ``"ones"``, 1.0, or ``OMIT`` to leave it out.
        divides_by_weights: True if the mean divides by the sum of the weights, as ``F.cross_entropy(weight=)`` does.
        weights_inside: weights ``(C,)`` that the loss always applies, as found on single examples; None without.
        weights_of_mean: these weights, where the mean divides by their sum; calls undo that. None otherwise.
        factor: what every loss is multiplied by; calls divide by it.
        fits: True if single examples show a focal loss, up to such weights.
        only_classes: the number of classes of a loss that takes no other; else None.
        left: the arguments that stayed at their defaults, with these.
        refuses_one_row: what it raised for a batch of one row, which is then handed over twice; None if nothing.
        classes_last: True for label maps (N, H, W, C).
        error: why the loss could not be run at all; None if it could.
        printed: what the loss wrote to stdout and stderr so far.

    A call raises whatever the loss raises, TypeError if the loss returns no number, and ``Untestable`` if it
    is asked for what cannot be set.
    """

    def __init__(self, loss, gamma=None, dtype=torch.float64, device="cpu"):
        self.device, self.printed, self.filled, self.loss = torch.device(device), "", {}, loss
        self.classes_last, self.refuses_one_row = False, None
        self.wanted_dtype, self.gamma_told, self.own_reduction = dtype, gamma is not None, "mean"
        if isinstance(loss, nn.Module):
            gamma = getattr(loss, "gamma", gamma)
            self._rebuild_from_class(loss)
        self.own_gamma = float(gamma) if isinstance(gamma, (int, float)) else 2.0
        self._read_signatures()
        self._find_form(FORMS[:1] + self._forms_of_size() + FORMS[1:])
        self._find_counts()
        self._leave_out_refused()
        self._find_labels()

    # What the loss takes, by its signatures.

    def _read_signatures(self):
        self.product = None if inspect.isclass(self.loss) else product_of(self.loss)
        self.builds = inspect.isclass(self.loss) or self.product is not None
        at_build = parameters_of(self.loss) if self.builds else []
        self.entry = next((e for e in ("forward", "__call__", "compute_loss") if e in dir(self.loss)), None)
        if self.product is not None:
            at_call = parameters_of(self.product)
        elif self.builds:
            at_call = parameters_of(getattr(self.loss, self.entry or "__init__"))[1:]
        else:
            at_call = parameters_of(getattr(self.loss, "forward", self.loss))
        self.of_a_trainer = [p.name for p in at_call[:2]] == ["model", "inputs"]
        pair = _pair_of(at_call)
        # Logits and targets that may only be given by name, or that are not the first two.
        settings = {name for names in NAMES.values() for name in names}
        by_name = pair != at_call[:2] or all(p.kind is p.KEYWORD_ONLY and p.name not in settings for p in pair)
        self.pair_names = [p.name for p in pair] if by_name else []
        self.target_first = bool(pair) and pair[0].name in TARGET_NAMES
        called = [p.name for p in pair][:: -1 if self.target_first else 1]
        called = ["logits", "labels"] if self.of_a_trainer else called
        self.pair_called = dict(zip(("input", "target"), called, strict=False))
        self.build_names = {p.name for p in at_build}
        placed = bool(at_call) and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in at_call)
        self.of_settings = placed and not self.builds and settings >= {p.name for p in at_call}
        rest = [p for p in at_call if p not in pair]
        known = [p for p in rest + at_build if p.name not in self.filled and p.kind not in (2, 4)]  # no *args
        self.parameters = {p.name: p for p in known}
        self.of_rows = ()  # what looks like class weights by its name, and is one weight for each row
        self._name_roles()

    def _name_roles(self):
        """Which argument is alpha, which gamma and so on; what to pass for one without a default; what is left."""
        taken = {
            ours: [n for n in theirs if n in self.parameters and n not in self.of_rows]
            for ours, theirs in NAMES.items()
        }
        self.names = {ours: names[0] for ours, names in taken.items() if names}
        if weights := [name for name in taken["alpha"] if "weight" in name]:
            self.names["alpha"] = weights[0]  # rather than a number named alpha beside them
        self.alpha_is_numeric = isinstance(self.alpha_by_default, (int, float))
        self.alpha_form, self.whole_gamma = "tensor", False
        # What to pass for an argument that has no default.
        usual = {"alpha": None, "gamma": self.own_gamma, "reduction": "mean", "ignore_index": -100}
        usual |= {"size_average": True, "reduce": True}
        roles = {name: ours for ours, name in self.names.items()}
        self.required, self.left, self.unknown = {}, {}, []
        for name, parameter in self.parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                if name not in roles:
                    self.left[name] = parameter.default
            elif roles.get(name) in usual:
                self.required[name] = usual[roles[name]]
            elif name in NAMES["alpha"]:  # a number beside the class weights
                self.required[name] = None
            elif roles.get(name) != "classes" and name.lower() in REQUIRED:
                self.required[name] = REQUIRED[name.lower()]
            elif name not in roles:
                self.unknown.append(name)
        if isinstance(self.left.get("samples_per_cls"), (list, tuple)):
            self.required["samples_per_cls"] = "counts"
        self._list_roles()

    def _list_roles(self):
        self.reductions = {r for argument in REDUCTIONS for r in self._asks(argument)}
        self.settable = {n for n in ("alpha", "gamma", "ignore_index") if n in self.names}
        self.settable |= {"reduction"} if self.reductions else set()

    def _asks(self, argument):
        """The reductions that this argument asks for, and the value that does; some call a word size_average."""
        if argument not in self.names:
            return {}
        by_word = isinstance(self.parameters[self.names[argument]].default, str)
        return REDUCTIONS["reduction" if by_word else argument]

    @property
    def raises(self):
        """True if the loss cannot be called in any form. A loss that came back with nonsense was called."""
        return self.error is not None and not isinstance(self.error, Nonsense)

    @property
    def one_hot(self):
        """True for a loss that refuses class indices and wants float targets of the logits' shape."""
        return self.form.target is one_hot

    @property
    def only_classes(self):
        return self.form.classes

    @property
    def takes_weights(self):
        """True if alpha can be one weight per class; False too where it is only ever a single number."""
        return "alpha" in self.settable and self.no_weights not in (1.0, 0.5)

    @property
    def needs_alpha(self):
        """True if alpha has no default."""
        return self.alpha_by_default is inspect.Parameter.empty

    @property
    def alpha_by_default(self):
        """The default of alpha; ``inspect.Parameter.empty`` if it has none, None if there is no alpha."""
        alpha = self.parameters.get(self.names.get("alpha"))
        return None if alpha is None else alpha.default

    @property
    def default_classes(self):
        """How many classes the weights are for that it has by default; None without any."""
        return min(self.lengths_by_default, default=self.only_classes)

    @property
    def lengths_by_default(self):
        """How many numbers each argument holds by default that holds more than one, such as class weights."""
        defaults = [parameter.default for parameter in self.parameters.values()]
        lists = [d for d in defaults if isinstance(d, (list, tuple)) or getattr(d, "ndim", 0) == 1]
        return {len(d) for d in lists if len(d) > 1}

    @property
    def runs_without_alpha(self):
        c = self.default_classes or 3
        with contextlib.suppress(Exception):
            if self.silent_side:  # it runs, and says nothing of half of the examples
                return False
            if self.no_weights is not self.OMIT:
                self.criterion(c)(self.tensor([range(c)]), self.labels([0]))
            return True
        return False

    @property
    def gammas(self):
        """The gammas that checks run through."""
        if "gamma" not in self.settable:
            return (self.own_gamma,)
        return (2.0, 1.0, 3.0) if self.whole_gamma else (2.0, 1.0, 3.0, 0.5)

    @property
    def known_gamma(self):
        return 2.0 if "gamma" in self.settable else None

    @property
    def tolerance(self):
        return {"rtol": 1e-4, "atol": 1e-6} if self.dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-5}

    def numbers_inside(self):
        """The numbers among the loss's own settings: arguments left at their defaults, and alpha's default."""
        values = [*self.left.values(), *self.filled.values(), self.alpha_by_default]
        values = [v.item() if isinstance(v, torch.Tensor) and v.numel() == 1 else v for v in values]
        return [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]

    def inside(self, target):
        """The weight that the loss itself gives each target; 1 for most losses."""
        return self.tensor(1.0) if self.weights_inside is None else self.weights_inside[target]

    def has_no_effect(self, name):
        """Whether another value of a number that stayed at its default changes nothing, for an ordinary batch."""
        batch = self._batch()
        return torch.equal(self(*batch), self.with_setting(name, self.left[name] + 0.25)(*batch))

    def with_setting(self, name, value):
        """This adapter, with another value of an argument that stayed at its default."""
        other = copy.copy(self)
        other.required = self.required | {name: value}
        return other

    # Calls.

    def criterion(self, classes, alpha=None, gamma=None, reduction=None, ignore_index=None):
        """The loss with these arguments set, as a callable (input, target); None leaves the loss's own default."""
        if self.only_classes not in (None, classes):
            raise Untestable(f"it takes {self.only_classes} classes only")
        if gamma is not None and self.whole_gamma:
            if gamma != int(gamma):
                raise Untestable("it takes whole gammas only")
            gamma = int(gamma)
        if isinstance(alpha, torch.Tensor) and alpha.ndim:
            alpha = ALPHAS[self.alpha_form](alpha)
        wanted = {"alpha": alpha, "gamma": gamma, "ignore_index": ignore_index}
        for name in [n for n, value in wanted.items() if value is not None and n not in self.names]:
            raise Untestable(f"it has no argument for {name}")
        if reduction is not None and self.reductions:
            argument = next((a for a in REDUCTIONS if reduction in self._asks(a)), None)
            if argument is None:
                raise Untestable(f"it cannot be asked for reduction {reduction!r}")
            wanted[argument] = self._asks(argument)[reduction]
        wanted["classes"] = classes if "classes" in self.names else None
        arguments = self.required | {self.names[name]: value for name, value in wanted.items() if value is not None}
        counts = [10.0 * (k + 1) for k in range(classes)]
        special = {"counts": counts, "count_tensor": self.tensor(counts), "one": self.tensor(1.0)}
        arguments = {n: special.get(v, v) if isinstance(v, str) else v for n, v in arguments.items()}
        arguments = {n: v() if isinstance(v, type) and v in BASES else v for n, v in arguments.items()}
        at_build = {name: value for name, value in arguments.items() if name in self.build_names}
        called = {name: value for name, value in arguments.items() if name not in self.build_names}
        loss = self._quietly(built, self.loss, **self.filled, **at_build) if self.builds else self.loss

        def run(input, target):
            alone = self.refuses_one_row is not None and len(input) == 1
            if alone:
                input, target = torch.cat([input] * 2), torch.cat([target] * 2)
            given = self.form.input(input)
            pair = (given, self.form.target(target, input))
            shape, dtype = (pair[1] if self.ones[0] else target).shape, self.ones[1]
            ones = torch.ones(shape, dtype=dtype, device=self.device)
            kept = target != (-100 if ignore_index is None else ignore_index)
            of_batch = {"ones": ones, "rows": len(target) if kept.shape == input.shape else int(kept.sum())}
            now = {n: of_batch.get(v, v) if isinstance(v, str) else v for n, v in called.items()}
            if self.of_a_trainer:
                pair = (lambda **_: _Output(logits=given)), {"labels": pair[1], "input_ids": given}
            call = run.loss if callable(run.loss) and self.entry != "compute_loss" else getattr(run.loss, self.entry)
            pair = pair[::-1] if self.target_first else pair
            if len(self.pair_names) == 2:
                pair, now = (), now | dict(zip(self.pair_names, pair, strict=True))
            value = first_of(self._quietly(call, *pair, **now))
            return self._of_one(value, reduction) if alone else value

        run.loss = loss
        return run

    def _of_one(self, value, reduction):
        """The loss of one row, of what was returned for that row twice."""
        value = as_number(value, self.dtype)
        if value.numel() > 1:
            return value[:1]
        return value / 2 if (reduction if self.reductions else self.own_reduction) == "sum" else value

    def __call__(self, input, target, alpha=None, gamma=None, reduction="mean", ignore_index=None):
        if not self.reductions and reduction not in ("mean", self.own_reduction):
            raise Untestable(f"it cannot be asked for reduction {reduction!r}")
        if gamma is not None and gamma == self.own_gamma and "gamma" not in self.settable:
            gamma = None
        elif gamma is None and "gamma" in self.settable:
            gamma = 2.0
        if alpha is None:
            alpha = self.unweighted(input.shape[1])
        run = self.criterion(input.shape[1], alpha, gamma, reduction, ignore_index)
        # Copies, so that a loss which writes into its arguments does not disturb the other checks.
        value = as_number(run(input.clone(), target.clone()), self.dtype)
        if reduction == "mean":
            value = self.as_mean(value, target)
        elif reduction == "none" and self.form.words and value.numel() == target.numel():
            value = value.reshape(target.shape)
        return value if self.factor == 1 else value / self.factor

    def as_mean(self, value, target):
        """What the loss returned when asked for the mean, as a mean, also where it can only sum or not reduce."""
        if not self.reductions and self.own_reduction != "mean":
            return value.sum() / target.numel()
        value = value.reshape(()) if value.shape == (1,) and target.shape != (1,) else value
        return value if self.weights_of_mean is None else value * self.weights_of_mean[target].mean()

    def unweighted(self, classes):
        """The alpha that weights no class, in the form that this loss takes; None to leave it out."""
        if self.no_weights is self.OMIT:
            return None
        return self.tensor([1.0] * classes) if self.no_weights == "ones" else self.no_weights

    def tensor(self, values):
        return torch.as_tensor(values, dtype=self.dtype, device=self.device)

    def labels(self, values):
        return torch.as_tensor(values, device=self.device)

    def _quietly(self, function, *args, **kwargs):
        with hushed() as said:
            try:
                return function(*args, **kwargs)
            except SystemExit as error:
                raise Stopped(f"it called sys.exit({error.code})") from error
            except (MemoryError, OSError, RuntimeError) as error:
                if getattr(error, "errno", None) == errno.EFBIG:  # the command line limits what may be written
                    raise Stopped("it wrote too much to a file or to stderr") from error
                if isinstance(error, MemoryError) or "allocate memory" in str(error):
                    raise Stopped("it ran out of memory") from error
                raise
            finally:
                self.printed = (self.printed + said.text)[:1000]

    def _rebuild_from_class(self, instance):
        """Build the loss from its class, other arguments as in this instance, if that gives the same loss."""
        own = {p.name: getattr(instance, p.name) for p in parameters_of(type(instance)) if hasattr(instance, p.name)}
        known = {name for theirs in NAMES.values() for name in theirs}
        alpha = next((own[name] for name in NAMES["alpha"] if isinstance(own.get(name), torch.Tensor)), torch.ones(3))
        generator = torch.Generator().manual_seed(0)
        input = torch.randn(4, alpha.numel(), generator=generator).to(alpha.device)
        target = torch.tensor([0, 1, 0, 1], device=alpha.device)
        outcomes = []
        for make in (lambda: instance, lambda: type(instance)(**own)):
            try:
                outcomes.append(as_number(self._quietly(lambda make=make: make()(input, target)), torch.float32))
            except Exception as error:
                outcomes.append(repr(error))
        if _same_outcome(*outcomes):
            self.loss, self.filled = type(instance), {n: v for n, v in own.items() if n not in known}


class _Output(dict):
    """A model's output, as libraries hand it over: by key and by attribute."""

    __getattr__ = dict.__getitem__


def _pair_of(parameters):
    """The parameters for logits and targets: the first two, unless their names stand further back."""
    asked = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    named = [p for p in asked if p.name in TARGET_NAMES | INPUT_NAMES]
    if len(asked) > 2 and len(named) == 2 and sum(p.name in TARGET_NAMES for p in named) == 1:
        return named
    return parameters[:2]


def product_of(loss):
    """The loss that a function of settings alone returns; None if it is no such function."""
    parameters = parameters_of(loss)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (2, 4)]  # no *args
    settings = {name: ours for ours, names in NAMES.items() for name in names}
    if isinstance(loss, nn.Module) or not parameters or not settings.keys() >= {*needed}:
        return None
    usual = {"alpha": 0.5, "gamma": 2.0, "reduction": "mean", "classes": 3}
    with contextlib.suppress(Exception), hushed():
        made = loss(**{name: usual.get(settings[name]) for name in needed})
        return made if callable(made) else None
    return None


def _same_outcome(ours, theirs):
    """Whether two calls gave the same numbers, or raised the same error."""
    if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
        return torch.equal(ours, theirs)
    return isinstance(ours, str) and ours == theirs


def parameters_of(function):
    """The parameters of a callable, in order; none where it is built in and does not tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
