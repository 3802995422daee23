"""Live views: Python computes every number, JavaScript only draws. The same object lives in a notebook and on the site.

How a view is made, by example ``LossCurve`` (``loss_curve.py`` and ``loss_curve.js``):

* It subclasses ``LiveView``. What a reader can change is a trait of type ``Step`` (a number on a grid), ``Choice``
  or ``Bool``; these traits are the view's state. The grid is why no number is interpolated: every value that a
  control can take has its numbers in a table.
* Numbers travel in ``_tables``, packed by ``pack``, with three decimals unless there is a reason; words and short
  lists travel in ``_facts``. Both are set in ``__init__``, computed by ``focal_lib``. The numbers shown are the
  numbers shipped: JavaScript divides, formats and places them, and knows no formula of the loss.
* ``sentence()`` says in Python what the view says for its state; it is the object's text form and the picture's
  alternative text. ``picture()`` draws the same state with matplotlib, for readers whose program knows no widgets.
* The module beside it exports ``{ render }`` and uses the helpers of ``shared.js``, which Python puts in front of it
  (a view's module can have no imports). Colours come from ``focal_lib.lab.plots`` as CSS variables (``--focal``, ...).
* On the site, ``book/static/live-host.js`` runs the same module. It keeps the state in the address as
  ``#NAME.TRAIT=VALUE&...`` and ``NAME.hide=CONTROL,...`` hides controls; NAME is the trait ``name``, which must differ
  between two views of a page. Reset, copy-link and hiding come with ``shared.js``.
* A page of prose shows a view with the directive ``{live-view}``. ``tools/store_views.py`` stores it for the site,
  which is built without torch, and brings the JavaScript and style that the notebooks store up to date.
* ``TrainingPanel`` is made of plain ipywidgets, because training needs a running Python. On the site
  ``book/_ext/live_views.py`` shows the figure stored in its ``Image`` and a link that runs it.
* A page's live views together stay within 40 kB of gzip; ``tests/browser`` checks each view in real browsers.
"""

import importlib

_MODULES = {
    "BatchShare": "batch_share",
    "CellLoss": "cell_loss",
    "FiveLines": "five_lines",
    "LossCurve": "loss_curve",
    "RivalMap": "rival_map",
    "TextRanking": "text_ranking",
    "TrainingPanel": "training_panel",
    "TrainingRuns": "training_runs",
    "WayBack": "way_back",
    "WhichBug": "which_bug",
}

__all__ = list(_MODULES)


def __getattr__(name):
    """Import a view when it is first asked for: each needs anywidget and matplotlib, the library does not."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
