"""Things to move and press: the training panel, made of plain ipywidgets (a running kernel is needed)."""

from .training_panel import TrainingPanel

__all__ = ["TrainingPanel"]
