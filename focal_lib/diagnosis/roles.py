"""What an argument is for, found by what it does where no name tells it, and what a loss refuses in words."""

import contextlib
import copy
import inspect
import math
from dataclasses import replace

import torch
import torch.nn.functional as F

from .forms import COLUMNS, FORMS, OF_TRAINER, PLAIN, Form
from .probing import as_number, exponent_of

__all__ = ["Roles"]

REFUSALS = (ValueError, KeyError, NotImplementedError, AssertionError)


class Roles:
    """The part of an ``Adapter`` that varies arguments and looks."""

    def _find_gamma(self):
        if "gamma" in self.names or self.form is not PLAIN:
            return
        for name, default in list(self.left.items()):
            if isinstance(default, (int, float)) and not isinstance(default, bool) and default:
                with contextlib.suppress(Exception):
                    self.names["gamma"] = name
                    self._list_roles()
                    found = [exponent_of(self.singles(3, gamma=gamma)) for gamma in (1.0, 3.0)]
                    if all(f is not None and abs(f - g) < 1e-3 for f, g in zip(found, (1, 3), strict=True)):
                        del self.left[name]
                        return
                self.names.pop("gamma", None)
                self._list_roles()

    def _find_ignored(self):
        """A whole number that is no class is the target to leave out, if it may be a target where it is that number,
        and its neighbour may be one only where it is the neighbour."""
        if "ignore_index" in self.names or self.one_hot:
            return
        input, target = self._batch()

        def takes(loss, label):
            try:
                loss(input, torch.where(target == 1, label, target))
            except Exception:
                return False
            return True

        for name, value in list(self.left.items()):
            if type(value) is int and not 0 <= value < input.shape[1]:
                other = value - 1 if value < 0 else value + 1
                if takes(self, value) and not takes(self, other) and takes(self.with_setting(name, other), other):
                    self.names["ignore_index"] = name
                    del self.left[name]
                    self._list_roles()
                    return

    def _find_counts(self):
        """Where a number of classes is refused, its argument may want their counts; an unknown one may want weights."""
        found, name = dict(vars(self)), self.names.get("classes")
        self.required = dict(self.required)
        if self.raises and name and self.parameters[name].default is inspect.Parameter.empty:
            self.names = {ours: theirs for ours, theirs in self.names.items() if ours != "classes"}
            self.unknown = [*self.unknown, name]
        elif self.weights_are_told:
            name, self.unknown = self.unknown[0], []
            self.names, self.required[name] = self.names | {"alpha": name}, None
            self.left = {n: value for n, value in self.left.items() if n != name}
        else:
            return
        self._find_form(FORMS)
        if not self.fits:
            vars(self).update(found | {"printed": self.printed})

    def _find_weights_of_mean(self, singles):
        """Weights inside by whose sum the mean is divided do not show in single examples, but in two together."""
        c, weights = len(singles), [1.0]
        for k in range(1, c):
            row = self.tensor([[0.0] * c] * 3)
            row[:2, 0], row[2, k] = math.log(3 * (c - 1)), math.log((c - 1) / 3)
            first, other = singles[0, 0], singles[k, 2]
            two, three = (self(row[-n:], self.labels([0, 0, k][-n:])).detach() for n in (2, 3))
            weights.append(((two - first) / (other - two)).item())
            if not torch.allclose((2 * first + weights[k] * other) / (2 + weights[k]), three):
                return  # they come from the batch
        weights = self.tensor(weights)
        if not (weights > 0).all() or torch.allclose(weights, weights[:1].expand(c)):
            return
        scale = 1 / weights.mean()
        if "none" in self.reductions:
            scale = self(row[:1], self.labels([0]), reduction="none").detach().reshape(()) / singles[0, 0]
        self.weights_inside = self.weights_of_mean = weights * scale
        self.form = replace(self.form, classes=c)

    @property
    def grows_with_counts(self):
        """Whether weights that are computed from counts are larger where there are more examples."""
        inside = self.weights_inside if {"counts", "count_tensor"} & {*map(str, self.required.values())} else None
        return inside is not None and bool((inside[1:] > inside[:-1]).all())

    @property
    def weights_are_told(self):
        """Whether the one argument that no name explains is the classes' weights, which grow as what it is handed."""
        if len(self.unknown) != 1 or "alpha" in self.names or not self.grows_with_counts:
            return False
        return not any(word in self.unknown[0].lower() for word in ("num", "count", "freq", "sample", "cnt", "hist"))

    @property
    def divides_twice(self):
        """Whether its mean, which the number of rows does not change, is divided by a trainer's number of targets."""
        if self.error is not None or OF_TRAINER not in self.parameters:
            return False
        (input, target), of_1, of_2 = self._batch(), self.with_setting(OF_TRAINER, 1), self.with_setting(OF_TRAINER, 2)
        mean = of_1(input, target)
        same = torch.allclose(of_1(input.repeat(2, 1), target.repeat(2)), mean, **self.tolerance)
        return same and torch.allclose(2 * of_2(input, target), mean, **self.tolerance)

    @property
    def silent_side(self):
        """Which answer costs nothing by the default alpha, 1 or 0, that weighs yes against no; None if neither does."""
        if not self.balances or self.alpha_by_default not in (0, 1):
            return None
        side = "no" if (self.balances > 0) == (self.alpha_by_default == 1) else "yes"
        input, label = self.tensor([[0.0, 0.0]]), self.labels([int(side == "yes")])
        return None if as_number(self.criterion(2)(input, label), self.dtype).any() else side

    def _find_labels(self):
        """What a loss of a column of logits makes of many columns, a question each: of those it may be right for one.

        ``labels_off`` is then (logits, labels, what it gave, what each label costs alone, whether a row has one p_t).
        """
        self.labels_off = None
        if not self.fits or self.form.words != COLUMNS.words:
            return
        z = self.tensor([[1.0, -1.0, 2.0], [0.0, 2.0, -2.0], [-1.0, 0.0, 1.0], [2.0, -2.0, 0.5]])
        yes = self.labels([[1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
        alone = [
            self(self.tensor([[0.0, x]]), self.labels([t])) for x, t in zip(z.flatten(), yes.flatten(), strict=True)
        ]
        alone = torch.stack([value.reshape(()) for value in alone]).detach().reshape(z.shape)
        table = copy.copy(self)
        table.form = Form("", target=lambda t, x: t.to(x.dtype), classes=2)
        try:
            run = table.criterion(2, self.unweighted(2), self.known_gamma, "mean" if self.reductions else None)
            got = as_number(run(z, yes), self.dtype).detach().to(alone) / self.factor
        except Exception:
            return  # it takes one column only, and says so
        sums = alone.sum(1), alone.sum()
        known = {"one loss each": alone, "the mean of all": alone.mean(), "the sum of all": sums[1]}
        known |= {"added up for each row": sums[0].mean(), "": alone[:, 0].mean()}
        for words, right in known.items():
            if got.shape == right.shape and torch.allclose(got, right, **self.tolerance):
                words = f"{self.form.words}, or many labels (N, K), {words}" if words else self.form.words
                self.form = replace(self.form, words=words)
                return
        bce = F.binary_cross_entropy_with_logits(z, yes.to(z.dtype), reduction="none")
        of_rows = [((1 - torch.exp(-ce)) ** self.gammas[0] * ce).mean() for ce in (bce.mean(1), bce.sum(1))]
        one_p = got.numel() == 1 and any(torch.allclose(got, row, rtol=1e-3) for row in of_rows)
        self.labels_off = z, yes, got, alone.mean(), one_p

    def _leave_out_refused(self):
        """A reduction that is refused by name is not asked for: whoever wants it is told so at the first call."""
        for word in sorted(self.reductions - {"mean"}) if self.error is None else ():
            try:
                self(*self._batch(), reduction=word)
            except REFUSALS as error:
                if isinstance(error, NotImplementedError) or word in str(error) or "reduction" in str(error):
                    self.reductions -= {word}
            except Exception:
                continue  # that is for the properties of the reductions
