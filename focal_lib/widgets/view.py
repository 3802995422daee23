"""What all live views share: their state, how it is checked, and the picture for readers without widgets."""

import base64
import io
import re
from pathlib import Path

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from PIL import Image

from ..lab.plots import COLORS

__all__ = ["Choice", "LiveView", "Step", "decimals", "module", "pack", "percent", "rounded"]

_HERE = Path(__file__).parent


def module(name):
    """A view's JavaScript, with the shared helpers in front of it: a view's module can have no imports."""
    text = (_HERE / "shared.js").read_text("utf-8") + (_HERE / name).read_text("utf-8")
    return re.sub(r"^\s*//.*\n", "", text, flags=re.M)  # what comments say, every reader would load


def _style():
    palette = "".join(f"--{name.replace('_', '-')}:{color};" for name, color in COLORS.items())
    return f".live{{{palette}}}\n" + (_HERE / "shared.css").read_text("utf-8")


class Step(traitlets.Float):
    """A number on the grid low, low + step, ..., high; values in between go to the nearest."""

    def __init__(self, default, low, high, step):
        super().__init__(default)
        self.low, self.high, self.step = low, high, step
        self.tag(sync=True, limits={"low": low, "high": high, "step": step})

    def validate(self, obj, value):
        value = super().validate(obj, value)
        if not self.low <= value <= self.high:
            raise traitlets.TraitError(f"{self.name} must be between {self.low} and {self.high}, got {value}.")
        return round(self.low + self.index(value) * self.step, 9)

    def index(self, value):
        """The position of a value on the grid, from 0."""
        return round((value - self.low) / self.step)

    def grid(self):
        """All values, as float64 array."""
        return np.round(self.low + self.step * np.arange(self.index(self.high) + 1), 9)


class Choice(traitlets.Enum):
    """One of a few words or numbers; the first is the default unless another is named."""

    def __init__(self, *values, default=None):
        super().__init__(values, values[0] if default is None else default)
        self.tag(sync=True, limits=list(values))

    def validate(self, obj, value):
        if value not in self.values:
            raise traitlets.TraitError(f"{self.name} must be one of {', '.join(map(str, self.values))}, got {value!r}.")
        return value


class LiveView(anywidget.AnyWidget):
    """Base of the live views; see the package's docstring for the conventions."""

    name = traitlets.Unicode(help="what the view is called in a link").tag(sync=True)
    hide = traitlets.List(traitlets.Unicode(), help="names of controls that are not shown").tag(sync=True)
    _limits = traitlets.Dict().tag(sync=True)  # trait -> what it may be
    _start = traitlets.Dict().tag(sync=True)  # trait -> what reset returns to
    _tables = traitlets.Dict().tag(sync=True)
    _facts = traitlets.Dict().tag(sync=True)
    _css = _style()
    _ipython_display_ = None  # ipywidgets 7 would call this method, and the picture would be lost

    def __init__(self, **kwargs):
        state = self.traits(limits=lambda limits: limits is not None)
        unknown = set(kwargs) - set(self.traits())
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no {sorted(unknown)[0]!r}; it has {', '.join(['name', 'hide', *state])}."
            )
        kwargs.setdefault("name", type(self).__module__.rpartition(".")[2])
        super().__init__(**kwargs)
        if not self.has_trait("_anywidget_id"):  # anywidget's own name for the class, which our JavaScript reads
            name = f"{type(self).__module__}.{type(self).__name__}"
            self.add_traits(_anywidget_id=traitlets.Unicode(name).tag(sync=True))
        self._limits = {key: trait.metadata["limits"] for key, trait in state.items()}
        self._start = {key: getattr(self, key) for key in state}

    def sentence(self):
        """What the view says about its present state."""
        raise NotImplementedError

    def picture(self):
        """The present state as a matplotlib figure."""
        raise NotImplementedError

    def __repr__(self):
        return self.sentence()

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return {**data, "text/plain": self.sentence(), "image/png": self._png()}, metadata

    def _png(self):
        """The picture as base64 text; a palette of 64 colours makes it four times smaller."""
        drawn, small = io.BytesIO(), io.BytesIO()
        figure = self.picture()
        figure.savefig(drawn, format="png", dpi=100)
        plt.close(figure)
        Image.open(drawn).convert("RGB").quantize(64).save(small, format="png", optimize=True)
        return base64.b64encode(small.getvalue()).decode()


def rounded(x, places=3):
    """A number with so many decimals. Halves go up, whatever the last bits of two machines make of a half."""
    text = f"{x + 1e-9:.{places}f}"
    return text.removeprefix("-") if not any(digit in text for digit in "123456789") else text


def decimals(x):
    """A positive number as the views show it: three decimals, or the words "less than 0.001"."""
    return "less than 0.001" if rounded(x) == "0.000" else rounded(x)


def percent(x):
    """A share as the views show it: one decimal, or the words "less than 0.1 %"."""
    return "less than 0.1\u00a0%" if rounded(x) == "0.000" else f"{100 * float(rounded(x)):.1f}\u00a0%"


def pack(values, places=3):
    """A table of numbers, rounded to so many decimal places, as a short text that ``unpack`` in shared.js reads.

    Neighbouring rows of our tables differ smoothly, so the second difference down each column is mostly 0 or ±1: one
    byte each, and easy to compress. Values of any shape; the first axis is the one along which they vary smoothly.
    """
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a table holds a value that is not finite; expected numbers that can be drawn.")
    whole = np.array([int(rounded(x, places).replace(".", "")) for x in values.flat], dtype=np.int64)
    whole = whole.reshape(len(values), -1)
    steps = np.diff(whole, n=2, axis=0, prepend=np.zeros((2, whole.shape[1]), dtype=np.int64))
    packed = bytearray()
    for number in ((steps << 1) ^ (steps >> 63)).flat:  # signs go into the lowest bit, then 7 bits a byte
        number = int(number)
        while number > 127:
            packed.append(number & 127 | 128)
            number >>= 7
        packed.append(number)
    return {"shape": list(values.shape), "places": places, "bytes": base64.b64encode(bytes(packed)).decode()}
