"""How a loss is called that names not all it takes: ``f(logits, labels, **settings)``, ``f(*args, **kwargs)``."""

import copy
import inspect

from torch import nn

from ..diagnosis.adapter import parameters_of
from .outcomes import entry_of, names_of

__all__ = ["with_names"]

ANY_NUMBER, ANY_NAME = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD  # *args, **settings
FIRST, BY_NAME = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.KEYWORD_ONLY


def with_names(loss, original, right):
    """The same loss, with the settings of ``original`` in its signature where its own takes any name.

    Args:
        loss: what a learner gave: a function, a class, an instance, or no loss at all.
        original: the loss under review; whoever calls that passes its names, and a mended one has to take them.
        right: a right loss. Its defaults are told and never passed: what a loss does without a setting is its affair.

    Returns:
        The loss itself where it names what it takes. Else a function, a subclass, or a copy of the instance.
    """
    data = parameters_of(entry_of(original))[1:3] if inspect.isclass(original) else parameters_of(original)[:2]
    defaults = {name: p.default for name, p in inspect.signature(right).parameters.items()}
    settings = [inspect.Parameter(n, BY_NAME, default=defaults.get(n)) for n in names_of(original)]
    if inspect.isclass(loss):
        return _class(loss, data, settings)
    if isinstance(loss, nn.Module):
        named = _class(type(loss), data, settings)
        if named is type(loss):
            return loss
        loss = copy.copy(loss)
        loss.__class__ = named
        return loss
    if not callable(loss) or not _is_open(parameters_of(loss)):
        return loss

    def named(*args, **settings):
        return loss(*args, **settings)

    named.__name__ = getattr(loss, "__name__", type(loss).__name__)
    named.__signature__ = inspect.Signature(_told(parameters_of(loss), data, settings, names_of(loss)))
    return named


def _class(kind, data, settings):
    """A class whose ``__init__`` or ``forward`` takes any name, as a subclass that tells the names."""
    entry, changed, known = entry_of(kind), {}, names_of(kind)
    build = [] if kind.__init__ is nn.Module.__init__ else parameters_of(kind)
    if _is_open(build):
        changed["__signature__"] = inspect.Signature(_told(build, [], settings, known))
        known = {p.name for p in settings}
    call = parameters_of(entry)
    call = call if call and call[0].kind is ANY_NUMBER else call[1:]  # without self
    if _is_open(call):

        def forward(self, *args, **settings):
            return entry(self, *args, **settings)

        told = [inspect.Parameter("self", FIRST), *_told(call, data, settings, known)]
        forward.__signature__ = inspect.Signature(told)
        changed[entry.__name__] = forward
    return type(kind.__name__, (kind,), changed) if changed else kind


def _is_open(parameters):
    kinds = [p.kind for p in parameters]
    return ANY_NAME in kinds or (ANY_NUMBER in kinds and kinds.index(ANY_NUMBER) < 2)


def _told(parameters, data, settings, known):
    """Parameters that name the ``data`` instead of ``*args``, and the settings that are not ``known`` instead of
    ``**kwargs``."""
    kinds, told = [p.kind for p in parameters], [p for p in parameters if p.kind not in (ANY_NAME, ANY_NUMBER)]
    if data and ANY_NUMBER in kinds and (place := kinds.index(ANY_NUMBER)) < 2:
        first = [p.replace(kind=FIRST, default=p.empty) for p in (*told[:place], *data[place:])]
        told = [*first, *told[place:]]
    return [*told, *(p for p in settings if p.name not in known)] if ANY_NAME in kinds else told
