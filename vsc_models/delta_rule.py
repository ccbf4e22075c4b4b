"""Read a delta-rule memory with queries, after updates by keys, values and betas.

Mathematics only. The memory S (key_dim, value_dim) begins empty; each row (k, v, b) updates it:

    S <- (I - b k k^T) S + b k v^T  =  S + k u^T        with the update  u = b (v - S^T k)

and a query q reads S^T q. A token makes one or several updates in a row (DeltaProduct). With
b = 2 and |k| = 1 the factor is a Householder reflection: it swaps two letters exactly.

Within a chunk the updates depend on each other linearly, so that one unit triangular solve gives
all of them (the UT form); from chunk to chunk only S is carried.

Shapes: B rows, H heads, L tokens, N steps a token, T = L * N updates, W queries, K and V dims.
"""

import torch
from torch import Tensor


def delta_rule(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    betas: Tensor,
    *,
    positions: Tensor | None = None,
    num_householder: int = 1,
    chunk_size: int = 64,
) -> Tensor:
    """Run the delta rule over every token and read it after some or all of them.

    A row with beta 0 leaves the memory alone, whatever its key and value: that is how padding is
    hidden. The work is done in float32 (float64 for float64 inputs), under autocast too: the
    triangular solve has no half-precision form and is where precision matters.

    Args:
      queries: (B, H, W, K); without `positions`, W is the number of tokens L.
      keys: (B, H, L * num_householder, K), a token's steps in a row. Not normalized
        here; the memory stays bounded for unit keys and betas in [0, 2].
      values: (B, H, L * num_householder, V).
      betas: (B, H, L * num_householder), usually from 0 to 2.
      positions: int64 (B, W), the token after which each query reads, counted from 0. None reads
        after every token.
      num_householder: updates that each token makes.
      chunk_size: updates that one triangular solve takes together, in whole tokens, at least one.
        It moves time and memory only.
    Returns:
      (B, H, W, V) in the dtype of `queries`.
    Raises:
      ValueError: the number of keys is not a multiple of `num_householder`, or `positions` is None
        and the queries are not one per token.
    Source: DeltaNet, arXiv 2102.11174; the chunked form, arXiv 2406.06484; betas up to 2, arXiv
      2411.12537; several updates per token (DeltaProduct), arXiv 2502.10297.

    >>> letters = torch.eye(2)[None, None]  # two letters, each written at its own key
    >>> swap = torch.tensor([[[[1.0, -1.0]]]]) / 2**0.5
    >>> keys = torch.cat([letters, swap], dim=2)
    >>> values = torch.cat([letters, torch.zeros(1, 1, 1, 2)], dim=2)
    >>> betas = torch.tensor([[[1.0, 1.0, 2.0]]])
    >>> after_the_last_token = torch.tensor([[2, 2]])
    >>> delta_rule(letters, keys, values, betas, positions=after_the_last_token).round().abs()
    tensor([[[[0., 1.],
              [1., 0.]]]])
    """
    # divmod of a traced size is an error.
    length, rest = keys.shape[2] // num_householder, keys.shape[2] % num_householder
    if rest:
        raise ValueError(
            f"{keys.shape[2]} keys cannot be shared by num_householder={num_householder}: "
            "give every token the same number of keys"
        )
    if positions is None and queries.shape[2] != length:
        raise ValueError(
            f"{queries.shape[2]} queries for {length} tokens: give one per token, or `positions`"
        )
    # bmm rounds to half precision under autocast, and solve_triangular has no such form.
    with torch.autocast(queries.device.type, enabled=False):
        dtype = torch.promote_types(queries.dtype, torch.float32)
        q, k, v, b = (tensor.to(dtype) for tensor in (queries, keys, values, betas.unsqueeze(-1)))
        tokens = max(1, chunk_size // num_householder)
        updates, states = _updates(k, v * b, k * b, tokens * num_householder)
        if positions is None:
            read = _read_everywhere(q, k, updates, states, num_householder, tokens)
        else:
            read = _read(q, k, updates, positions.unsqueeze(1), num_householder)
        return read.to(queries.dtype)


def _updates(
    k_BxHxTxK: Tensor, bv_BxHxTxV: Tensor, bk_BxHxTxK: Tensor, rows: int
) -> tuple[Tensor, list[Tensor | None]]:
    """Solve for every update u, (B, H, T, V), and the memory, (B, H, K, V), before each chunk.

    Row i of a chunk solves  u_i + sum over j < i of (b_i k_i . k_j) u_j = b_i v_i - S^T b_i k_i.
    """
    state: Tensor | None = None
    states, updates = [], []
    chunks = (x.split(rows, dim=2) for x in (k_BxHxTxK, bv_BxHxTxV, bk_BxHxTxK))
    for k, bv, bk in zip(*chunks, strict=True):
        if state is not None:
            bv = bv - bk @ state
        # The solver takes the diagonal as 1 and never reads what stands above it.
        u = torch.linalg.solve_triangular(bk @ k.mT, bv, upper=False, unitriangular=True)
        states.append(state)
        updates.append(u)
        if len(updates) * rows < k_BxHxTxK.shape[2]:
            state = k.mT @ u if state is None else state + k.mT @ u
    return torch.cat(updates, dim=2) if len(updates) > 1 else updates[0], states


def _read(
    q_BxHxWxK: Tensor, k_BxHxTxK: Tensor, u_BxHxTxV: Tensor, position_BxHxW: Tensor, steps: int
) -> Tensor:
    """Read the updates of the tokens up to each query's position, (B, H, W, V)."""
    token_T = torch.arange(k_BxHxTxK.shape[2], device=k_BxHxTxK.device) // steps
    seen_BxHxWxT = token_T <= position_BxHxW.unsqueeze(-1)
    return (q_BxHxWxK @ k_BxHxTxK.mT * seen_BxHxWxT) @ u_BxHxTxV


def _read_everywhere(
    q_BxHxLxK: Tensor,
    k_BxHxTxK: Tensor,
    u_BxHxTxV: Tensor,
    states: list[Tensor | None],
    steps: int,
    tokens: int,
) -> Tensor:
    """Read after every token, (B, H, L, V), by chunks: the cost grows with L, not its square."""
    reads = []
    chunks = zip(
        q_BxHxLxK.split(tokens, dim=2),
        k_BxHxTxK.split(tokens * steps, dim=2),
        u_BxHxTxV.split(tokens * steps, dim=2),
        states,
        strict=True,
    )
    for q, k, u, state in chunks:
        read = _read(q, k, u, torch.arange(q.shape[2], device=q.device), steps)
        reads.append(read if state is None else read + q @ state)
    return torch.cat(reads, dim=2)
