"""Write a loss another way: other names, another order of factors, statements and settings; the same numbers."""

import ast
import re

# What a variant may call its loss, its helpers and its own variables. The arguments keep their names.
POOLS = {
    "team_loss": (
        "team_loss",
        "batch_loss",
        "our_loss",
        "class_loss",
        "train_loss",
        "step_loss",
        "note_loss",
        "my_loss",
    ),
    "TeamLoss": ("TeamLoss", "BatchLoss", "OurLoss", "ClassLoss", "TrainLoss", "StepLoss", "NoteLoss", "MyLoss"),
    "focus": ("focus", "easiness", "hardness", "attention", "damping", "emphasis"),
    "reduced": ("reduced", "pooled", "gathered", "summed_up", "collected"),
    "nll": ("nll", "ce", "cost", "surprise", "penalty"),
    "loss": ("loss", "focal", "terms", "values"),
    "factor": ("factor", "modulator", "scale", "part"),
    "weighted": ("weighted", "by_class", "balanced"),
    "weight": ("weight", "w", "class_weight"),
    "p_right": ("p_right", "p_true", "p_hit"),
    "p_wrong": ("p_wrong", "p_miss", "rest"),
    "log_p": ("log_p", "log_probs", "logp"),
    "total": ("total", "whole", "all_of_it"),
    "probs": ("probs", "scores", "soft"),
    "bce": ("bce", "binary", "entropy"),
    "pt": ("pt", "p_t", "confidence"),
    "known": ("known", "seen", "filled"),
}


def names_for(draw):
    """A name for each of these, no two alike."""
    return {old: draw.choice(pool) for old, pool in POOLS.items()}


def renamed(text, names):
    """Text with whole words exchanged, outside of attributes and keywords of calls."""
    words = "|".join(map(re.escape, names))
    return re.sub(rf"(?<![.\w])({words})\b(?!=[^=])", lambda found: names[found[1]], text)


def rewritten(source, names, draw):
    """The source of a loss, written another way; the same ``draw`` gives the same one."""
    tree = ast.parse(source)
    tree = _Names(names).visit(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            _shuffle_settings(node, draw)
            _swap_statements(node.body, draw)
    tree = _Factors(draw).visit(tree)
    lines = ast.unparse(ast.fix_missing_locations(tree)).splitlines()
    return "\n".join(line if '"' in line else line.replace("'", '"') for line in lines)


class _Names(ast.NodeTransformer):
    def __init__(self, names):
        self.names = names

    def visit_Name(self, node):
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node):
        node.name = self.names.get(node.name, node.name)
        return self.generic_visit(node)

    visit_ClassDef = visit_FunctionDef


class _Factors(ast.NodeTransformer):
    """a * b * c in another order."""

    def __init__(self, draw):
        self.draw = draw

    def visit_BinOp(self, node):
        if not isinstance(node.op, ast.Mult):
            return self.generic_visit(node)
        factors = [self.visit(factor) for factor in _factors(node)]
        self.draw.shuffle(factors)
        product = factors[0]
        for factor in factors[1:]:
            product = ast.BinOp(product, ast.Mult(), factor)
        return product


def _factors(node):
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]


def _shuffle_settings(function, draw):
    """Arguments that have a default, in another order."""
    arguments = function.args
    settings = list(
        zip(arguments.args[len(arguments.args) - len(arguments.defaults) :], arguments.defaults, strict=True)
    )
    draw.shuffle(settings)
    arguments.args[len(arguments.args) - len(settings) :] = [name for name, _ in settings]
    arguments.defaults = [default for _, default in settings]


def _swap_statements(body, draw):
    """Neighbours of which neither needs the other, exchanged now and then."""
    for k in range(len(body) - 1):
        one, two = body[k : k + 2]
        if all(_makes_variables(s) for s in (one, two)) and not _touches(one, two) and draw.random() < 0.5:
            body[k : k + 2] = two, one


def _makes_variables(statement):
    return isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets)


def _touches(one, two):
    made = [{n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} for s in (one, two)]
    used = [{n.id for n in ast.walk(s) if isinstance(n, ast.Name)} for s in (one, two)]
    return bool(made[0] & used[1] or made[1] & used[0])
