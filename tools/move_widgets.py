"""Move every control of every widget in a notebook; the source of this file runs as the notebook's last cell.

The notebook's environment has neither this repository nor its tools, and ipywidgets 7 or 8.
"""

import ipywidgets

CHOICES = (
    ipywidgets.Dropdown,
    ipywidgets.RadioButtons,
    ipywidgets.Select,
    ipywidgets.SelectionSlider,
    ipywidgets.ToggleButtons,
)
RANGES = (ipywidgets.IntSlider, ipywidgets.FloatSlider, ipywidgets.BoundedIntText, ipywidgets.BoundedFloatText)


def all_widgets():
    module = ipywidgets.widgets.widget
    return list((module._instances if hasattr(module, "_instances") else ipywidgets.Widget.widgets).values())


def settings(widget):
    """Yield (trait, values to try) for each thing that a reader can set in a widget."""
    if isinstance(widget, ipywidgets.Checkbox | ipywidgets.ToggleButton):
        yield "value", [True, False]
    elif isinstance(widget, CHOICES):
        yield "index", range(len(widget.options))
    elif isinstance(widget, ipywidgets.FloatLogSlider):
        yield "value", [widget.base**widget.min, widget.base**widget.max]
    elif isinstance(widget, RANGES):
        yield "value", [widget.min, widget.max]
    # A live view says in each trait's metadata what the trait may be.
    for name, trait in widget.traits(limits=lambda limits: limits is not None).items():
        limits = trait.metadata["limits"]
        if isinstance(limits, dict):
            yield name, [limits["low"], limits["high"]]
        elif isinstance(limits, list):
            yield name, limits


def exercise(widget):
    """Set what can be set, to each end and back; press what can be pressed. Return the number of moves."""
    moves = 0
    for name, values in settings(widget):
        for value in [*values, getattr(widget, name)]:
            setattr(widget, name, value)
            assert getattr(widget, name) == value, f"{type(widget).__name__}.{name} refused {value!r}"
            moves += 1
    if isinstance(widget, ipywidgets.Button):
        widget.click()
        moves += 1
    return moves


moves = sum(exercise(widget) for widget in all_widgets())
