"""Compute logits from tokens with a masked answer field, by Mamba's selective state space.

Below `model` the weights have the names and meanings of transformers' MambaForCausalLM below
`backbone`, but for `embed_tokens`, which is called `embeddings` there. Inside, time comes first,
(L, B, E), so that one step of the scan is one block of memory.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu, softplus
from transformers import initialization

from .configuration_vsc import VscMambaConfig
from .modeling_vsc import VscBackbone, VscForMaskedLM, take_positions
from .selective_scan import causal_convolution, selective_scan


class VscMambaMixer(nn.Module):
    """A selective state space, (L, B, D) in and out."""

    def __init__(self, config: VscMambaConfig) -> None:
        super().__init__()
        inner, rank = config.expand * config.hidden_size, config.step_rank
        self.sizes = [rank, config.state_size, config.state_size]
        self.in_proj = nn.Linear(config.hidden_size, 2 * inner, bias=False)
        # It holds and initializes the weights of `causal_convolution`. (Any: it has a bias.)
        self.conv1d: Any = nn.Conv1d(inner, inner, config.conv_kernel, groups=inner)
        self.x_proj = nn.Linear(inner, sum(self.sizes), bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.empty(inner, config.state_size))
        self.D = nn.Parameter(torch.empty(inner))
        self.out_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(self, x_LxBxD: Tensor, mask_LxBx1: Tensor | None) -> Tensor:
        """Mix; a token where `mask_LxBx1` is False enters no state.

        The states still decay there, so padding must stand before or after the row.
        """
        if mask_LxBx1 is not None:
            x_LxBxD = x_LxBxD * mask_LxBx1
        x_LxBxE, gate_LxBxE = self.in_proj(x_LxBxD).chunk(2, dim=-1)
        x_LxBxE = silu(causal_convolution(x_LxBxE, self.conv1d.weight[:, 0], self.conv1d.bias))
        if mask_LxBx1 is not None:
            x_LxBxE = x_LxBxE * mask_LxBx1
        step, b_LxBxN, c_LxBxN = self.x_proj(x_LxBxE).split(self.sizes, dim=-1)
        step_LxBxE = softplus(self.dt_proj(step))
        y_LxBxE = selective_scan(x_LxBxE, step_LxBxE, -self.A_log.exp(), b_LxBxN, c_LxBxN)
        y_LxBxE = (y_LxBxE + x_LxBxE * self.D) * silu(gate_LxBxE)
        return linear(y_LxBxE, self.out_proj.weight)


class VscMambaLayer(nn.Module):
    """A norm and a selective state space, (L, B, D) in and out."""

    def __init__(self, config: VscMambaConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.hidden_size, config.layer_norm_epsilon)
        self.mixer = VscMambaMixer(config)

    def forward(self, x_LxBxD: Tensor, mask_LxBx1: Tensor | None) -> Tensor:
        """Normalize and mix."""
        out_LxBxD: Tensor = self.mixer(self.norm(x_LxBxD), mask_LxBx1)
        return out_LxBxD


class VscMambaModel(VscBackbone):
    """Mamba layers, all residual, and a norm after the last."""

    def __init__(self, config: VscMambaConfig) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(VscMambaLayer(config) for _ in range(config.num_layers))
        self.norm_f = nn.RMSNorm(config.hidden_size, config.layer_norm_epsilon)

    def forward(
        self, ids_BxL: Tensor, mask_BxL: Tensor | None, positions_BxW: Tensor | None
    ) -> Tensor:
        """As VscBackbone.forward."""
        x_LxBxD = self.embed_tokens(ids_BxL.T)
        mask_LxBx1 = None if mask_BxL is None else mask_BxL.T.unsqueeze(-1)
        for layer in self.layers:
            x_LxBxD = x_LxBxD + layer(x_LxBxD, mask_LxBx1)
        out_BxWxD: Tensor = self.norm_f(take_positions(x_LxBxD.transpose(0, 1), positions_BxW))
        return out_BxWxD


class VscMambaForMaskedLM(VscForMaskedLM):
    """Mamba with its output layer; `forward` as in VscForMaskedLM.

    Source: Mamba, arXiv 2312.00752; transformers.MambaForCausalLM, which it equals.

    >>> VscMambaForMaskedLM(VscMambaConfig()).num_parameters()
    67936
    """

    config_class = VscMambaConfig
    backbone_class = VscMambaModel

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.RMSNorm):
            module.reset_parameters()
        elif isinstance(module, VscMambaMixer):
            inner, states = module.A_log.shape
            decay = torch.arange(1.0, states + 1, device=module.A_log.device)
            # Like torch.nn.init here, it leaves alone what a checkpoint has filled.
            initialization.copy_(module.A_log, decay.log().expand(inner, -1))
            nn.init.ones_(module.D)
            bound = module.dt_proj.in_features**-0.5
            nn.init.uniform_(module.dt_proj.weight, -bound, bound)
            low, high = math.log(self.config.time_step_min), math.log(self.config.time_step_max)
            step = (low + (high - low) * torch.rand(inner, device=module.D.device)).exp()
            # softplus of it gives the step back.
            initialization.copy_(module.dt_proj.bias, step + (-(-step).expm1()).log())
