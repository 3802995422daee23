"""The bug catalogue: what is known of each faulty loss, and the decorator that enters one.

A bug is one block in the file of its room: the faulty loss, with :func:`bug` above it.
"""

import ast
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch.autograd import Function

from . import parts

__all__ = ["CATALOGUE", "LOOKALIKES", "ROOMS", "Bug", "Lookalike", "bug", "lookalike"]

ROOMS = {
    "batch": "One number for all",
    "weights": "Weights in the wrong place",
    "curve": "The wrong curve",
    "gradient": "Dead or poisoned gradients",
    "average": "The wrong average",
    "backward": "A backward pass of one's own",
    "manners": "Rude to its caller",
}
CATALOGUE = {}  # id -> Bug, room by room
LOOKALIKES = {}  # id -> Lookalike

SOURCE_1 = "001, a question on multiclass focal loss for a four-class BERT"
SOURCE_2 = "002, an article on focal loss from BCE"
SOURCE_3 = "003, an article on class weights and focal loss"
SCALE = "A constant factor is a learning rate under SGD and cancels under Adam, if nothing else is added."


@dataclass(frozen=True, kw_only=True)
class _Exhibit:
    """What bugs and look-alikes have in common."""

    id: str  # the name of the loss, in small letters
    loss: Callable  # a function, or a Module class
    title: str
    source: str  # where such code was seen: a source of this book, or owner/repo#number of a public thread
    one_hot: bool = False  # it wants float targets of the logits' shape, not class indices

    @property
    def code(self):
        """The source text of the loss, without the entry above it; a backward pass of its own stands in front."""
        text = textwrap.dedent(inspect.getsource(self.loss))
        text = "\n".join(text.split("\n")[ast.parse(text).body[0].lineno - 1 :])
        used = inspect.getclosurevars(self.loss).globals.values() if inspect.isfunction(self.loss) else ()
        own = [inspect.getsource(thing) for thing in used if inspect.isclass(thing) and issubclass(thing, Function)]
        return "\n\n".join([*own, text])

    @property
    def source_links(self):
        """``source`` in Markdown, its public threads as links."""
        return re.sub(r"([\w.-]+/[\w.-]+)#(\d+)", r"[\1#\2](https://github.com/\1/issues/\2)", self.source)

    @property
    def arguments(self):
        """The parameters of the loss by name, as ``inspect`` gives them."""
        return inspect.signature(self.loss).parameters

    @property
    def takes_weights(self):
        """Whether it takes one weight per class. A bug with one alpha for all classes does not."""
        return "alpha" in self.arguments and self.arguments["alpha"].default is None

    def plaque(self):
        """What is known of it, as the docstring of the loss: its title, then one line for each other text."""
        # In a docstring an asterisk is markup.
        texts = {name: text.replace("*", r"\*") for name, text in vars(self).items() if isinstance(text, str)}
        title = texts.pop("title")
        del texts["id"]
        return "\n\n".join([f"{title}.", *(f"{name.replace('_', ' ').capitalize()}: {t}" for name, t in texts.items())])

    def build(self, alpha=None, gamma=2.0):
        """The loss as a criterion: a callable ``(input, target) -> loss``, its reduction the default one.

        Args:
            alpha: None, or a tensor ``(C,)``. Passed on if this loss has a weight per class; one with a single
                alpha for all classes keeps its own number, and one without alpha has none.
            gamma: passed on if this loss has a gamma.

        The criterion takes logits ``(N, C)`` and int64 class indices ``(N)``, whatever the original wanted. It is
        an ``nn.Module`` where the original was one, else a function.
        """
        arguments = {"gamma": gamma} if "gamma" in self.arguments else {}
        if alpha is not None and self.takes_weights:
            arguments["alpha"] = alpha
        if inspect.isclass(self.loss):
            return self.loss(**arguments)
        if self.one_hot:
            return lambda input, target: self.loss(input, F.one_hot(target, input.shape[1]).to(input), **arguments)
        return functools.partial(self.loss, **arguments)


@dataclass(frozen=True, kw_only=True)
class Bug(_Exhibit):
    """One faulty loss: what it is, where such code was seen, how to find it and how to mend it.

    ``mend`` holds what is to be replaced in its code without comments, each text as it stands there once.
    """

    room: str  # the kind of fault: a key of ROOMS, and the name of the file that it is in
    exposed_by: str  # the property that shows it at least cost, by its name in focal_lib.diagnosis.properties
    symptom: str  # what a user would report
    hides: str  # why training does not show it
    fix: str
    mend: dict  # faulty text -> right text
    batched: bool = True  # False: it keeps a state, or vmap refuses it, so many runs cannot share one call
    runs: bool = True  # False: it fails on every input

    @property
    def bare(self):
        """The code without its comments, which speak of the fault."""
        return re.sub("  # .*", "", self.code)

    @property
    def mended(self):
        """The source text of the right loss, which is the code without comments, its faulty texts replaced."""
        text = self.bare
        for faulty, right in self.mend.items():
            if text.count(faulty) != 1:
                raise ValueError(f"{self.id}: a text to mend must stand in its code once, got {faulty!r}.")
            text = text.replace(faulty, right)
        return text

    @property
    def mended_loss(self):
        """The right loss, as a function or Module class like ``loss``."""
        names = {**vars(parts), **vars(sys.modules[self.loss.__module__])}
        exec(self.mended, names)
        return names[self.loss.__name__]


@dataclass(frozen=True, kw_only=True)
class Lookalike(_Exhibit):
    """Code that looks guilty and is innocent."""

    why: str  # it is innocent


def bug(**entry):
    """Enter the decorated loss into the catalogue; ``entry`` has the fields of :class:`Bug` but id, loss and room."""

    def enter(loss):
        room = loss.__module__.rpartition(".")[2]
        if room not in ROOMS:
            raise ValueError(f"a bug belongs into the file of its room, one of {', '.join(ROOMS)}; got {room!r}.")
        return _enter(CATALOGUE, Bug, loss, room=room, **entry)

    return enter


def lookalike(**entry):
    """Enter the decorated loss among the look-alikes; ``entry`` has the fields of :class:`Lookalike`."""
    return lambda loss: _enter(LOOKALIKES, Lookalike, loss, **entry)


def _enter(register, kind, loss, **entry):
    id = re.sub(r"(?<!^)(?=[A-Z])", "_", loss.__name__).lower()
    if id in register:
        raise ValueError(f"there is a {kind.__name__.lower()} {id!r} already; rename one of the two.")
    register[id] = kind(id=id, loss=loss, **entry)
    loss.__doc__ = register[id].plaque()
    return loss
