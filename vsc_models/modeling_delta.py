"""Compute logits from tokens with a masked answer field, by a delta-rule memory."""

from torch import Tensor, nn
from torch.nn.functional import normalize

from .configuration_vsc import VscDeltaConfig
from .counter import VscCounter, rotate
from .delta_rule import delta_rule
from .modeling_scaffold import VscScaffold
from .modeling_vsc import VscForMaskedLM, take_positions

# A swap needs beta 2, a byte without effect beta 0: a steep sigmoid is near both sooner.
_BETA_SLOPE = 4.0


class VscDeltaLayer(nn.Module):
    """A delta-rule memory, read after the wanted positions."""

    def __init__(self, config: VscDeltaConfig) -> None:
        super().__init__()
        self.config = config
        self.sizes = [config.key_dim, config.value_dim, 1]
        heads, rows = config.num_heads, config.num_heads * config.num_householder
        self.query = nn.Linear(config.hidden_size, heads * config.key_dim)
        # One product for keys, values and betas: at this size each call costs more than its sums.
        self.update = nn.Linear(config.hidden_size, rows * sum(self.sizes))
        self.out = nn.Linear(heads * config.value_dim, config.hidden_size)
        self.counter = (
            VscCounter(config.hidden_size, config.num_counters, config.key_dim)
            if config.num_counters
            else None
        )

    def forward(
        self,
        x_BxLxD: Tensor,
        embeds_BxLxD: Tensor,
        mask_BxL: Tensor | None,
        positions_BxW: Tensor | None,
    ) -> Tensor:
        """Update at every token, read at the wanted ones: (B, L, D) -> (B, W, D).

        With a counter its count of `embeds_BxLxD` rotates keys and queries.
        """
        batch, length, _ = x_BxLxD.shape
        heads, steps = self.config.num_heads, self.config.num_householder
        update = self.update(x_BxLxD).view(batch, length * steps, heads, sum(self.sizes))
        k, v, b = update.transpose(1, 2).split(self.sizes, dim=-1)
        top = 2 if self.config.allow_neg_eigval else 1
        b_BxHxT = top * (_BETA_SLOPE * b.squeeze(-1)).sigmoid()
        if self.config.beta_clip_margin:
            b_BxHxT = (b_BxHxT + self.config.beta_clip_margin * (2 * b_BxHxT - top)).clamp(0, top)
        if mask_BxL is not None:
            b_BxHxT = b_BxHxT * mask_BxL.repeat_interleave(steps, dim=1).unsqueeze(1)
        q = self.query(take_positions(x_BxLxD, positions_BxW)).unflatten(-1, (heads, -1))
        q = q.transpose(1, 2)
        if self.counter is not None:
            angle_BxLxP = self.counter(embeds_BxLxD, mask_BxL)
            k = rotate(k, angle_BxLxP.repeat_interleave(steps, dim=1).unsqueeze(1))
            q = rotate(q, take_positions(angle_BxLxP, positions_BxW).unsqueeze(1))
        read_BxHxWxV = delta_rule(
            normalize(q, dim=-1),
            normalize(k, dim=-1),
            v,
            b_BxHxT,
            positions=positions_BxW,
            num_householder=steps,
            chunk_size=self.config.chunk_size,
        )
        out_BxWxD: Tensor = self.out(read_BxHxWxV.transpose(1, 2).flatten(2))
        return out_BxWxD


class VscDeltaModel(VscScaffold):
    """The scaffold around a delta-rule memory that holds one letter per key."""

    def make_mixer(self, config: VscDeltaConfig) -> nn.Module:
        """Build the memory."""
        return VscDeltaLayer(config)


class VscDeltaForMaskedLM(VscForMaskedLM):
    """The delta-rule model with its output layer; `forward` as in VscForMaskedLM.

    >>> import torch
    >>> model = VscDeltaForMaskedLM(VscDeltaConfig(hidden_size=16))
    >>> question = torch.tensor([list(b"NPF:1>2:" + bytes(3) + b"  ")])
    >>> model(input_ids=question).logits.shape
    torch.Size([1, 13, 256])
    >>> model(input_ids=question, answer_positions=torch.tensor([[8, 9, 10]])).logits.shape
    torch.Size([1, 3, 256])
    """

    config_class = VscDeltaConfig
    backbone_class = VscDeltaModel
