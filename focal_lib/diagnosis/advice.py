"""What to do next, in words: for a broken promise that no known cause explains, and for another loss."""

from ..bugs import CATALOGUE

__all__ = [
    "BITES",
    "LEVEL_WORDS",
    "MENDS",
    "OF_THE_FORMULA",
    "RAISED",
    "bites",
    "mend",
    "titled",
    "to_the_focal_loss",
]

RAISED = "it raised "
LEVEL_WORDS = {
    "wrong": "in ordinary use the value or the gradient is not the focal loss's",
    "fragile": "right for small, ordinary batches, and breaks at an extreme, a dtype, a size or a mode",
    "manners": "it works, and is rude to its caller",
}
CROSS_ENTROPY = 'F.cross_entropy(input, target, reduction="none")'
ROWS = f"ce = {CROSS_ENTROPY}"
FLOOR = "(-torch.expm1(-ce.clamp_min(torch.finfo(ce.dtype).tiny))) ** gamma * ce"
FORMULA = f"Compare it, line by line, with {ROWS}; loss = {FLOOR}"
LOG = "Take F.log_softmax(input, 1), without clamp or epsilon, in place of the log of a softmax or sigmoid"
WIDE = "Compute in float32 or wider: input = input.to(torch.promote_types(input.dtype, torch.float32))"
REDUCE = 'Reduce last: {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction], of one loss for each row'
LOCAL = "Compute with local variables, and write into nothing that was handed in or belongs to self"
MENDS = {  # property, or a kind of violation -> how to mend it where no cause is known; the others: FORMULA
    "alpha_by_default": "Use alpha only where it is given: if alpha is not None",
    "table": "Give both one shape before all else: input = input.view_as(target)",
    "runs_with_defaults": "Call it with torch.randn(4, 3, requires_grad=True) and torch.tensor([0, 1, 2, 0]) and read "
    "on from there: it must return a tensor with a graph, without .item(), .detach() or .data",
    "takes_class_indices": "Turn them into what it wants: target = F.one_hot(target, input.shape[1]).to(input)",
    "prints_nothing": "Delete the print",
    "inputs_are_unchanged": LOCAL,
    "is_stateless": LOCAL,
    "keeps_float64": "Write input.to(torch.promote_types(input.dtype, torch.float32)) in place of "
    "input.float(), and target.to(input) in place of target.float()",
    "weights_follow_the_module": CATALOGUE["alpha_stays_behind"].fix,
    "none_has_the_targets_shape": REDUCE,
    "sum_is_n_times_the_mean": REDUCE,
    "batch_is_mean_of_singles": f"Nothing may be averaged before the last line: {ROWS}, and loss.mean() at the end",
    "doubled_batch_keeps_the_mean": f"Nothing may be averaged before the last line: {ROWS}, and loss.mean() at the end",
    "ignored_rows_are_dropped": "kept = target != ignore_index; input, target = input[kept], target[kept], before all "
    "else",
    "default_is_unweighted": "Make None the default of alpha, and multiply by alpha[target] only where it is given",
    "alpha_scales_its_class": "Multiply by alpha[target] once, after p_t was taken and before the mean",
    "wrong_alpha_length_is_refused": CATALOGUE["alpha_length_unchecked"].fix,
    "image_equals_its_rows": "Take the classes at dim=1: F.cross_entropy takes (N, C, H, W) so; elsewhere, "
    "input = input.movedim(1, -1).flatten(0, -2); target = target.flatten(), before all else",
    "gradient_is_the_slope": "No .detach(), .item() or .data between the logits and the loss; a backward of your own "
    "must pass torch.autograd.gradcheck",
    "is_finite_at_extreme_logits": LOG,
    "is_finite_for_small_gamma": CATALOGUE["nan_below_gamma_one"].fix,
    "gradient_is_full_when_wrong_by_100": LOG,
    "masked_class_is_absent": CATALOGUE["masked_class_poisons"].fix,
    "is_finite_in_half_precision": WIDE,
    "scales_with_what_follows": "A backward of your own must return grad_output times the derivative",
    "each_row_has_its_own_scale": "A backward of your own must return grad_output[:, None] times the derivative",
    "modes_change_nothing": "Compute by one formula, whatever self.training and torch.is_grad_enabled() are",
    "one_graph_serves_twice": "backward must not write into saved tensors: grad * saved, not saved.mul_(grad)",
    "second_derivative_is_right_or_refused": "Put @torch.autograd.function.once_differentiable above a backward of "
    "your own: then it is refused; without one, take out what detaches",
    "is_right_at_every_size": "Look where rows or classes are cut into blocks: what is done with the last one, which "
    "is shorter, and by what each is divided",
    "memory_layout_changes_nothing": "Write input = input.contiguous() first",
}
TITLES = {  # property, or kind -> what a colleague would say of a loss that breaks it, where no cause is known
    "table": "Logits (N, 1) beside targets (N,) become a table of N times N losses",
    "alpha_by_default": "It fails with its default alpha, and runs where weights are given",
    "alpha_unused": CATALOGUE["alpha_unused"].title,
    "takes_class_indices": "It refuses class indices",
    "prints_nothing": "It prints",
    "inputs_are_unchanged": "It writes into what it was handed",
    "is_stateless": "A call changes what the next one gives",
    "keeps_float64": "float64 comes back as another dtype",
    "weights_follow_the_module": CATALOGUE["alpha_stays_behind"].title,
    "none_has_the_targets_shape": "It does not give one loss for each target",
    "sum_is_n_times_the_mean": "Its sum is not N times its mean",
    "batch_is_mean_of_singles": "A batch costs something else than its rows, each alone",
    "doubled_batch_keeps_the_mean": "Its mean depends on how many examples there are",
    "ignored_rows_are_dropped": "Ignored targets still count",
    "default_is_unweighted": "With no alpha given, its losses are weighted",
    "alpha_scales_its_class": "A class weight does not simply multiply the losses of its class",
    "wrong_alpha_length_is_refused": CATALOGUE["alpha_length_unchecked"].title,
    "image_equals_its_rows": "A label map gives another loss than its pixels one by one",
    "is_finite_at_extreme_logits": "inf or nan at large logits",
    "is_finite_for_small_gamma": CATALOGUE["nan_below_gamma_one"].title,
    "gradient_is_full_when_wrong_by_100": "The gradient of the worst mistakes fades",
    "masked_class_is_absent": "A class masked with -inf spoils the loss",
    "is_finite_in_half_precision": "inf or nan in half precision",
    "scales_with_what_follows": "What follows the loss does not reach its gradient as it should",
    "each_row_has_its_own_scale": "Rows that are weighted afterwards get a wrong gradient",
    "modes_change_nothing": "A mode of the module or of autograd changes the loss",
    "one_graph_serves_twice": "A second backward pass through one graph gives another gradient",
    "second_derivative_is_right_or_refused": "Its second derivative is wrong, without a word",
    "memory_layout_changes_nothing": "Transposed or expanded logits give another loss",
}
BITES = {  # property, or kind -> what it takes to see it, to follow "It bites with"
    "table": "logits (N, 1) beside targets (N,)",
    "none_has_the_targets_shape": "reduction='none'",
    "sum_is_n_times_the_mean": "reduction='sum'",
    "ignored_rows_are_dropped": "ignored targets",
    "alpha_scales_its_class": "class weights of your own",
    "each_row_has_its_own_scale": "a mask or weights over the losses of reduction='none'",
    "weights_follow_the_module": "class weights on a GPU, and in saved models, which lack them",
    "image_equals_its_rows": "label maps (N, C, H, W)",
    "gradient_has_the_closed_form": "two equal logits in a row, as an untrained last layer gives",
    "is_finite_at_extreme_logits": "logits of 10 000",
    "is_finite_for_small_gamma": "gamma below 1, and an example so certain that p_t rounds to 1 (from 17 logits ahead "
    "in float32)",
    "masked_class_is_absent": "a class masked with -inf",
    "is_finite_in_half_precision": "float16, bfloat16 or autocast",
    "one_graph_serves_twice": "two backward passes through one graph (retain_graph=True)",
    "second_derivative_is_right_or_refused": "second derivatives, as in gradient penalties",
    "memory_layout_changes_nothing": "transposed or expanded logits",
}
OF_THE_FORMULA = ("gradient_is_full_when_wrong_by_100", "masked_class_is_absent")  # not kept by another formula
LOSS_OF_ROWS = "take loss.mean() of the losses of all rows"
OTHERS = (  # words that a relative has -> what gives the paper's loss
    ("alpha for class 0", "pass 1 - alpha where you passed alpha (0.75 for 0.25)"),
    ("temperature", "hand cross_entropy the logits undivided: a temperature of 1"),
    ("smooth", "set its smoothing to 0"),
    (
        "yes-or-no",
        f"where exactly one class is right, replace the yes-or-no terms and their sum: {ROWS}; loss = {FLOOR}; "
        "return loss.mean()",
    ),
    ("asymmetric", "give yes and no one gamma, without a margin"),
    ("without a focus", f"give it a gamma above 0: loss = {FLOOR}"),
    ("positives", LOSS_OF_ROWS),
    ("other than class 0", LOSS_OF_ROWS),
    ("overlap", "take the term of overlaps out"),
    ("mean of 1 - p_t", "take the term 1 - p_t out"),
    ("class weights are", "multiply by alpha[target] as it is, and do not divide alpha first"),
    ("times the gamma", "divide the gamma that you pass by this factor"),
    ("gamma for each class", "set all its gammas to one number"),
    ("gamma depends", "take one gamma, whatever p_t is"),
    ("sum of its factors", LOSS_OF_ROWS),
    ("hardest", LOSS_OF_ROWS),
    ("margin", "hand cross_entropy the logits as they are: a margin of 0"),
    ("adjustment", "hand cross_entropy the logits as they are, and weight by alpha[target] instead"),
    ("both answers", "alpha * target + (1 - alpha) * (1 - target) in place of alpha"),
    (" times ", "set the weight of the other term to 0"),
)


def titled(name, kind, example):
    """What breaks this promise, in a few words; empty where only its formula can be said to differ, or it raised."""
    return TITLES.get(kind) or ("" if RAISED in example else TITLES.get(name, ""))


def mend(name, kind=None):
    """What to do about a broken promise for which no cause is known."""
    return f"{(MENDS.get(kind) or MENDS.get(name, FORMULA)).rstrip('.')}."


def bites(violations, kinds):
    """What it takes to see that these promises are broken, in words."""
    words = dict.fromkeys(filter(None, (BITES.get(kinds.get(name)) or BITES.get(name) for name in violations)))
    size = violations.get("is_right_at_every_size", "").partition(",")[0]
    return "; ".join([f"sizes such as {size}"] * bool(size) + [*words])


def to_the_focal_loss(relative):
    """What to change to get the paper's loss from a relative."""
    words = (step for part, step in OTHERS if part in relative)
    return f"{next(words, f'replace it: {ROWS}; loss = {FLOOR}')}."
