"""Make AdamW for a recipe's model."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from scripts.training.recipes import Recipe

NOT_DECAYED = {"A_log", "D", "dt_bias", "bias"}
"""Parameters that state space models keep from weight decay, though some are matrices."""


def make_optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """Make AdamW as the recipe says; `fused` where it can be."""
    return torch.optim.AdamW(
        parameter_groups(model, recipe),
        lr=recipe.learning_rate,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
        fused=not any(weight.is_complex() for weight in model.parameters()),
    )


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Group a model's parameters for AdamW, by what the recipe's weight decay is on.

    With "matrices", weight decay leaves out vectors and numbers, norms, NOT_DECAYED, and what a
    layer has marked as mamba's and S4's code do (`_no_weight_decay`, `_optim`).
    """
    if recipe.weight_decay_on == "all":
        return [{"params": [*model.parameters()]}]
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        owner, _, leaf = name.rpartition(".")
        is_vector = parameter.ndim != 2 and parameter.numel() == max(parameter.shape, default=1)
        marks = getattr(parameter, "_optim", {}).get("weight_decay", recipe.weight_decay)
        exempt = getattr(parameter, "_no_weight_decay", False) or marks == 0
        in_norm = "norm" in type(model.get_submodule(owner)).__name__.lower()
        groups[not (is_vector or exempt or in_norm or leaf in NOT_DECAYED)].append(parameter)
    decays = ((True, recipe.weight_decay), (False, 0.0))
    return [{"params": groups[key], "weight_decay": decay} for key, decay in decays if groups[key]]
