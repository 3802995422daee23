"""Finding out by trying: in which form a loss takes its arguments, and what is built into it."""

import contextlib
import copy
import itertools
import re
from dataclasses import replace

import torch
from torch import nn

from .forms import (
    ALPHAS,
    BALANCED,
    FILLERS,
    OF_SETTINGS,
    ONE_HOT,
    PLAIN,
    TABLE,
    column,
    logit,
    one_hot,
)

__all__ = ["Nonsense", "Probing", "Stopped", "Untestable", "as_number", "exponent_of", "first_of"]


class Untestable(Exception):
    """The loss lacks what a check needs to set. This says nothing against the loss."""


class Nonsense(TypeError):
    """The loss came back with what is no finite number."""


class Stopped(BaseException):
    """The loss asked the process to end, or ran out of memory. Not an Exception: nothing can be said about the loss."""


class Probing:
    """The part of an ``Adapter`` that tries what no signature tells. Single examples are enough for most of it."""

    OMIT = object()

    def _forms_of_size(self):
        """For a loss that holds weights, or has some by default: its number of classes."""
        held = [*vars(self.loss).values(), *self.loss.buffers()] if isinstance(self.loss, nn.Module) else []
        sizes = {t.numel() for t in held if isinstance(t, torch.Tensor) and t.numel() > 1}
        return tuple(
            replace(form, words=f"{n} classes only{', ' * bool(form.words)}{form.words}", classes=n)
            for n in sorted(sizes | self.lengths_by_default)
            for form in (PLAIN, ONE_HOT, TABLE)
        )

    def _find_form(self, forms):
        """Take the first form that fits; else the first in which the loss runs; else the first, with its error."""
        first, ran, table, for_two, adds_up = None, None, None, False, False
        of_rows, names, left, below_0 = (), self.names, self.left, False
        for form in self._with_sizes_told(forms):
            self.names, self.left = names, left
            if ran and not ran["form"].classes and form.classes and not (for_two or _is_for_two(form, ran)):
                continue  # it takes any number of classes: that it may be right for two is beside the point
            if ran and ran["form"] is PLAIN and form.words.startswith(("label maps", "sequences (N, C, T)")):
                continue  # what it adds to the classes' logits would be added to pixels
            self._probe(form)
            if self.of_rows and not of_rows:
                self._name_roles()
                names, left, of_rows = self.names, self.left, self.of_rows
                self._probe(form)
            found = dict(vars(self))
            first = first or found
            if self.error is not None:
                continue
            if ran and self.fits and form.words.startswith("one probability"):
                # What adds up the classes of a table adds up the rows where each row is one probability.
                adds_up |= (self.own_reduction, ran["own_reduction"]) == ("sum", "mean")
            if self.fits and not (ran and self._is_told_better(adds_up)):
                return
            if not ran:
                ran, for_two, below_0 = found, self._looks_at_two_logits_only(), self._is_below_0()
            elif below_0 and form.input is TABLE.input and not self._is_below_0():
                ran, below_0 = found, False  # it took logits for probabilities
            if form is TABLE:
                table = found
        vars(self).update(((adds_up and table) or ran or first) | {"printed": self.printed})

    def _is_below_0(self):
        """Whether single examples cost less than nothing and the height of the logits matters, as to probabilities."""
        (input, target), higher, form = self._batch(), copy.copy(self), self.form
        higher.form = replace(form, input=lambda x: form.input(x) + 1)
        with contextlib.suppress(Exception):
            if not torch.allclose(self(input, target), higher(input, target)):
                return any(self(row[None], label[None]).min() < 0 for row, label in zip(input, target, strict=True))
        return False

    def _is_told_better(self, adds_up):
        """Whether a form in which it ran before says more than this one, though this one fits."""
        if self.form is BALANCED:
            return not self._weights_class_1_alone()
        if self.form.words.startswith("one probability"):
            return adds_up
        # One alpha for every yes and no is told best where it was first seen, on a one-hot table.
        return self.form.input in (logit, column) and self.alpha_is_numeric and not self.balances

    def _with_sizes_told(self, forms):
        """These forms; after the first one a form for each number of classes that its error speaks of."""
        yield forms[0]
        told = {int(size) for size in re.findall(r"\b\d{1,3}\b", str(self.error))} - {0, 1, 3}
        yield from (replace(PLAIN, words=f"{n} classes only", classes=n) for n in sorted(told)[:4])
        yield from forms[1:]

    def _looks_at_two_logits_only(self):
        """Whether columns beyond the second change nothing: code for two classes that takes more without a word."""
        input, target = self._batch()
        other, form = copy.copy(self), self.form
        other.form = replace(form, input=lambda x: torch.cat([form.input(x)[:, :2], form.input(x)[:, 2:] + 1], 1))
        try:
            return input.shape[1] > 2 and torch.equal(self(input, target % 2), other(input, target % 2))
        except Exception:
            return False

    def for_maps(self):
        """This loss, ready for label maps ``(N, C, H, W)`` as they are."""
        if not self.form.words.startswith("label maps"):
            return self
        other = copy.copy(self)
        other.form = PLAIN
        return other

    def _probe(self, form):
        """Find the dtype and neutral alpha with which the loss runs in this form, and its conventions."""
        self.form, self.error, self.fits, self.weights_inside, self.balances = form, None, False, None, 0
        self.factor, self.weights_of_mean = 1.0, None
        names, left = self.names, self.left
        omit, one, ones = (self.OMIT, "tensor"), (1.0, "tensor"), [("ones", kind) for kind in ALPHAS]
        neutral = [omit, *ones, one] if "alpha" in self.names else [omit]
        if self.alpha_is_numeric:
            neutral = [*[one] * (form.classes == 2), *ones[:3], one, omit]
        dtypes = dict.fromkeys((self.wanted_dtype, torch.float32))
        tries = [(d, *n, o) for o in self._ways_of_ones() for d in dtypes for n in neutral]
        wholes = (False, True) if "gamma" in self.names else (False,)
        first = None
        for filler, whole in itertools.product(FILLERS if self.unknown else FILLERS[:1], wholes):
            filled = dict.fromkeys(self.unknown, filler)
            self.required |= filled
            for self.dtype, self.no_weights, self.alpha_form, self.ones in tries:
                self.whole_gamma = whole
                self.names, self.left = dict(names), left | filled  # an earlier try may have changed them
                self._list_roles()
                try:
                    self._find_conventions()
                    self.error = None
                    self._find_gamma()
                    self._find_ignored()
                    self._find_balance()
                    self._fit()
                    if filler is not None and not self.fits:
                        raise Nonsense(f"filled with {filler}, it gives no focal loss")
                    if self.refuses_one_row and not self.fits:
                        raise self.refuses_one_row
                    return
                except Exception as error:
                    first = self.error = first or error  # what a filler leads to is no fault of the loss
        (self.dtype, self.no_weights, self.alpha_form, self.ones), self.whole_gamma = tries[0], False
        self.names, self.left = names, left
        self._list_roles()

    def _ways_of_ones(self):
        """For a mask or weights of examples without a default: (of the target's shape as handed over, dtype)."""
        names = [name for name, value in self.required.items() if isinstance(value, str) and value == "ones"]
        if not names:
            return [(False, self.wanted_dtype)]
        masks = any("mask" in name for name in names)
        return [(full, d) for full in (False, True) for d in (torch.bool,) * masks + (self.wanted_dtype,)]

    def _batch(self):
        c = self.only_classes or 3
        input = self.tensor([[1, 0, -1, 2], [2, -1, 0, 1], [0, 0, 1, 0], [-1, 1, 0, 0], [1, 2, 0, -1]])
        input = input[:, :c] if c <= 4 else torch.cat([input, self.tensor([[0.0] * (c - 4)] * 5)], 1)
        return input, self.labels([0, 2, 1, 0, 2]) % c

    def _find_conventions(self):
        input, target = self._batch()
        self.own_reduction, self.divides_by_weights, self.refuses_one_row = "mean", False, None
        if self.of_settings:
            raise TypeError(OF_SETTINGS)
        once, twice = self(input, target), self(input.repeat(2, 1), target.repeat(2))
        self._find_smallest_batch(input[:1], target[:1])
        if not once.isfinite().all():
            raise Nonsense(f"the loss of ordinary logits is {once.tolist()}")
        if self.form is not PLAIN and not once.any():
            raise Nonsense("the loss of ordinary logits is 0")  # such as a softmax over one class
        if self.no_weights == "ones" and once.numel() not in (1, target.numel()):
            raise Nonsense(f"with weights its result has {once.numel()} numbers for {target.numel()} targets")
        if not self.reductions and once.numel() == target.numel() > 1:
            self.own_reduction = "none"
        elif not self.reductions and torch.allclose(twice, 2 * once, rtol=1e-6):
            self.own_reduction = "sum"
        if self.takes_weights and not self.alpha_is_numeric:
            self._find_balance()  # what weighs yes against no takes no weights of classes
        if self.takes_weights:
            c = input.shape[1]
            weights, one, two = self.tensor([3.0, 2.0, 5.0, 4.0] + [1.0] * c)[:c], slice(1, 2), slice(0, 2)
            if self.no_weights is self.OMIT:
                self._find_form_of_weights(input, target, weights)
            elif self.alpha_is_numeric or self.alpha_form == "column":
                self._must_weigh(input, target, weights)
        if self.takes_weights:
            alone = [self(input[one], target[one], alpha=alpha).to(self.dtype) for alpha in (weights, None)]
            pair = [self(input[two], target[two], alpha=alpha).to(self.dtype) for alpha in (weights, None)]
            self.divides_by_weights = torch.allclose(*alone) and not torch.allclose(*pair)

    def _find_smallest_batch(self, input, target):
        """Code that squeezes its batch fails on a single row: then that row is handed over twice from here on."""
        try:
            self(input, target)
        except Exception as error:
            self.refuses_one_row = error
            self(input, target)

    def _find_form_of_weights(self, input, target, weights):
        for self.alpha_form in ALPHAS:
            with contextlib.suppress(Exception):
                self(input, target, alpha=weights)
                if self.alpha_form == "column":
                    self._must_weigh(input, target, weights)
                return
            if self.alpha_form == "tensor" and self._weights_rows(input, target):
                name = self.names.pop("alpha")
                self.of_rows = (name,)
                self.left[name] = self.parameters[name].default
                self._list_roles()
                return
        self.alpha_form = "tensor"

    def _must_weigh(self, input, target, weights):
        """Refuse weights that are only multiplied with losses of another shape, all classes alike."""
        pairs = [(input[i : i + 1], target[i : i + 1]) for i in (0, 2)]  # of classes 0 and 1
        first, second = (self(*pair, alpha=weights) / self(*pair) for pair in pairs)
        if first.shape == second.shape and torch.allclose(first, second):
            raise Nonsense("its alpha weights all classes alike")

    def _weights_rows(self, input, target):
        """Whether what looks like class weights by its name is one weight for each row."""
        ones = self.tensor([1.0] * len(target))
        first = ones.clone()
        first[0] = 2.0
        try:
            added = self(input, target, alpha=first) - self(input, target, alpha=ones)
            alone = self(input[:1], target[:1], alpha=ones[:1]) / (len(target) if self.own_reduction == "mean" else 1)
        except Exception:
            return False
        return added.numel() == 1 and torch.allclose(added, alone.reshape(added.shape))

    def default_weights(self, classes):
        """The weights ``(C,)`` that the loss applies when no alpha is given, four digits of them."""
        weights = []
        for k in range(classes):
            input, target = self.tensor([[0.0] * classes]), self.labels([k])
            default = as_number(self.criterion(classes)(input, target), self.dtype).sum()
            weights.append(round((default / self(input, target).sum()).item(), 4))
        return self.tensor(weights)

    def singles(self, classes, **arguments):
        """The loss of single examples: a row for each class, a column for p_t = 3/4, 1/2, 1/4."""
        rows = []
        for k in range(classes):
            input = torch.zeros(3, classes, dtype=self.dtype, device=self.device)
            input[:, k] = torch.log(self.tensor([3.0, 1.0, 1 / 3]) * (classes - 1))
            target = self.labels([k])
            rows.append(torch.stack([self(row[None], target, **arguments).reshape(()) for row in input]))
        return torch.stack(rows).detach().to(self.dtype)  # some come back as float32

    def _find_balance(self):
        """Find out if a single alpha is class 1's weight and 1 - alpha class 0's, as in the paper; -1: the reverse."""
        if self.only_classes != 2 or "alpha" not in self.names:
            return
        if not self.alpha_is_numeric:
            one, other = (self._unless_refused(2, alpha=self.tensor(weights)) for weights in ([1, 1], [1, 3]))
            if one is not None and other is not None and _close(other / one, self.tensor([[1.0], [3.0]])):
                return  # it takes a weight for each class
        quarter, half = (self._unless_refused(2, alpha=alpha) for alpha in (0.25, 0.5))
        if quarter is None or half is None:
            return
        for side, weights in ((1, [1.5, 0.5]), (-1, [0.5, 1.5])):
            if torch.allclose((quarter / half).mean(1), self.tensor(weights), rtol=1e-3):
                self.balances, self.no_weights = side, 0.5 if self.alpha_is_numeric else self.no_weights
                self.settable -= {"alpha"}

    def _weights_class_1_alone(self):
        """Whether alpha is the weight of class 1 and 1 - alpha that of all others, 0 and 2 alike."""
        of_three = copy.copy(self)
        of_three.form = PLAIN
        with contextlib.suppress(Exception):
            quarter, half = (of_three.singles(3, alpha=a).mean(1) for a in (0.25, 0.5))
            return self.balances > 0 and _close(quarter / half, self.tensor([1.5, 0.5, 1.5]))
        return False

    def _unless_refused(self, classes, **settings):
        try:
            return self.singles(classes, **settings)
        except Exception:
            return None

    def _fit(self):
        """Compare single examples with a focal loss of any gamma, up to a weight for each class."""
        c = self.only_classes or 3
        values = self.singles(c)
        if "gamma" not in self.settable and not self.gamma_told:
            gamma = exponent_of(values)
            if gamma is None:
                return
            self.own_gamma = abs(round(gamma, 3)) if abs(gamma - round(gamma, 3)) < 1e-4 else gamma
        weights = _weights_in(values, self.gammas[0])
        if weights is None:
            if self.only_classes is None and all(self._unless_refused(n) is None for n in (2, 4)):
                self.form = replace(self.form, words=self.form.words or f"{c} classes only", classes=c)
            return
        # That it refuses another gamma or a fourth class says nothing against the form.
        other = self._unless_refused(c, gamma=3.0) if "gamma" in self.settable else None
        if other is not None and not _close(_weights_in(other, 3.0), weights):
            return
        all_same = _close(weights, weights[:1])
        if self.only_classes is None and all_same:
            if (other := self._unless_refused(4)) is None:
                self.form = replace(self.form, words=self.form.words or f"{c} classes only", classes=c)
            elif not _close(_weights_in(other, self.gammas[0]), weights[:1]):
                return
        one = self.unweighted(c) if self.alpha_is_numeric and "alpha" in self.settable else None
        twice = None if one is None else self._unless_refused(c, alpha=2 * one)
        if twice is not None and not _close(twice / values, twice[:1, :1] / values[:1, :1]):
            return  # an alpha for yes against no is no weight of a class
        self.fits = True
        if all_same:
            if not _close(weights, self.tensor([1.0])):
                self.factor = weights[0].item()
            if not self.takes_weights and self.own_reduction == "mean":
                with contextlib.suppress(Exception):
                    self._find_weights_of_mean(values / self.factor)
        elif "alpha" in self.settable and not self.takes_weights:
            self.fits = False  # its alpha is to balance the classes, and does not
        else:
            self.weights_inside = weights
            self.form = replace(self.form, classes=c)


def _is_for_two(form, ran):
    """Whether a loss that ran with more classes may be meant for two: this form, what was found in the other."""
    if form is BALANCED:
        return ran["alpha_is_numeric"]
    return ran["form"].target is one_hot and form.input is not PLAIN.input


def exponent_of(values):
    """The gamma of single examples' losses at p_t = 3/4, 1/2, 1/4, up to a factor; None if there is none."""
    p = torch.tensor([0.75, 0.5, 0.25], dtype=values.dtype, device=values.device)
    if not (values > 0).all():
        return None
    log = (values / -p.log()).log()
    slopes = (log[:, 1:] - log[:, :2]) / ((1 - p).log()[1:] - (1 - p).log()[:2])
    gamma = slopes.mean().item()
    return gamma if (slopes - gamma).abs().max() < 1e-3 and gamma > -1e-3 else None


def _weights_in(values, gamma):
    """The weights ``(C,)`` in single examples' losses ``(C, 3)``; None if they are no focal losses of this gamma."""
    p = values.new_tensor([0.75, 0.5, 0.25])
    ratio = values / ((1 - p) ** gamma * -p.log())
    # What is divided by the number of yeses is divided by 0, or next to it, where a no stands alone.
    as_weights = (ratio > 0).all() and ratio.isfinite().all() and ratio.max() < 1e4 * ratio.min()
    return ratio.mean(1) if as_weights and _close(ratio, ratio[:, :1]) else None


def _close(ours, theirs):
    return ours is not None and torch.allclose(ours, theirs.expand_as(ours), rtol=1e-3)


def first_of(value):
    """The loss among what a loss returned: the first of a tuple, ``"loss"`` of a dict, else all of it."""
    if isinstance(value, dict) and value:
        value = value.get("loss", next(iter(value.values())))
    return value[0] if isinstance(value, (tuple, list)) and value else value


def as_number(value, dtype):
    """What a loss returned, as a tensor; the first of a tuple, ``"loss"`` of a dict. TypeError if it is no number."""
    value = first_of(value)
    if isinstance(value, torch.Tensor):
        if getattr(value.dtype, "is_complex", False):
            raise Nonsense("it returned complex numbers")
        return value
    try:
        return torch.as_tensor(float(value), dtype=dtype)
    except (TypeError, ValueError):
        raise Nonsense(f"it returned {type(value).__name__}, not a tensor") from None
