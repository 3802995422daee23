"""Right answers to exercise 1 in honest styles, as notebooks."""

import inspect
import json

import torch
import torch.nn.functional as F
from exercise_notebooks import focus, reduced, solutions, submission


class FixedLoss(torch.nn.Module):
    def __init__(self, gamma=2.0, reduction="mean"):
        super().__init__()
        self.gamma, self.reduction = gamma, reduction

    def forward(self, logits, labels):
        nll = F.cross_entropy(logits, labels, reduction="none")
        return reduced(focus(nll, self.gamma) * nll, self.reduction)


def fair(right):
    """{name: notebook} of right answers to exercise 1 in honest styles; all deserve full marks."""
    slug, fix = "01_one_number", right["fix"]
    value = {part: right[part].split("=", 1)[1].split("#")[0].strip() for part in ("predict", "expose")}
    typed = {"exercise.predict(": value["predict"], "exercise.expose(": value["expose"], "exercise.fix(": "my_loss"}
    notebook = json.loads(submission(slug, {"fix": fix.replace("fixed_loss", "my_loss")}))
    for cell in notebook["cells"]:
        for start, answer in typed.items():
            if "".join(cell["source"]).startswith(start):
                cell["source"] = f"{start}{answer})"
    own = json.loads(submission(slug, {}))
    everything = "\n".join([right["predict"], right["expose"], fix])
    calls = "exercise.predict(prediction)\nexercise.expose(evidence)\nexercise.fix(fixed_loss)"
    own["cells"].append({"cell_type": "code", "metadata": {}, "source": f"{everything}\n{calls}"})
    instance = f"{fix}\n\nclass FixedLoss(torch.nn.Module):\n    def forward(self, logits, labels, gamma=2.0, "
    instance += 'reduction="mean"):\n        return fixed_loss_function(logits, labels, gamma, reduction)\n\n'
    instance += "fixed_loss_function = fixed_loss\nfixed_loss = FixedLoss()"
    search = (
        "import focal_lib\nfor p in (0.5, 2.0):\n    focal_lib.focal_loss(torch.tensor([[p, 0.0]]), torch.tensor([0]))"
    )
    scripted = "@torch.jit.script\ndef power(x, gamma: float):\n    return x**gamma\n\n"
    images = '"logits": [[[[0.5, 4.0]], [[1.5, -1.0]]]], "labels": [[[1, 0]]]'
    scalars = '"logits": np.array([[0.5, 1.5], [3, -1]]), "labels": np.array([1, 1]), "gamma": '
    printing = fix.replace("    nll", '    print("called")\n    nll', 1)
    module = f"{inspect.getsource(FixedLoss)}\n\nfixed_loss = FixedLoss"
    decorated = f"""{fix}

def watched(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

fixed_loss = watched(fixed_loss)"""
    keeps = (
        module.split("fixed_loss = ")[0]
        .replace('gamma=2.0, reduction="mean"', "**settings")
        .replace(
            "self.gamma, self.reduction = gamma, reduction",
            'self.gamma, self.reduction = settings.get("gamma", 2.0), settings.get("reduction", "mean")',
        )
    )
    left_alone = solutions("06_suspicious_names")
    del left_alone["fix"]
    return {
        "typed into the checks": json.dumps(notebook),
        "all in one own cell": json.dumps(own),
        "an instance": submission(slug, {**right, "fix": instance}),
        "a module class": submission(slug, {**right, "fix": module}),
        "a decorator": submission(slug, {**right, "fix": decorated}),
        "any settings": submission(slug, {**right, "fix": f"{keeps}fixed_loss = FixedLoss"}),
        "any settings, an instance": submission(slug, {**right, "fix": f"{keeps}fixed_loss = FixedLoss()"}),
        "compiled": submission(slug, {**right, "fix": f"{fix}\n\nfixed_loss = torch.compile(fixed_loss)"}),
        "a set of letters": submission(slug, {**right, "predict": f"prediction = set({value['predict']})"}),
        "a fraction": submission(
            slug,
            {**right, "expose": f"from fractions import Fraction\n{right['expose']}\nevidence['gamma'] = Fraction(2)"},
        ),
        "magics": submission(
            slug, {**right, "predict": "x = %time 1 + 1\nif x:\n    %matplotlib inline\n" + right["predict"]}
        ),
        "a question mark": submission(slug, {**right, "fix": f"F.cross_entropy?\n{fix}"}),
        "a comment on another": submission(slug, right, before='# see Exercise("03_exponent")'),
        "a search with the library": submission(slug, {**right, "expose": f"{search}\n{right['expose']}"}),
        "a scripted helper": submission(slug, {**right, "fix": scripted + fix}),
        "a print": submission(slug, {**right, "fix": printing}),
        "images": submission(slug, {**right, "expose": f"evidence = {{{images}}}"}),
        "a numpy scalar": submission(
            slug, {**right, "expose": f"import numpy as np\nevidence = {{{scalars}np.float32(2)}}"}
        ),
        "a tensor scalar": submission(
            slug, {**right, "expose": f"import numpy as np\nevidence = {{{scalars}torch.tensor(2)}}"}
        ),
        "left alone where nothing is wrong": submission("06_suspicious_names", left_alone),
    }
