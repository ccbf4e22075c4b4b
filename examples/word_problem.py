"""Which layers can follow the state of a group? The published law, on one core.

Tokens are generators of a permutation group, the target at every position is the product so far.
deltaN-betaM makes N reflections a token, with betas up to M. word_problem.csv lists the cells.

python examples/word_problem.py S3-all S5-swaps-delta1-beta2
"""

import csv
import sys
import time
from itertools import combinations, permutations
from pathlib import Path
from statistics import median_low
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import AutoConfig, AutoModelForCausalLM, get_cosine_schedule_with_warmup

from vsc_models.delta_rule import delta_rule

GROUPS = {"parity": 2, "S3": 3, "S4": 4, "A5": 5, "S5": 5}
MOVED = {"swaps": 2, "three": 3, "all": 5}  # elements that a generator moves at most
WIDTH, HEADS, SIZES = 64, 4, [16, 16, 1]  # sizes of a head's key, value and beta
TRAINED, LENGTHS, SEQUENCES = 32, (32, 64, 128, 256, 512), 500
LISTED = csv.DictReader(Path(__file__).with_suffix(".csv").read_text("utf-8").splitlines())
CELLS = {row["cell"]: row for row in LISTED}


def product_table(group: str, generators: str) -> Tensor:
    """Return (elements, generators): the product of each element and each generator."""
    elements = [*permutations(range(GROUPS[group]))]
    if group == "A5":
        elements = [p for p in elements if sum(a > b for a, b in combinations(p, 2)) % 2 == 0]
    kept = [p for p in elements if sum(i != x for i, x in enumerate(p)) <= MOVED[generators]]
    return torch.tensor([[elements.index(tuple(g[x] for x in e)) for g in kept] for e in elements])


def draw(table: Tensor, count: int, length: int) -> tuple[Tensor, Tensor]:
    """Draw tokens (count, length), and the product after each; element 0 is the identity."""
    tokens, states = torch.randint(table.shape[1], (count, length)), [torch.zeros(count).long()]
    for token in tokens.unbind(1):
        states.append(table[states[-1], token])
    return tokens, torch.stack(states[1:], 1)


class Delta(nn.Module):
    """A delta-rule memory that is read after every token."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.num_householder, self.max_beta = (int(digit) for digit in name if digit.isdigit())
        self.project = nn.Linear(WIDTH, HEADS * (SIZES[0] + self.num_householder * sum(SIZES)))
        self.out = nn.Linear(HEADS * SIZES[1], WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, WIDTH) -> the same; chunks of 32 updates are the fastest on a CPU."""
        n, heads = self.num_householder, self.project(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        q, rows = heads.split([SIZES[0], n * sum(SIZES)], dim=-1)
        k, v, b = rows.unflatten(-1, (n, -1)).flatten(2, 3).split(SIZES, dim=-1)
        q, k, b = normalize(q, dim=-1), normalize(k, dim=-1), self.max_beta * b[..., 0].sigmoid()
        read = delta_rule(q, k, v, b, num_householder=n, chunk_size=32)
        return self.out(read.transpose(1, 2).flatten(2))


class Residual(nn.Sequential):
    """Add what layers make of their input."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, WIDTH) -> the same."""
        return x + first(super().forward(x))


def first(output: Any) -> Tensor:
    """Return what comes first where a module returns several."""
    return output if isinstance(output, Tensor) else output[0]


def make_model(name: str, table: Tensor) -> nn.Module:
    """Build a network of one layer, the transformer of two: (B, L) -> (B, L, elements)."""
    if name.startswith("transformer"):
        sizes = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2}
        sizes |= {"num_attention_heads": HEADS, "vocab_size": len(table), "eos_token_id": None}
        return AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **sizes))
    mixer = nn.GRU(WIDTH, WIDTH, batch_first=True) if name.startswith("gru") else Delta(name)
    mlp = nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
    layer = Residual(nn.LayerNorm(WIDTH), mixer), Residual(nn.LayerNorm(WIDTH), *mlp)
    ends = nn.Embedding(table.shape[1], WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(table))
    return nn.Sequential(ends[0], *layer, *ends[1:])


def train(cell: str, seed: int = 0, num_steps: int | None = None) -> dict[str, Any]:
    """Train a cell, its length doubling from the first one, and count right sequences."""
    torch.manual_seed(seed)
    row, steps = CELLS[cell], num_steps or int(CELLS[cell]["steps"])
    settings = {"steps": steps, "rate": float(row["rate"]), "first": int(row["first"])}
    group, generators, name = cell.split("-", 2)
    model = make_model(name, table := product_table(group, generators))
    optimizer = torch.optim.AdamW(model.parameters(), settings["rate"], (0.9, 0.98))
    schedule = get_cosine_schedule_with_warmup(optimizer, 100, steps)
    started, losses = time.time(), []
    for step in range(steps):
        length = min(TRAINED, max(settings["first"], 2 ** (1 + 6 * step // steps)))
        tokens, states = draw(table, 64 * TRAINED // length, length)  # always as many tokens
        loss = cross_entropy(first(model(tokens)).flatten(0, 1), states.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(round(loss.item(), 4))
    about = {"cell": cell, "seed": seed, **settings, "seconds": round(time.time() - started, 1)}
    about |= {"parameters": sum(map(Tensor.numel, model.parameters()))}
    about |= {"loss": losses[:: max(1, steps // 20)]}
    with torch.no_grad():  # shorter sequences are prefixes of the longest
        tokens, states = draw(table, SEQUENCES, LENGTHS[-1])
        right = torch.cat([first(model(x)).argmax(-1) for x in tokens.split(50)]) == states
    shares = {str(n): right[:, :n].all(1).double().mean().item() for n in LENGTHS}
    return {**about, "sequences": shares, "tokens_to_256": right[:, :256].double().mean().item()}


def report(results: list[dict[str, Any]], picture: Path) -> str:
    """Draw the middle of each cell's seeds, and lay it out next to what is published."""
    heads = ["cell", "solved", "steps", *map(str, LENGTHS), "tokens", "published", "source"]
    lines, medians = [heads, ["---"] * len(heads)], {}
    for cell, row in CELLS.items():
        if trials := [result for result in results if result["cell"] == cell]:
            counts = ([*one["sequences"].values(), one["tokens_to_256"]] for one in trials)
            medians[cell] = [median_low(seeds) for seeds in zip(*counts, strict=True)]
            solved = f"{sum(one['sequences']['32'] > 0.9 for one in trials)} of {len(trials)}"
            cells = [cell, solved, row["steps"], *(f"{x:.3f}" for x in medians[cell])]
            lines.append([*cells, row["published"], row["source"]])
    axes = Figure((7, 1 + len(medians) / 4), layout="constrained").subplots()
    image = axes.imshow([row[:-1] for row in medians.values()], vmin=0, vmax=1, aspect="auto")
    axes.figure.colorbar(image, label="share of right sequences")
    axes.set(xticks=range(len(LENGTHS)), xticklabels=LENGTHS, xlabel="length (trained to 32)")
    axes.set(yticks=range(len(medians)), yticklabels=medians)
    axes.figure.savefig(picture, format="png")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    results, chosen = [], [name for name in CELLS if name.startswith(tuple(sys.argv[1:]) or "")]
    for cell in chosen or sys.exit(f"no cell begins with {sys.argv[1:]}: use {[*CELLS]}"):
        results.append(train(cell))
        print(report(results, Path("word_problem.png")), flush=True)
