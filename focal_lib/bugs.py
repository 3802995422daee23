"""The bug catalogue: focal losses that run, train, and are wrong; and code that only looks so.

The faulty code itself is in ``faulty.py``. Chapter 06 is the museum of it.
"""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F

from . import faulty

__all__ = ["CATALOGUE", "LOOKALIKES", "Bug", "Lookalike"]


class _Exhibit:
    """What bugs and look-alikes have in common."""

    @property
    def code(self):
        """The source text of the loss."""
        return inspect.getsource(self.loss)

    @property
    def source_links(self):
        """``source`` in Markdown, its public threads as links."""
        return re.sub(r"([\w.-]+/[\w.-]+)#(\d+)", r"[\1#\2](https://github.com/\1/issues/\2)", self.source)

    def build(self, alpha=None, gamma=2.0):
        """The loss as a criterion: a callable ``(input, target) -> loss``, its reduction the default one.

        Args:
            alpha: None, or a tensor ``(C,)``. Passed on if this loss has a weight per class; one with a single
                alpha for all classes keeps its own number, and one without alpha has none.
            gamma: passed on if this loss has a gamma.

        The criterion takes logits ``(N, C)`` and int64 class indices ``(N)``, whatever the original wanted. It is
        an ``nn.Module`` where the original was one, else a function.
        """
        parameters = inspect.signature(self.loss).parameters
        arguments = {"gamma": gamma} if "gamma" in parameters else {}
        if alpha is not None and "alpha" in parameters and parameters["alpha"].default is None:
            arguments["alpha"] = alpha
        if inspect.isclass(self.loss):
            return self.loss(**arguments)
        if self.loss is faulty.binary_scalar_alpha:  # the one that wants float targets of the logits' shape
            return lambda input, target: self.loss(input, F.one_hot(target, input.shape[1]).to(input), **arguments)
        return functools.partial(self.loss, **arguments)


@dataclass(frozen=True)
class Bug(_Exhibit):
    """One faulty loss: what it is, where such code was seen, how to find it and how to mend it."""

    id: str
    room: str  # the kind of fault: a key of ROOMS
    loss: Callable  # the faulty loss: a function, or a Module class
    exposed_by: str  # the property that shows it at least cost, by its name in focal_lib.properties
    title: str
    source: str  # where such code was seen: a source of this book, or owner/repo#number of a public thread
    symptom: str  # what a user would report
    hides: str  # why training does not show it
    fix: str


@dataclass(frozen=True)
class Lookalike(_Exhibit):
    """Code that looks guilty and is innocent."""

    id: str
    title: str
    source: str
    loss: Callable
    why: str


ROOMS = {
    "batch": "One number for all",
    "weights": "Weights in the wrong place",
    "curve": "The wrong curve",
    "gradient": "Dead or poisoned gradients",
    "average": "The wrong average",
    "manners": "Rude to its caller",
}
SOURCE_1 = "001, a question on multiclass focal loss for a four-class BERT"
SOURCE_2 = "002, an article on focal loss from BCE"
SOURCE_3 = "003, an article on class weights and focal loss"
SCALE = "A constant factor is a learning rate under SGD and cancels under Adam."

# fmt: off
_BUGS = [
    Bug("mean_before_pt", "batch", faulty.mean_before_pt, "batch_is_mean_of_singles",
        "One p_t for the whole batch",
        f"{SOURCE_1}; jfzhang95/pytorch-deeplab-xception#133 (2019), kaidic/LDAM-DRW#6 (2019)",
        "Hard examples are not favoured: training is cross-entropy that slows down as it succeeds.",
        "The loss falls, and at gamma = 0 it equals cross-entropy exactly.",
        'Compute the cross-entropy with reduction="none" and reduce last.'),
    Bug("reduce_flag_without_effect", "batch", faulty.reduce_flag_without_effect, "none_has_the_targets_shape",
        "One p_t for the whole batch, and reduce=False returns a single number",
        SOURCE_1,
        "Hard examples are not favoured; asking for the loss of each example gives one number.",
        "The loss falls, at gamma = 0 it equals cross-entropy, and training never asks for reduce=False.",
        'Compute the cross-entropy with reduction="none"; reduce only when asked to.'),
    Bug("weighted_mean_before_pt", "batch", faulty.weighted_mean_before_pt, "batch_is_mean_of_singles",
        "One p_t, of the weighted mean",
        "jfzhang95/pytorch-deeplab-xception#133 (2019), gokulprasadthekkel/pytorch-multi-class-focal-loss#1 (2021)",
        "As with one p_t for the batch; with batches of one, the class weights do nothing.",
        "The weights do reach cross-entropy, so rare classes are learned.",
        'Cross-entropy without weights and with reduction="none"; multiply by alpha[target] afterwards.'),
    Bug("scalar_alpha", "batch", faulty.scalar_alpha, "alpha_scales_its_class",
        "One alpha for all classes",
        f"{SOURCE_1}; zimenglan-sysu-512/Focal-Loss#8 (2017), kornia/kornia#2371 (2023)",
        "Changing alpha does not change the trained model.",
        SCALE,
        "One weight per class, looked up by the target: alpha[target]."),
    Bug("n_by_n", "batch", faulty.n_by_n, "none_has_the_targets_shape",
        "Weights (N, 1) times losses (N,): an N×N table",
        "Hsuxu/Loss_ToolBox-PyTorch#8 (2019)",
        "The weights do nothing; with images, 19600 GiB of memory are asked for.",
        "The mean of the table is mean(alpha) · mean(loss), a plausible number that falls.",
        "Keep the weights in the target's shape: alpha[target], no unsqueeze."),
    Bug("weight_inside_cross_entropy", "weights", faulty.weight_inside_cross_entropy, "alpha_scales_its_class",
        "Class weights inside the exponent",
        f"the question in {SOURCE_1}; gokulprasadthekkel/pytorch-multi-class-focal-loss#1 (2021), "
        "marcdcfischer/PUNet#1 (2023), a review of pytorch/vision#7760 (2023)",
        "A weight of 4 acts like far more than 4 on examples that the model already gets right.",
        "Without weights, and at gamma = 0, it is correct.",
        "Take p_t from the unweighted cross-entropy; multiply by alpha[target] afterwards."),
    Bug("weight_applied_twice", "weights", faulty.weight_applied_twice, "alpha_scales_its_class",
        "Class weights applied twice",
        "mathiaszinnen/focal_loss_torch#13 (2023)",
        "Rare classes take over: a weight of 4 acts as 16.",
        "Minority recall rises, which is what the weights were for.",
        "Weight once: cross-entropy without weights, then alpha[target]."),
    Bug("alpha_reversed", "weights", faulty.alpha_reversed, "alpha_scales_its_class",
        "Weights in reversed order",
        "unsky/focal-loss#9 (2017), yatengLG/Focal-Loss-Pytorch#4 (2020), clcarwin/focal_loss_pytorch#10 (2020)",
        "Minority recall falls after weights were added.",
        "The loss falls, faster than before: the easy class got the weight.",
        "alpha[k] belongs to class k: look it up by the target's own index."),
    Bug("alpha_unused", "weights", faulty.alpha_unused, "alpha_scales_its_class",
        "Weights accepted and never used",
        "tensorflow/tensorflow#61519 (2023), maozezhong/focal_loss_multi_class#3 (2019)",
        "alpha of 0.25, 10 and 100 give one and the same loss.",
        "It is a correct unweighted focal loss.",
        "Multiply by alpha[target], or refuse the argument."),
    Bug("alpha_and_gamma_swapped", "weights", faulty.alpha_and_gamma_swapped, "gives_the_golden_numbers",
        "alpha and gamma swapped",
        "qubvel/segmentation_models#258 (2019)",
        "gamma scales the whole loss; alpha decides how much easy examples count.",
        "With alpha = 1 it is a focal loss with gamma 1, times gamma.",
        "Pass them by name."),
    Bug("alpha_overwritten", "weights", faulty.AlphaOverwritten, "is_stateless",
        "Weights overwritten by the first batch",
        "yatengLG/Focal-Loss-Pytorch#5 and #9 (2020)",
        "The second call weighs by the first batch's labels; an index error comes late or never.",
        "The first call is right, and after some calls all weights are the same.",
        "A local variable: alpha = self.alpha[target]."),
    Bug("alpha_length_unchecked", "weights", faulty.alpha_length_unchecked, "wrong_alpha_length_is_refused",
        "A weight too many goes unnoticed",
        SOURCE_3,
        "After a class was dropped from the data, every weight belongs to its neighbour.",
        "Indexing by the target finds a number, only not the right one.",
        "Compare len(alpha) with input.shape[1]."),
    Bug("alpha_none_crashes", "weights", faulty.AlphaNoneCrashes, "runs_with_defaults",
        "The default alpha=None crashes",
        SOURCE_3,
        "TypeError: 'NoneType' object is not subscriptable, on the first call.",
        "The article always passes weights.",
        "Skip the weights when alpha is None."),
    Bug("alpha_stays_behind", "weights", faulty.AlphaStaysBehind, "weights_follow_the_module",
        "Alpha stays behind when the module moves",
        f"{SOURCE_3}; yatengLG/Focal-Loss-Pytorch#17 (2023)",
        "It runs on the CPU and fails on the GPU; a saved model forgets its weights.",
        "The article trains on the CPU and saves nothing.",
        'self.register_buffer("alpha", alpha).'),
    Bug("binary_scalar_alpha", "curve", faulty.binary_scalar_alpha, "default_is_unweighted",
        "The same alpha for positives and negatives",
        f"{SOURCE_2}; liuyuisanai/Focal-Loss#4 (2017), mkocabas/focal-loss-keras#6 (2018)",
        "Positives weigh as much as negatives, whatever alpha is; gamma = 0 gives a quarter of BCE.",
        SCALE,
        "alpha * target + (1 - alpha) * (1 - target), and a softmax where one of C classes is right."),
    Bug("one_against_all", "curve", faulty.one_against_all, "is_shift_invariant",
        "C yes-or-no questions for a one-of-C problem",
        f"an answer to {SOURCE_1}; pytorch/vision#3250 (2021), asked and recommended",
        "Probabilities do not sum to 1; adding a constant to all logits changes the loss.",
        "The largest logit is still the right one, so accuracy looks fine. For multilabel data it is right.",
        "Softmax cross-entropy where exactly one class is right."),
    Bug("one_against_all_averaged", "curve", faulty.one_against_all_averaged, "is_shift_invariant",
        "C yes-or-no questions, averaged",
        f"{SOURCE_2}, taken to C classes; qubvel-org/segmentation_models.pytorch#671 (2022)",
        "As with C questions; and with many classes, the easy noes thin out the mean.",
        "As with C questions. For multilabel data it is right.",
        "Softmax cross-entropy where exactly one class is right."),
    Bug("product_instead_of_power", "curve", faulty.product_instead_of_power, "gamma_zero_is_cross_entropy",
        "* where ** was meant",
        "fudannlp16/focal-loss#6 (2018)",
        "At gamma = 0 the loss is 0; a larger gamma only scales it.",
        "It is gamma times a focal loss with gamma 1.",
        "(1 - p_t) ** gamma."),
    Bug("easy_side_kept", "curve", faulty.easy_side_kept, "ratio_falls_as_p_t_rises",
        "p_t where 1 - p_t was meant",
        "yqyao/SSD_Pytorch#32 (2019)",
        "What the model gets wrong hardly counts; rare classes are given up.",
        "The loss falls quickly, and accuracy on imbalanced data stays high. This one shows: recall collapses.",
        "(1 - p_t) ** gamma."),
    Bug("log_p_taken_for_p", "curve", faulty.log_p_taken_for_p, "lies_between_zero_and_cross_entropy",
        "log p used as if it were p",
        "DingKe/pytorch_workplace#1 (2017)",
        "The loss is larger than cross-entropy, and hard examples explode.",
        "It falls with p_t, so training works: it is an over-aggressive hard-example miner.",
        "p_t = exp(log_p_t)."),
    Bug("log_of_cross_entropy", "curve", faulty.log_of_cross_entropy, "gives_the_golden_numbers",
        "The logarithm of the cross-entropy",
        "c0nn3r/RetinaNet#8 (2017)",
        "Losses are negative; wrong predictions are rewarded without limit.",
        "Hardly: it is unrelated to focal loss. Early in training its slope can point the right way.",
        "cross_entropy is -log p_t already: p_t = exp(-ce)."),
    Bug("softmax_twice", "curve", faulty.softmax_twice, "perfect_prediction_costs_nothing",
        "Softmax twice",
        "qubvel-org/segmentation_models.pytorch#1263 (2025), matterport/Mask_RCNN#427 (2018, asked and denied)",
        "The loss stays high for perfect predictions: with 4 classes cross-entropy cannot go below 0.744.",
        "The order of the classes is kept, so accuracy is nearly the same; training is slow.",
        "Give cross_entropy the logits (or log-probabilities), never probabilities."),
    Bug("nan_below_gamma_one", "gradient", faulty.nan_below_gamma_one, "is_finite_for_small_gamma",
        "NaN gradients below gamma = 1",
        f"{SOURCE_3}; liuyuisanai/Focal-Loss#11 (2017), kornia/kornia#918 (2021), fizyr/keras-retinanet#706 (2018)",
        "Training with gamma = 0.5 runs for a while, then every weight is NaN.",
        "It needs one example so certain that p_t rounds to 1, and gamma = 2 never shows it.",
        "-torch.expm1(-ce.clamp_min(tiny)) for 1 - p_t."),
    Bug("clamped_probability", "gradient", faulty.clamped_probability, "gradient_is_full_when_wrong_by_100",
        "Clamping kills the gradient of the worst mistakes",
        "NVIDIA/retinanet-examples#93 (2019), fudannlp16/focal-loss#4 (2018)",
        "Confident mistakes, wrong labels for one, are never corrected.",
        "Only the worst examples are dead, and most batches have none.",
        "log_softmax instead of log(clamp(softmax))."),
    Bug("log_of_softmax", "gradient", faulty.log_of_softmax, "is_finite_at_extreme_logits",
        "log of softmax in two steps",
        "yatengLG/Focal-Loss-Pytorch#7 (2020)",
        "inf, then NaN, when an example is very wrong.",
        "Early in training logits are small.",
        "log_softmax, or cross_entropy."),
    Bug("epsilon_lost_in_half", "gradient", faulty.epsilon_lost_in_half, "is_finite_in_half_precision",
        "An epsilon that half precision rounds to 0",
        "mkocabas/focal-loss-keras#17 (2018), achaiah/pywick#53 (2022), rwightman/efficientdet-pytorch#291 (2023)",
        "Works in float32; inf or NaN under float16.",
        "In float32 it only silences the worst mistakes.",
        "log_softmax needs no epsilon; compute the loss in float32."),
    Bug("detached_focus", "gradient", faulty.detached_focus, "gradient_is_the_slope",
        "p_t cut out of the gradient",
        "clcarwin/sphereface_pytorch#24 (2018), openpifpaf/openpifpaf#244 (2020)",
        "Values are right, steps too small: the true gradient is 1.09 times as long at p_t = 0.01, 2.99 times at 0.99.",
        "The loss itself is exact. Some do this on purpose; then it should say so.",
        "No .detach(), no .data."),
    Bug("overflowing_focus", "gradient", faulty.overflowing_focus, "is_finite_at_extreme_logits",
        "A modulator that overflows",
        "richardaecn/class-balanced-loss#1 (2019), whose formula others copied",
        "NaN gradients once an example is certain.",
        "Values stay finite and right.",
        "-expm1(-ce) needs no odds."),
    Bug("gradient_of_probability", "gradient", faulty.gradient_of_probability, "gradient_is_the_slope",
        "The gradient of p handed over as the logit's",
        "lightgbm-org/LightGBM#2052 (2019), rahowa/catboost_focal_loss#2 (2023)",
        "A hand-written gradient trains, but slowly, and confident mistakes get enormous steps.",
        "Its sign is right.",
        "The chain rule: times p_t (onehot - p), or leave it to autograd."),
    Bug("masked_class_poisons", "gradient", faulty.masked_class_poisons, "masked_class_is_absent",
        "A masked class turns the loss to NaN",
        "HeyLynne/FocalLoss_for_multiclass#4 (2023), by its one-hot product",
        "NaN as soon as a class is masked with -inf.",
        "Most models mask nothing.",
        "gather the target's log-probability instead of multiplying by a one-hot."),
    Bug("ignored_rows_in_the_mean", "average", faulty.ignored_rows_in_the_mean, "ignored_rows_are_dropped",
        "Ignored rows stay in the mean",
        "named in PaddlePaddle/PaddleSeg#1899 (2022)",
        "The loss shrinks as more of the image is ignored.",
        "Only its scale is wrong, and differently in every batch.",
        "Divide by the number of targets that are not ignored."),
    Bug("ignored_rows_as_class_zero", "average", faulty.ignored_rows_as_class_zero, "ignored_rows_are_dropped",
        "Ignored rows count as class 0",
        "PaddlePaddle/PaddleSeg#1899 (2022)",
        "Unlabelled pixels are learned as background.",
        "Background is frequent anyway.",
        "Replace the index for the look-up, then multiply by the mask."),
    Bug("labels_overwritten", "average", faulty.labels_overwritten, "inputs_are_unchanged",
        "The caller's labels are overwritten",
        "the same line in PaddleSeg's dice loss, and in ports of it",
        "From the second epoch on, ignored targets have turned into class 0.",
        "The first value is right: the damage is in the caller's tensor.",
        "target.where(kept, 0) makes a new tensor."),
    Bug("sum_called_mean", "average", faulty.sum_called_mean, "doubled_batch_keeps_the_mean",
        "A sum called mean",
        "hwei-hw/FocalLoss_Keras#5 (2018), umbertogriffo/focal-loss-keras#10 (2020)",
        "The best learning rate changes with the batch size.",
        "Adam divides by the gradient's size.",
        "loss.mean()."),
    Bug("mean_over_classes", "average", faulty.mean_over_classes, "gamma_zero_is_cross_entropy",
        "The mean divides by N · C",
        "itakurah/focal-loss-pytorch#6 (2026)",
        "The loss is C times too small; reduction='none' gives a table.",
        SCALE,
        "Sum over the classes before the mean."),
    Bug("class_axis_not_moved", "average", faulty.class_axis_not_moved, "image_equals_its_rows",
        "view(-1, C) mixes pixels and classes",
        "MIC-DKFZ/nnUNet#705 (2021)",
        "A segmentation network does not train at all.",
        "With (N, C) input it is right, and that is what tests use.",
        "cross_entropy takes (N, C, H, W) as it is; else movedim(1, -1) before the reshape."),
    Bug("reduction_in_the_wrong_call", "manners", faulty.reduction_in_the_wrong_call, "runs_with_defaults",
        "reduction= in the wrong parentheses",
        "threads about the code of yatengLG/Focal-Loss-Pytorch",
        "TypeError: forward() got an unexpected keyword argument 'reduction'.",
        "It does not hide; it shows that nobody ran the code.",
        'nn.CrossEntropyLoss(reduction="none")(input, target).'),
    Bug("prints_every_time", "manners", faulty.PrintsEveryTime, "prints_nothing",
        "A message for every loss that is built",
        "the code of yatengLG/Focal-Loss-Pytorch, and its many copies",
        "Logs full of one line; a loss built in the loop prints every step.",
        "Numbers are right.",
        "extra_repr() says it to whoever asks."),
    Bug("float32_inside", "manners", faulty.float32_inside, "keeps_float64",
        "float64 comes back as float32",
        "tianzhi0549/FCOS#121 (2019), its .float() for half precision",
        "gradcheck fails, and scientific code loses half its digits.",
        "Training is in float32.",
        "input.to(torch.promote_types(input.dtype, torch.float32))."),
]

_LOOKALIKES = [
    Lookalike(
        "log_probabilities_as_logits", "Log-probabilities into cross-entropy",
        "001: a model that ends in LogSoftmax; sauradip/STALE#17 (2023, asked and withdrawn)",
        faulty.log_probabilities_as_logits,
        "log_softmax leaves log-probabilities as they are: their exponentials already sum to 1.",
    ),
    Lookalike(
        "misnamed", "Right sums under wrong names",
        "001: BCE_loss for a cross-entropy, and pt for 1 - p_t in an answer",
        faulty.misnamed,
        "A name changes no number. It misleads the next reader, so rename it.",
    ),
    Lookalike(
        "divided_by_the_weights", "The mean divides by the sum of the weights",
        "F.cross_entropy(weight=...) divides like this; TensorFlow and Keras divide by N",
        faulty.divided_by_the_weights,
        "Two conventions. With this one a batch of one forgets its weight.",
    ),
    Lookalike(
        "always_summed", "It returns the sum",
        "detection code, which then divides by the number of objects",
        faulty.always_summed,
        "A sum is a sum as long as nobody calls it a mean. The learning rate depends on the batch size.",
    ),
]
# fmt: on

CATALOGUE = {bug.id: bug for bug in _BUGS}
LOOKALIKES = {lookalike.id: lookalike for lookalike in _LOOKALIKES}
