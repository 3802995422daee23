"""A class that builds on one of another package shows the arguments of its own ``__init__``.

The site is built without torch and ipywidgets. What stands in for their classes takes any arguments, and autodoc would
show that.
"""

import inspect


def of_init(app, what, name, obj, options, signature, returned):
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    own = (vars(c)["__init__"] for c in obj.__mro__ if "__init__" in vars(c) and c.__module__.startswith("focal_lib"))
    if (init := next(own, None)) is None:
        return None
    arguments = [p.replace(annotation=p.empty) for p in list(inspect.signature(init).parameters.values())[1:]]
    return str(inspect.Signature(arguments)), returned


def setup(app):
    app.connect("autodoc-process-signature", of_init)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
