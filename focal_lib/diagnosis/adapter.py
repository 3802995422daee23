"""How to call a focal loss that somebody else wrote: classes, instances and functions under one set of names."""

import contextlib
import inspect
import io
import warnings

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["Adapter", "Stopped", "Untestable", "parameters_of"]

NAMES = {
    "alpha": ("alpha", "class_weights", "class_weight", "weights", "weight"),
    "gamma": ("gamma",),
    "reduction": ("reduction",),
    "size_average": ("size_average",),
    "reduce": ("reduce",),
    "ignore_index": ("ignore_index",),
    "classes": ("num_classes", "n_classes", "class_num", "num_class", "nb_classes"),
}
TARGET_NAMES = {"target", "targets", "label", "labels", "y", "y_true", "gt"}
REDUCTIONS = {  # which argument, set to what, asks for which reduction
    "reduction": {"none": "none", "sum": "sum", "mean": "mean"},
    "size_average": {"sum": False, "mean": True},
    "reduce": {"none": False, "mean": True},
}


class Untestable(Exception):
    """The loss lacks what a check needs to set. This says nothing against the loss."""


class Stopped(BaseException):
    """The loss asked the process to end, or ran out of memory. Not an Exception: nothing can be said about the loss."""


class Adapter:
    """Calls a loss as ``adapter(input, target, alpha=, gamma=, reduction=, ignore_index=)``.

    Args:
        loss: a Module class, a Module instance or a function of (input, target). Its arguments are found by their
            usual names (``NAMES``), in the constructor or in the call. An instance is built anew from its class
            where that gives the same loss; else it is tested as it is.
        gamma: the gamma inside a loss that has no argument for it.
        dtype, device: of the logits and weights that the loss gets. A loss that cannot take float64 gets float32.

    Attributes:
        settable: which of alpha, gamma, reduction and ignore_index the loss takes.
        reductions: the reductions that can be asked for; empty where the loss has one only, ``own_reduction``.
        one_hot: True for a loss that refuses class indices and wants float targets of the logits' shape.
        no_weights: what to pass as alpha so that no class is weighted: ``"ones"``, 1.0, or ``OMIT`` to leave it out.
        divides_by_weights: True if the mean divides by the sum of the weights, as ``F.cross_entropy(weight=)`` does.
        error: why the loss could not be run at all; None if it could.
        printed: what the loss wrote to stdout and stderr so far.

    A call raises whatever the loss raises, TypeError if the loss returns no number, and ``Untestable`` if it
    is asked for what cannot be set.
    """

    OMIT = object()

    def __init__(self, loss, gamma=2.0, dtype=torch.float64, device="cpu"):
        self.dtype, self.device = dtype, torch.device(device)
        self.printed, self.one_hot, self.no_weights = "", False, self.OMIT
        self.filled, self.loss = {}, loss
        if isinstance(loss, nn.Module):
            gamma = getattr(loss, "gamma", gamma)
            self._rebuild_from_class(loss)
        self.own_gamma, self.own_reduction = gamma, "mean"
        self._read_signatures()
        self._probe()

    def _read_signatures(self):
        call = getattr(self.loss, "forward", None) or (self.loss.__call__ if self._is_class else self.loss)
        at_call = parameters_of(call)[1 if self._is_class else 0 :]
        at_build = parameters_of(self.loss) if self._is_class else []
        self.target_first = bool(at_call) and at_call[0].name in TARGET_NAMES
        self.build_names = {p.name for p in at_build}
        parameters = {p.name: p for p in at_call + at_build if p.name not in self.filled}
        self.names = {ours: name for ours, theirs in NAMES.items() for name in reversed(theirs) if name in parameters}
        alpha = parameters.get(self.names.get("alpha"))
        self.alpha_is_numeric = alpha is not None and isinstance(alpha.default, (int, float))
        # What to pass for an argument that has no default.
        usual = {"alpha": None, "gamma": self.own_gamma, "reduction": "mean", "size_average": True, "reduce": True}
        self.required = {
            self.names[ours]: value
            for ours, value in usual.items()
            if ours in self.names and parameters[self.names[ours]].default is inspect.Parameter.empty
        }
        self.reductions = {r for argument, values in REDUCTIONS.items() if argument in self.names for r in values}
        self.settable = {n for n in ("alpha", "gamma", "ignore_index") if n in self.names}
        self.settable |= {"reduction"} if self.reductions else set()

    @property
    def _is_class(self):
        return inspect.isclass(self.loss)

    @property
    def takes_weights(self):
        """True if alpha can be one weight per class; False too where it is only ever a single number."""
        return "alpha" in self.settable and self.no_weights != 1.0

    @property
    def runs_without_alpha(self):
        if self.no_weights is self.OMIT:
            return True
        try:
            self.criterion(3)(self.tensor([[1, 0, 0]]), torch.tensor([0], device=self.device))
        except Exception:
            return False
        return True

    @property
    def gammas(self):
        """The gammas that checks run through."""
        return (2.0, 1.0, 3.0, 0.5) if "gamma" in self.settable else (self.own_gamma,)

    @property
    def tolerance(self):
        return {"rtol": 1e-4, "atol": 1e-6} if self.dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-5}

    def criterion(self, classes, alpha=None, gamma=None, reduction=None, ignore_index=None):
        """The loss with these arguments set, as a callable (input, target); None leaves the loss's own default."""
        wanted = {"alpha": alpha, "gamma": gamma, "ignore_index": ignore_index}
        for name in [n for n, value in wanted.items() if value is not None and n not in self.names]:
            raise Untestable(f"it has no argument for {name}")
        if reduction is not None and self.reductions:
            argument = next((a for a, values in REDUCTIONS.items() if a in self.names and reduction in values), None)
            if argument is None:
                raise Untestable(f"it cannot be asked for reduction {reduction!r}")
            wanted[argument] = REDUCTIONS[argument][reduction]
        wanted["classes"] = classes if "classes" in self.names else None
        arguments = self.required | {self.names[name]: value for name, value in wanted.items() if value is not None}
        built = {name: value for name, value in arguments.items() if name in self.build_names}
        called = {name: value for name, value in arguments.items() if name not in self.build_names}
        loss = self._quietly(self.loss, **self.filled, **built) if self._is_class else self.loss

        def run(input, target):
            if self.one_hot:
                target = F.one_hot(target, input.shape[1]).movedim(-1, 1).to(input.dtype)
            pair = (target, input) if self.target_first else (input, target)
            return self._quietly(run.loss, *pair, **called)

        run.loss = loss
        return run

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
        if reduction == "mean" and not self.reductions and self.own_reduction != "mean":
            value = value.sum() / target.numel()
        return value

    def unweighted(self, classes):
        """The alpha that weights no class, in the form that this loss takes; None to leave it out."""
        if self.no_weights is self.OMIT:
            return None
        return self.tensor([1.0] * classes) if self.no_weights == "ones" else self.no_weights

    def tensor(self, values):
        return torch.as_tensor(values, dtype=self.dtype, device=self.device)

    def _quietly(self, function, *args, **kwargs):
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return function(*args, **kwargs)
        except SystemExit as error:
            raise Stopped(f"it called sys.exit({error.code})") from error
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or "allocate memory" in str(error):
                raise Stopped("it ran out of memory") from error
            raise
        finally:
            self.printed += out.getvalue()

    def _rebuild_from_class(self, instance):
        """Build the loss from its class, other arguments as in this instance, if that gives the same loss."""
        parameters = inspect.signature(type(instance)).parameters
        own = {name: getattr(instance, name) for name in parameters if hasattr(instance, name)}
        known = {name for theirs in NAMES.values() for name in theirs}
        alpha = next((own[name] for name in NAMES["alpha"] if isinstance(own.get(name), torch.Tensor)), torch.ones(3))
        input, target = (
            torch.randn(4, alpha.numel(), generator=torch.Generator().manual_seed(0)),
            torch.tensor([0, 1, 0, 1]),
        )
        input, target = input.to(alpha.device), target.to(alpha.device)
        outcomes = []
        for make in (lambda: instance, lambda: type(instance)(**own)):
            try:
                outcomes.append(as_number(self._quietly(lambda make=make: make()(input, target)), torch.float32))
            except Exception as error:
                outcomes.append(repr(error))
        if _same_outcome(*outcomes):
            self.loss, self.filled = type(instance), {n: v for n, v in own.items() if n not in known}

    def _probe(self):
        """Find the target format, dtype and neutral alpha with which the loss runs at all, and its conventions."""
        neutral = [self.OMIT]
        if "alpha" in self.names:
            neutral = ["ones", 1.0, self.OMIT] if self.alpha_is_numeric else [self.OMIT, "ones", 1.0]
        dtypes = dict.fromkeys((self.dtype, torch.float32))
        tries = [(o, d, n) for o in (False, True) for d in dtypes for n in neutral]
        self.error = None
        for self.one_hot, self.dtype, self.no_weights in tries:
            try:
                self._find_conventions()
                self.error = None
                return
            except Exception as error:
                self.error = self.error or error
        self.one_hot, self.dtype, self.no_weights = tries[0]

    def _find_conventions(self):
        input = self.tensor([[1, 0, -1], [2, -1, 0], [0, 0, 1], [-1, 1, 0], [1, 2, 0]])
        target = torch.tensor([0, 2, 1, 0, 2], device=self.device)
        self.own_reduction, self.divides_by_weights = "mean", False
        once, twice = self(input, target), self(input.repeat(2, 1), target.repeat(2))
        if not once.isfinite().all():
            raise ValueError(f"the loss of ordinary logits is {once.tolist()}")
        if not self.reductions and once.shape == target.shape:
            self.own_reduction = "none"
        elif not self.reductions and torch.allclose(twice, 2 * once, rtol=1e-6):
            self.own_reduction = "sum"
        if self.takes_weights:
            weights, one, two = self.tensor([3.0, 2.0, 5.0]), slice(1, 2), slice(0, 2)
            alone = [self(input[one], target[one], alpha=alpha) for alpha in (weights, None)]
            pair = [self(input[two], target[two], alpha=alpha) for alpha in (weights, None)]
            self.divides_by_weights = torch.allclose(*alone) and not torch.allclose(*pair)


def _same_outcome(ours, theirs):
    """Whether two calls gave the same numbers, or raised the same error."""
    if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
        return torch.equal(ours, theirs)
    return isinstance(ours, str) and ours == theirs


def parameters_of(function):
    """The parameters of a callable, in order; none where it is built in and does not tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:
        return []


def as_number(value, dtype):
    """What a loss returned, as a tensor; TypeError if it is neither a tensor nor a number."""
    if isinstance(value, torch.Tensor):
        return value
    try:
        return torch.as_tensor(float(value), dtype=dtype)
    except (TypeError, ValueError):
        raise TypeError(f"it returned {type(value).__name__}, not a tensor") from None
