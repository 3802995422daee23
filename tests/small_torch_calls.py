"""The calls on which the page's torch is held to the real one: x is a float tensor (2, 3), i two class indices."""

UNARY = [
    "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "sigmoid", "tanh", "sin",
    "cos", "erf", "neg", "abs", "square", "relu", "sign", "floor", "ceil", "round", "trunc", "isfinite", "isinf",
    "isnan", "isneginf", "isposinf", "logit", "exp2",
]  # fmt: skip

BINARY = [
    "add", "sub", "mul", "div", "pow", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge", "remainder",
    "floor_divide", "logical_and", "logical_or", "xlogy",
]  # fmt: skip

REDUCTIONS = [
    "sum", "mean", "prod", "amax", "amin", "argmax", "argmin", "any", "all", "std", "var", "logsumexp",
    "count_nonzero", "nansum",
]  # fmt: skip

SHAPING = """
x.reshape(-1)|x.view(3, 2)|x.view(4)|x.T|x.t()|x.transpose(0, 1)|x.permute(1, 0)|x.movedim(1, 0)|x.unsqueeze(1)
x[None]|x[:, None]|x[..., None]|x[0]|x[-1]|x[:, 1]|x[:, 1:]|x[::2]|x[5]|x[0, 1]|x[i]|x[i, i]|x[x > 0]|x[:, i]
x[i.bool()]|x[[0, 1]]|x[range(2), i]|x.flatten()|x.squeeze()|x.expand(2, 2, 3)|x.expand(3, 3)|x.repeat(2, 1)
x.roll(1, dims=1)|x.flip(0)|x.flip(1)|torch.cat([x, x])|torch.cat([x, x], dim=1)|torch.stack([x, 2 * x])
torch.stack([x, x], -1)|x.gather(1, i[:, None])|x.gather(1, 9 * i[:, None])|x.scatter(1, i[:, None], 1.0)
torch.zeros(2, 3, dtype=x.dtype).scatter(1, i[:, None], x)|x.scatter_add(1, i[:, None], x)|torch.where(x > 0, x, -x)
torch.where(x > 0, x, 0.0)|x.where(x > 0, 0)|x.masked_fill(x > 0, 3)|x.masked_select(x > 0)|x.clamp(-1, 1)
x.clamp(min=0.5)|x.clamp_min(0)|x.clamp_max(0.25)|x.clamp(1e-7, 1 - 1e-7)|x.softmax(1)|x.softmax(0)|F.softmax(x)
x.log_softmax(1)|x.log_softmax(-1)|F.logsigmoid(x)|F.softplus(x)|F.one_hot(i, 3)|F.one_hot(i)|F.one_hot(i, 1)
F.one_hot(x)|x @ x.T|x @ x|x @ x[0]|torch.matmul(x.T, x)|x.sum((0, 1))|x.max()|x.max(1)|x.min(1).values
x.max(dim=1).indices|x.cumsum(1)|x.sort(1).values|x.argsort(1)|x.topk(2).values|x.topk(9)|x.norm()|x.norm(dim=1)
x.sum()[7]|x.sum()[0]|x.sum()[0, 1]|x.sum()[:]|x.sum()[i]|x[0, 1, 2]
x.diagonal()|x.tril()|x.index_select(1, i)|x.unbind(1)[0]|x.chunk(2, 1)[1]|x.split(1)[1]
torch.take_along_dim(x, i[:, None], 1)|x.long()|x.float()|x.double()|x.half()|x.bool()|x.type_as(i)
x.to(torch.float16)|x.to(i)|x ** 2|x ** 0.5|2 ** x|x ** -1|x / 3|3 / x|1 - x|-x|x % 2|x // 2|x > 0|(x > 0) & (x < 1)
~(x > 0)|x == 1|x + i|x * i|x + i[:, None]|i / 2|i // 2|i ** 2|i * 0.5|i + True|x.item()|x[0, 0].item()|bool(x)|len(x)
x.tolist()|x.numel()|x.ndim|x.detach()|x.requires_grad|x.mean().backward()|x.sum().exp().log()|torch.allclose(x, x)
torch.equal(x, x + 1)|x.isclose(x)|torch.zeros(2, 3)|torch.ones_like(x)|torch.full((2,), 3)|torch.arange(5)
torch.arange(0, 1, 0.25)|torch.linspace(0, 1, 5)|torch.eye(2)|torch.tensor([1, 2.5])|torch.tensor([[1, 2], [3]])
torch.tensor("a")|torch.tensor([True])|torch.as_tensor(i)|torch.finfo(x.dtype).eps|torch.finfo(torch.bfloat16).max
torch.promote_types(torch.float16, torch.bfloat16)|torch.result_type(x, 1)|x.nan_to_num()|x.std(1)|x.logsumexp(1)
torch.cosine_similarity(x[:1], x[1:])|F.normalize(x)|x.bincount()|i.bincount()|i.unique()|torch.outer(i, i)
x.aminmax()|x.amax((0, 1))|x.new_zeros(2)|x.size(0)|x.shape|x.dtype|x.foo|None * x|x + "a"|"a" + x|x[1.5]|x["a"]
x["a":]|F.cross_entropy(x, i)|F.cross_entropy(x, i.float())|F.cross_entropy(x, i[:1])|F.cross_entropy(x, i + 9)
F.cross_entropy(x, i, reduction="foo")|F.cross_entropy(x, F.one_hot(i, 3))
F.cross_entropy(x, i, weight=x[0].float().half())|F.nll_loss(x, i[:, None])|F.binary_cross_entropy_with_logits(x, i)
F.binary_cross_entropy(x, x)|nn.CrossEntropyLoss()(x, i, reduction="none")|nn.BCELoss()(x.sigmoid(), i)|x.backward()
torch.autograd.grad(x.sum(), i)|torch.autograd.grad(i.sum(), x)|torch.nn.Linear(3, 2)
nn.Sequential(nn.Linear(3, 2), nn.ReLU())|nn.CrossEntropyLoss()|nn.Module()(x)|torch.Size([1, 2])|str(torch.float32)
x.view(-1, 1).gather(0, i[:, None])|x.sigmoid().log()|(x.exp() / (1 + x.exp())).log()
x.softmax(1).log().gather(1, i.view(-1, 1)).view(-1)|(1 - x.softmax(1).gather(1, i.view(-1, 1))) ** 0.5
torch.exp(-F.cross_entropy(x, i, reduction="none"))|x.mul(2).add(1).sub(3).div(4)
"""

STATEMENTS = [
    "y = x.clone(); y[0] = 0; result = y",
    "y = x.clone(); y[x > 0] = 1; result = y",
    "y = x.exp(); y[0] = 0; result = y",
    "y = x * 1; y += 1; result = y * y",
    "y = x.exp(); y.mul_(2); result = y",
    "x.add_(1); result = x",
    "y = x.sigmoid(); y *= 2; result = y",
    "y = x.detach(); y[0, 0] = 9; result = x",
    "y = torch.zeros(2, 3); y.view(-1)[4] = 1; result = y",
    "y = i.clone(); y[y == 0] = 5; result = y",
    "y = torch.zeros(2, dtype=x.dtype); y[0] = x.sum(); result = y",
    "i += 0.5; result = i",
    "x.data.clamp_(0); result = x * 1",
    "with torch.no_grad():\n    y = x * 2\nresult = y.requires_grad",
    "y = (x * x).sum(); y.backward(); y.backward()",
    "y = (x * x).sum(); y.backward(); result = x.grad",
    "y = x.sum(); y.backward(); y.backward(); result = x.grad",
    "y = (x.exp() + 1).sum(); y.backward(); y.backward()",
    "y = x * 2; y.requires_grad = False",
    "i.requires_grad_()",
    "g = torch.Generator().manual_seed(3); result = torch.randint(-3, 4, (5,), generator=g)",
    "torch.manual_seed(1); result = torch.rand(7)",
    "torch.manual_seed(1); result = torch.randn(5)",
    "torch.manual_seed(1); result = torch.randn(500, 2)",
    "torch.manual_seed(1)\nwith torch.random.fork_rng():\n    torch.manual_seed(2)\nresult = torch.rand(3)",
    "torch.manual_seed(4); result = torch.randn(20)",
    "torch.manual_seed(1); result = torch.randn(5, dtype=torch.float64)",
    "torch.manual_seed(1); result = torch.randn(30, dtype=torch.float64)",
    "torch.manual_seed(1); result = torch.randperm(9)",
    "torch.manual_seed(1); result = torch.rand(3, dtype=torch.float64)",
    "torch.manual_seed(0); result = nn.Linear(3, 2).weight",
    "m = nn.Module(); m.a = 1; m.register_buffer('a', i)",
    "class M(nn.Module):\n    def __init__(self):\n        self.w = nn.Parameter(torch.ones(2))\nM()",
    "m = nn.CrossEntropyLoss(torch.ones(3)).double(); result = m.weight.dtype",
    "m = nn.BCELoss(); m.weight = 3",
]

PRINTED = [
    "torch.tensor([1.0, 2.5])",
    "torch.tensor([[1, 20], [3, 4]])",
    "torch.zeros(2, 3)",
    "torch.tensor(3.25)",
    "torch.tensor([1e-9, 1.0])",
    "torch.tensor([1e9])",
    "torch.tensor([float('nan'), float('inf'), 1.0])",
    "torch.tensor([1.0, 2.0], dtype=torch.float64)",
    "torch.tensor([True, False])",
    "torch.arange(30.0)",
    "torch.arange(2000)",
    "torch.zeros(2, 2, 2)",
    "torch.tensor([])",
    "torch.zeros(0, 3)",
    "torch.ones(2, requires_grad=True)",
    "torch.ones(2, requires_grad=True).exp()",
    "nn.Parameter(torch.ones(2))",
    "torch.tensor([-1.5, 22.25])",
    "torch.tensor([0.1234567, 100.0])",
    "torch.ones(3, dtype=torch.float16)",
    "torch.zeros(2, device='meta')",
    "F.cross_entropy(torch.zeros(1, 2, requires_grad=True), torch.tensor([0]))",
    "torch.float32",
    "torch.zeros(2, 3).shape",
    "torch.device('cpu')",
    "nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Softmax(dim=1))",
    "torch.tensor([1, 2]).max(0)",
    "torch.zeros(3).min(0)",
]

CALLS = [call for line in SHAPING.strip().splitlines() for call in line.split("|") if call]
