"""torch.optim: the two optimisers that the chapters use."""

from ._autograd import no_grad


class Optimizer:
    def __init__(self, params, **settings):
        params = list(params)
        if not params:
            raise ValueError("optimizer got an empty parameter list")
        self.params, self.settings, self.state = params, settings, {}

    def zero_grad(self, set_to_none=True):
        for p in self.params:
            p.grad = None

    def step(self, closure=None):
        with no_grad():
            for p in self.params:
                if p.grad is not None:
                    self._step(p, p.grad, self.state.setdefault(id(p), {"step": 0}))


class SGD(Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def _step(self, p, g, state):
        if self.settings["weight_decay"]:
            g = g + self.settings["weight_decay"] * p
        if self.settings["momentum"]:
            before = state.get("buffer")
            g = state["buffer"] = g if before is None else self.settings["momentum"] * before + g
        p.copy_(p - self.settings["lr"] * g)


class Adam(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _step(self, p, g, state):
        (one, two), state["step"] = self.settings["betas"], state["step"] + 1
        if self.settings["weight_decay"]:
            g = g + self.settings["weight_decay"] * p
        m = state["m"] = one * state.get("m", 0 * g) + (1 - one) * g
        v = state["v"] = two * state.get("v", 0 * g) + (1 - two) * g * g
        size = (v / (1 - two ** state["step"])).sqrt() + self.settings["eps"]
        p.copy_(p - self.settings["lr"] / (1 - one ** state["step"]) * m / size)
