"""Queries, keys, values, betas -> what the queries read: the delta rule, slow and obvious."""

import torch


def recurrence(queries, keys, values, betas, *, positions=None, num_householder=1):
    """The twin of vsc_models.delta_rule.delta_rule, one row, one head, one step at a time."""
    batch, heads, total, _ = keys.shape
    length = total // num_householder
    if positions is None:
        positions = torch.arange(length).expand(batch, length)
    rows = []
    for b in range(batch):
        for h in range(heads):
            memory, after = torch.zeros(values.shape[-1], keys.shape[-1]), []
            for t in range(total):
                key, value, beta = keys[b, h, t], values[b, h, t], betas[b, h, t]
                identity = torch.eye(len(key))
                memory = memory @ (identity - beta * torch.outer(key, key))
                memory = memory + beta * torch.outer(value, key)
                if (t + 1) % num_householder == 0:
                    after.append(memory)
            reads = [after[p] @ queries[b, h, w] for w, p in enumerate(positions[b].tolist())]
            rows.append(torch.stack(reads))
    return torch.stack(rows).unflatten(0, (batch, heads))
