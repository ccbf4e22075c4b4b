"""Layers as users write them: (B, L, D) -> (B, L, D), good ones and bad ones."""

import torch
from torch import nn


class Causal(nn.Module):
    """A running mean, left to right, with an initialization of its own."""

    def __init__(self, d_model, gain=2.0):
        super().__init__()
        self.proj = nn.Linear(d_model, d_model)
        nn.init.eye_(self.proj.weight)
        nn.init.constant_(self.proj.bias, gain)

    def forward(self, x):
        count = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        return self.proj(x.cumsum(1) / count)


class Doubles(nn.Linear):
    """Gives float64."""

    def __init__(self, dim):
        super().__init__(dim, dim)

    def forward(self, x):
        return super().forward(x).double()


class Quits(nn.Module):
    """Ends the process."""

    def __init__(self):
        raise SystemExit(0)


class Stopped(SystemExit):
    """As a scheduler's signal raises it in the middle of any code."""


class IsStopped(nn.Module):
    """Is told to end while it is made."""

    def __init__(self):
        raise Stopped(143)


class HalfPrecise(nn.Module):
    """Computes in bfloat16: a row alone and in a batch are rounded otherwise."""

    def __init__(self, hidden_size):
        super().__init__()
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True).bfloat16()

    def forward(self, x):
        return self.gru(x.bfloat16())[0].to(x.dtype)


class SeesBothWays(nn.Module):
    """The mean of the whole row."""

    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        return self.proj(x.sum(1, keepdim=True).expand_as(x))


class ZeroAtFirst(nn.Module):
    """Attention that adds nothing before it is trained."""

    def __init__(self, dim, num_heads, batch_first):
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, num_heads, batch_first=batch_first)
        nn.init.zeros_(self.attention.out_proj.weight)

    def forward(self, x):
        return self.attention(x, x, x)[0]


class GivesTuple(Causal):
    def forward(self, x):
        return super().forward(x), None, {"state": 1}


class OwnNames(nn.Module):
    """Names that transformers renames or knows, tied weights, and a state_dict with other names."""

    def __init__(self, hidden_size):
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(hidden_size))
        self.beta = nn.Parameter(torch.randn(hidden_size))
        self.lm_head = nn.Linear(hidden_size, hidden_size)
        self.model = nn.Linear(hidden_size, hidden_size)
        self.again = nn.Linear(hidden_size, hidden_size)
        self.again.weight = self.model.weight
        self._register_state_dict_hook(rename)

    def forward(self, x):
        return self.again(self.model(self.lm_head(x * self.gamma + self.beta)))


def rename(module, state, prefix, metadata):
    for name in list(state):
        if name.startswith(prefix):
            state[prefix + "mine_" + name[len(prefix) :]] = state.pop(name)


class WithBuffers(nn.Module):
    """A table that is not saved, a tensor that is not a buffer, and a buffer that is saved."""

    def __init__(self, width):
        super().__init__()
        self.register_buffer("table", torch.linspace(1, 2, width), persistent=False)
        self.register_buffer("kept", torch.rand(width))
        self.plain = torch.linspace(0, 1, width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.table + self.plain * self.kept * self.scale


class GivesDict(Causal):
    def forward(self, x):
        return {"output": super().forward(x)}


class Idles(Causal):
    """A parameter that nothing uses."""

    def __init__(self, d_model):
        super().__init__(d_model)
        self.unused = nn.Parameter(torch.ones(d_model))


class Shrinks(nn.Module):
    def __init__(self, embed_dim):
        super().__init__()
        self.proj = nn.Linear(embed_dim, embed_dim // 2)

    def forward(self, x):
        return self.proj(x)


class HasNanGradient(nn.Linear):
    """The root of zero, in a branch that is not taken: finite, and its gradient is not."""

    def __init__(self, dim):
        super().__init__(dim, dim)

    def forward(self, x):
        out = super().forward(x)
        return torch.where(out > out.detach() + 1, (out - out).sqrt(), out)


class Raises(nn.Module):
    def __init__(self, hidden_size, depth=1):
        super().__init__()
        raise RuntimeError(f"no depth {depth}\nhere")


class Numbered(nn.Linear):
    """A layer that wants a config object and its number, as those of language models do."""

    def __init__(self, config, layer_idx):
        super().__init__(config["width"], config["width"])
        self.number = layer_idx


def make_layer(hidden_size, layer_idx, bias=1.0):
    layer = Numbered({"width": hidden_size}, layer_idx)
    nn.init.constant_(layer.bias, bias)
    return layer


class MixesRows(nn.GRU):
    """torch's GRU without batch_first: it takes the rows of a batch for the bytes of a row."""

    def __init__(self, dim):
        super().__init__(dim, dim)


class GivesNan(Causal):
    def forward(self, x):
        return (super().forward(x) - 1000).log()


class NanNearby(Causal):
    """Finite at its first weights, and not where one of them is a little lower."""

    def __init__(self, d_model):
        super().__init__(d_model)
        self.scale = nn.Parameter(torch.full((d_model,), 1e-4))

    def forward(self, x):
        return super().forward(x) * (1 + self.scale.sqrt())


class RandomAlways(Causal):
    def forward(self, x):
        return super().forward(x + torch.randn_like(x))


def make_model(width=16):
    """A whole model: input_ids -> logits."""
    return nn.Sequential(nn.Embedding(256, width), Causal(width), nn.Linear(width, 256))


def make_nothing():
    return 3


class Complex(nn.Module):
    """A diagonal recurrence with complex weights, as S4D and LRU have."""

    def __init__(self, hidden_size):
        super().__init__()
        self.write = nn.Parameter(torch.randn(hidden_size, 4, dtype=torch.complex64))
        self.read = nn.Parameter(torch.randn(4, hidden_size, dtype=torch.complex64))

    def forward(self, x):
        return ((x.to(torch.complex64) @ self.write).cumsum(1) @ self.read).real


class HidesLayers(nn.Module):
    """Keeps its layers in a plain list."""

    def __init__(self, dim):
        super().__init__()
        self.layers = [nn.Linear(dim, dim)]
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.gain * self.layers[0](x)


class MakesWeights(nn.Module):
    """Makes its weights when it is called."""

    def __init__(self):
        super().__init__()
        self.layer = None

    def forward(self, x):
        if self.layer is None:
            self.layer = nn.Linear(x.shape[-1], x.shape[-1])
        return self.layer(x)


class GrowsTable(nn.Module):
    """Has a table that grows with the rows, in checkpoints or not."""

    def __init__(self, dim, persistent=True):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.register_buffer("table", torch.ones(1), persistent=persistent)

    def forward(self, x):
        if len(self.table) < x.shape[1]:
            self.table = torch.ones(x.shape[1])
        return self.proj(x) * self.table[: x.shape[1], None]


class TakesAway(Causal):
    """Has a table until it is called."""

    def __init__(self, dim):
        super().__init__(dim)
        self.register_buffer("table", torch.ones(1))

    def forward(self, x):
        self.table = None
        return super().forward(x)


class Fails(nn.Module):
    """Raises in one of its methods."""

    def __init__(self, dim, where):
        super().__init__()
        self.proj, self.where = nn.Linear(dim, dim), where

    def forward(self, x):
        if self.where == "forward":
            _, _, _, _ = x.shape
        if self.where == "import":
            import nowhere  # noqa: F401
        if self.where == "assert":
            assert x.shape[1] == 7
        out = self.proj(x)
        out.register_hook(self.backward)
        return out

    def backward(self, grad):
        if self.where == "backward":
            raise RuntimeError("no gradient today")


class ChangesInput(Causal):
    """Doubles what it is given."""

    def forward(self, x):
        return super().forward(x.mul_(2))


class KeepsState(nn.Module):
    """Begins where the rows before it ended."""

    def __init__(self, dim):
        super().__init__()
        self.gru, self.state = nn.GRU(dim, dim, batch_first=True), None

    def forward(self, x):
        fits = self.state is not None and self.state.shape[1] == len(x)
        out, state = self.gru(x, self.state if fits else None)
        self.state = state.detach()
        return out


class Detached(Causal):
    """Computes outside of torch's graph."""

    def forward(self, x):
        return x + super().forward(x).detach()


class Lazy(nn.LazyLinear):
    """Has weights without a shape."""

    def __init__(self, dim):
        super().__init__(dim)


class NeedsMask(Causal):
    """Is called with more than the row."""

    def forward(self, x, attention_mask):
        return super().forward(x) * attention_mask


class EvenLengths(Causal):
    """Takes no row of another length."""

    def forward(self, x):
        assert x.shape[1] % 2 == 0, "even"
        return super().forward(x)


class Positions(Causal):
    """Has a table of the positions of the longest row of training."""

    def __init__(self, d_model):
        super().__init__(d_model)
        self.table = nn.Embedding(31, d_model)

    def forward(self, x):
        return super().forward(x + self.table(torch.arange(x.shape[1])))


class Window(nn.Module):
    """Has an argument that is called as a width and is none."""

    def __init__(self, d_model, width=4):
        super().__init__()
        self.proj, self.width = nn.Linear(d_model, d_model), width

    def forward(self, x):
        return self.proj(x) / self.width
