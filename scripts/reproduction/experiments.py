"""List what is trained for each table of results: rows are recipes with changes.

A row on other data than its recipe's is called RECIPE-DATA, at another learning rate
RECIPE-lrRATE, over another loss RECIPE-LOSS: results are kept under these names.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from scripts.core.io import HUB_CARDS
from scripts.core.trial_store import Trial
from scripts.training.recipes import Recipe, read_recipes
from vsc_dataset.checking import nearest

ARTICLE = HUB_CARDS / "article" / "seed_tables.csv"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
      recipe: what is trained; its name is that of the results, its num_samples the budget.
      trials: how many, with seeds from 0 on.
      full_samples: training samples of the recipe that the row comes from.
      grid: the grid that tells its horizon; None for none.
      test_samples: to evaluate at the end where more than the test split's own are wanted, which
        come first; 0 for none.
      article: its line in the article's tables, empty if it has none.
      same_nops: whether it needs the test error at held-out programs' numbers of operations, where
        test samples have others too.
    """

    recipe: Recipe
    trials: int
    full_samples: int
    grid: str | None = None
    test_samples: int = 0
    article: Mapping[str, str] = field(default_factory=dict)
    same_nops: bool = False

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self.recipe.name

    def matches(self, trial: Trial) -> bool:
        """Tell whether a trial is the row's, at its budget or a smaller one.

        One with other settings is another row's. Old trials kept none: their name decides.
        """
        settings, budget = trial.details.get("settings"), self.recipe.num_samples
        same = not settings or self.recipe.same_training(
            Recipe.from_dict({"name": "", **settings, "num_samples": budget})
        )
        return same and trial.record.planned_samples <= budget


@dataclass(frozen=True)
class Table:
    """A table: its rows, and its columns by their names in `reporting.columns.COLUMNS`.

    Speeds are compared with those of the row `against`, where the device is the same.
    """

    name: str
    title: str
    columns: str
    rows: Sequence[Row]
    against: str | None = None


def read_article() -> list[dict[str, str]]:
    """Read the lines of the article's tables."""
    return [*csv.DictReader(ARTICLE.read_text("utf-8").splitlines())]


def make_rows(
    recipes: Iterable[Recipe],
    trials: int,
    num_samples: int | None = None,
    grids: bool = False,
    test_samples: int = 0,
) -> list[Row]:
    """Make a row of each recipe; without `num_samples` it is trained on its own number."""
    rows = []
    for full in recipes:
        recipe = replace(full, num_samples=num_samples or full.num_samples)
        grid = GRIDS.get(recipe.data) if grids else None
        rows.append(Row(recipe, trials, full.num_samples, grid, test_samples))
    return rows


def article_table(name: str, title: str, more: Sequence[Row] = ()) -> Table:
    """Make a table of the article's, with further rows below its own."""
    rows = []
    for line in read_article():
        if line["table"] == name:
            (row,) = make_rows([RECIPES[line["id"]]], trials=1)
            rows.append(replace(row, article=line))
    columns = "parameters samples solved sample mask programs seen loss train_speed article"
    return Table(name, title, columns, [*rows, *more])


def small_embedding_rows() -> list[Row]:
    """Make rows of the article's with the embedding drawn for logits of unit size, as ours is."""
    rows = []
    for line in read_article():
        if (name := line["id"]) in SMALL_EMBEDDING.split():
            usual = RECIPES[name].model_args["hidden_size"] ** -0.5
            recipe = variant(name, f"{name}-small-embedding", initializer_range=usual)
            rows.append(replace(make_rows([recipe], trials=1)[0], article=line))
    return rows


def on_data(recipe: Recipe, data: str) -> Recipe:
    """Return the recipe on other data, named after it."""
    if recipe.data == data:
        return recipe
    return recipe.changed(name=f"{recipe.name}-{data}", data=data)


def at_rate(recipe: Recipe, rate: float) -> Recipe:
    """Return the recipe at another learning rate, named after it."""
    if recipe.learning_rate == rate:
        return recipe
    return recipe.changed(name=f"{recipe.name}-lr{rate:g}", learning_rate=rate)


def variant(base: str, name: str, *, direction: str = "forward", **model_args: Any) -> Recipe:
    """Change the model of a recipe."""
    return RECIPES[base].changed(name=name, direction=direction, model_args=model_args)


def ablated(recipe: Recipe, *, label_smoothing: float | None = None, **model_args: Any) -> Recipe:
    """Change parts of a recipe, and name it after them."""
    changes = {} if label_smoothing is None else {"label_smoothing": label_smoothing}
    parts = {**changes, **model_args}.items()
    name = "-".join([recipe.name, *(f"{key}-{value:g}".replace("_", "-") for key, value in parts)])
    return recipe.changed(name=name, model_args=model_args, **changes)


RECIPES = read_recipes()
SWAP_DELTA, ZOO_DELTA = RECIPES["swap-delta"], RECIPES["zoo-delta"]
ZOO = [recipe for name, recipe in RECIPES.items() if name.startswith("zoo-")]

LAPTOP = 300_000
"""Training samples that a laptop can do for many rows; the article's own have 4,000,000."""

GRIDS = {
    "swap-nops1-5": "grid-len5",
    "default": "grid-all-len5",
    "level-1": "grid-len5",
    "level-2": "grid-len5",
    "level-3": "grid-len8",
    "level-5": "grid-all-len8",
    "level-6": "grid-all-len16",
    "level-7": "grid-all-len16",
    "level-8": "grid-all-len26",
}
"""The grid that tells the horizon, by the data that a model was trained on.

Level 4 has none: every grid that takes letters out also brings them back.
"""

FIVE_SWAPS = make_rows([on_data(SWAP_DELTA, "swap-nops2-5")], trials=10)
PADDING_SEEN = variant("mixed-l6", "mixed-l6-padding-seen", mask_padding=False)
SMALL_EMBEDDING = "mixed-l6 mixed-l12 mixed-l18 nops2-l6 attn-00004 attn-00440 lstm-l6 mamba-l6"
"""Rows of the article that were trained with a smaller embedding as well."""

OLMO_LAYERS = ["linear_attention", "linear_attention", "full_attention"]
SHAPES = [
    ZOO_DELTA,
    variant("zoo-delta", "delta-keys", key_dim=16, value_dim=16),
    RECIPES["zoo-lstm"],
    variant("zoo-lstm", "lstm-both", direction="both", hidden_size=52),
    RECIPES["zoo-mamba"],
    variant("zoo-mamba", "mamba-wide", hidden_size=48, num_layers=3),
    RECIPES["zoo-olmo-hybrid"],
    variant(
        "zoo-olmo-hybrid", "olmo-hybrid-deep", hidden_size=48, num_hidden_layers=3,
        intermediate_size=48, linear_value_head_dim=24, layer_types=OLMO_LAYERS,
    ),
    RECIPES["zoo-mamba2"],
    variant("zoo-mamba2", "mamba2-deep", hidden_size=48, num_hidden_layers=3, num_heads=3),
    RECIPES["zoo-gpt2"],
    variant("zoo-gpt2", "gpt2-deep", n_embd=48, n_layer=4, n_inner=96),
]  # fmt: skip
"""Two shapes of each architecture, of about as many parameters."""

RATES = (5e-4, 2e-3, 8e-3)
BEST = {
    "delta-keys": 2e-3,
    "lstm-both": 2e-3,
    "mamba-wide": 8e-3,
    "olmo-hybrid-deep": 5e-4,
    "zoo-mamba2": 8e-3,
    "gpt2-deep": 8e-3,
}
"""The best setting of each architecture: the lowest mask error on validation samples, which tells
those apart that get no sample right; then the one that was first at 1%. A test holds that they are.
"""

FAIR = [at_rate(shape, BEST[shape.name]) for shape in SHAPES if shape.name in BEST]

SAME = {
    "data": "swap-nops2-5",
    "loss": "answer",
    "label_smoothing": 0.0,
    "batch_size": 64,
    "warmup_steps": 100,
    "betas": [0.9, 0.98],
    "weight_decay": 0.1,
    "weight_decay_on": "matrices",
    "max_grad_norm": 1.0,
    "num_validations": 100,
}
SAME_RATES = [
    at_rate(RECIPES[name].changed(name=f"{name}-same", **SAME), rate)
    for name in ("attn-00440", "swap-delta")
    for rate in (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
]
"""The article's best network and our smallest recipe: all is the same but the model, and a learning
rate that is chosen for each."""

SAME_BEST = ["attn-00440-same-lr0.004", "swap-delta-same-lr0.0005"]
"""The lowest mask error on validation samples, then the first at 1%; a test holds that they are."""

SMOOTHING = {"label_smoothing": 0.0}
ABLATIONS: dict[str, list[dict[str, Any]]] = {
    "swap-delta": [
        SMOOTHING,
        {"beta_clip_margin": 0.05},
        {**SMOOTHING, "beta_clip_margin": 0.05},
        {"allow_neg_eigval": False},
        {"num_householder": 2},
        {"key_dim": 8},
        {"key_dim": 16},
    ],
    "default-delta": [
        SMOOTHING,
        {"beta_clip_margin": 0.0},
        {**SMOOTHING, "beta_clip_margin": 0.0},
        {"num_counters": 0},
        {**SMOOTHING, "num_counters": 0},
        {"beta_clip_margin": 0.0, "num_counters": 0},
        {**SMOOTHING, "beta_clip_margin": 0.0, "num_counters": 0},
        {"allow_neg_eigval": False},
        {"num_householder": 1},
        {"key_dim": 8},
        {"key_dim": 12},
    ],
}
"""What is taken away from a recipe, or given another size. Swaps need no counters."""

CAUSAL = [
    RECIPES["zoo-gpt2"],
    variant("zoo-gru", "causal-gru", causal=True),
    variant("zoo-delta", "causal-delta", causal=True),
]
RENDERINGS = [
    recipe.changed(
        name=f"{recipe.name}-{layout}-{objective}",
        objective=objective,
        data_args={"layout": "tokens"} if layout == "tokens" else {},
    )
    for recipe in CAUSAL
    for layout in ("bytes", "tokens")
    for objective in ("fill", "next-token")
]
SCRATCHPADS = [
    RECIPES["zoo-gpt2"].changed(name=f"zoo-gpt2-bytes-{objective}", objective=objective)
    for objective in ("next-token", "scratchpad")
]

DEFAULT_DELTA = RECIPES["default-delta"]
COMPETITORS = {"olmo-hybrid-deep": 6, "zoo-mamba2": 3, "gpt2-deep": 3}
"""With the highest level that each is trained on: two fail before it."""

CLIMBERS = [
    (SWAP_DELTA, SWAP_DELTA.learning_rate, 3),
    *(
        (shape, BEST[shape.name], COMPETITORS[shape.name])
        for shape in SHAPES
        if shape.name in COMPETITORS
    ),
]
CLIMBERS.append((DEFAULT_DELTA, DEFAULT_DELTA.learning_rate, 8))
LADDER = [
    at_rate(on_data(recipe, f"level-{level}"), rate)
    for level in range(1, 9)
    for recipe, rate, highest in CLIMBERS
    if level <= highest
]
"""From level four on letters leave, for which swap-delta has no counter."""

LADDER += [
    ablated(on_data(DEFAULT_DELTA, "level-5"), **parts)
    for parts in (
        {"num_householder": 1},
        {"num_householder": 3},
        {"num_householder": 4},
        {"hidden_size": 64},
        {"num_householder": 3, "hidden_size": 64},
    )
]
"""Is it reflections or width? `-x` and `+x` move x - 1 letters by one place, as the count moves the
others, and a memory takes a reflection for each (arXiv 2502.10297), in the bytes of the operation:
at most seven in three bytes at level five (`+8 `), fifteen in four at level six (`+16 `)."""

LONG = RECIPES["default-delta-long"]
LONG_LEVEL_7, LONG_LEVEL_8 = (
    ablated(on_data(LONG, f"level-{level}"), hidden_size=96).changed(
        curriculum=[*LONG.curriculum[:-1], f"0.52:1-{nops}"]
    )
    for level, nops in ((7, 40), (8, 64))
)
LADDER += [
    ablated(LONG, num_householder=2),
    ablated(LONG, hidden_size=96),
    LONG_LEVEL_8,
]

LONG_ONE_REFLECTION = ablated(LONG, num_householder=1)
"""One reflection a byte: more samples in the same time."""

LEVEL_8 = on_data(DEFAULT_DELTA, "level-8")
FEW_OPERATIONS = [
    wide.changed(name=f"{wide.name}-nops-{nops}", data_args={"nops": nops})
    for nops in (0, 1, 2)
    for wide in (
        LEVEL_8,
        ablated(LEVEL_8, key_dim=32),
        ablated(LEVEL_8, key_dim=32, num_places=32),
    )
]
"""Level 8 has up to 26 letters. A head of `key_dim` channels tells as many positions apart, and the
scaffold's convolutions see four bytes to either side: `num_places` gives a letter its place."""

AT_CHANCE = "lstm gru llama bert roformer modernbert eurobert lfm2 recurrent-gemma minimax rwkv"
AT_CHANCE += " mamba qwen3-next xlstm"
"""Architectures that are at chance after 100,000 samples."""

OURS = [RECIPES[f"{name}-delta{far}"] for name in ("swap", "default") for far in ("", "-far")]
OUR_ROWS = make_rows(OURS, 10, grids=True, test_samples=100_000)

HELD_OUT_ROWS = [
    *(replace(row, trials=3, same_nops=row.recipe.data == "default") for row in OUR_ROWS),
    *make_rows([RECIPES[line["id"]] for line in read_article()
                if line["table"] in ("mixed_nops", "attention")], trials=1),
    *make_rows([RECIPES[f"zoo-{name}"] for name in ("olmo-hybrid", "mamba2", "gpt2")], 3, LAPTOP,
               grids=True),
]  # fmt: skip

ZOO_COLUMNS = "samples off_chance to_1pct sample mask programs seen test by_nops train_speed"
LONG_COLUMNS = "parameters samples solved off_chance to_1pct sample mask programs seen test"
LONG_COLUMNS += " train_speed"
FAIR_COLUMNS = "samples to_1pct sample mask programs seen test by_nops train_speed"

TABLE_LIST = [
    article_table("preliminary", "All operations on two to five letters"),
    article_table("nops_by_layers", "A fixed number of swaps against the number of layers"),
    article_table("mixed_nops", "Trained on two to five swaps, tested on five",
                  make_rows([PADDING_SEEN], trials=1)),
    article_table("baselines", "Recurrent networks on two to five swaps", FIVE_SWAPS),
    article_table("attention", "Convolutions with attention on two to five swaps"),
    Table("small_embedding", "The article's networks, their embedding drawn for unit logits",
          "parameters samples solved sample mask programs seen loss train_speed article",
          small_embedding_rows()),
    Table("ours", "Our recipes, each on its own number of samples",
          "solved horizon parameters over samples to_1pct sample programs seen wrong by_nops "
          "train_speed", OUR_ROWS),
    Table("held_out", "Held-out programs, and test samples of as many operations",
          "over samples solved seen programs same_nops",
          HELD_OUT_ROWS),
    Table("zoo", "Architecture comparison: one to five swaps at one budget",
          f"solved horizon parameters {ZOO_COLUMNS}",
          make_rows([SWAP_DELTA, *ZOO], 3, LAPTOP, grids=True)),
    Table("zoo_default", "Architecture comparison: all operations at one budget",
          f"solved horizon parameters over {ZOO_COLUMNS}",
          make_rows([DEFAULT_DELTA, *(on_data(one, "default") for one in ZOO)], 1, LAPTOP,
                    grids=True)),
    Table("zoo_slower", "Architecture comparison at a quarter of the learning rate", LONG_COLUMNS,
          make_rows([at_rate(recipe, 5e-4) for recipe in ZOO], 1, 100_000)),
    Table("ladder", "The ladder: harder and harder levels, longer programs at the longest length",
          "solved horizon parameters over samples sample mask programs seen test by_nops",
          # `--trials 3` where one takes five minutes
          [*make_rows(LADDER, 1, LAPTOP, grids=True),
           *make_rows([LONG], 3, grids=True),
           *make_rows([LONG_LEVEL_7], 1, grids=True),
           *make_rows([LONG_ONE_REFLECTION], 1, 1_000_000, grids=True)]),
    Table("level_8", "Level 8 with no, one and two operations: is it the field or the program?",
          "parameters samples solved to_1pct sample mask seen test",
          make_rows(FEW_OPERATIONS, 1, LAPTOP)),
    Table("zoo_longer", "Those at chance after 100,000 samples, at 1,000,000", LONG_COLUMNS,
          make_rows([RECIPES[f"zoo-{name}"] for name in AT_CHANCE.split()], 1, 1_000_000)),
    # Is it the architecture or the training that fails? By validation.
    Table("fair_search", "Six settings each: two shapes, three learning rates",
          "parameters samples solved to_1pct sample mask train_speed",
          make_rows([at_rate(shape, rate) for shape in SHAPES for rate in RATES], 1, 100_000)),
    Table("fair", "The best of six settings each, at equal numbers of samples",
          f"solved horizon parameters {FAIR_COLUMNS}", make_rows(FAIR, 5, 100_000, grids=True)),
    Table("fair_trace", "The same, with the letters that each operation moves as further labels",
          "solved parameters samples to_1pct sample mask programs seen test train_speed",
          make_rows([r.changed(name=f"{r.name}-trace", loss="targets") for r in FAIR], 1, 100_000)),
    Table("same_search", "The article's best network and swap-delta, five learning rates each",
          "parameters samples solved to_1pct sample mask train_speed",
          make_rows(SAME_RATES, 1, LAPTOP)),
    Table("same", "The article's best network and swap-delta: what solving costs",
          "parameters samples solved cost sample mask programs train_speed",
          make_rows([one for one in SAME_RATES if one.name in SAME_BEST], 5, 1_000_000),
          against=SAME_BEST[1]),
    Table("ablation", "The delta rule without each of its parts",
          "solved horizon parameters to_1pct sample mask programs seen",
          make_rows([ablated(RECIPES[name], **parts) for name, changes in ABLATIONS.items()
                     for parts in [{}, *changes]], 10, grids=True)),
    Table("renderings", "Causal models on bytes and tokens, filling in or predicting next tokens",
          "parameters samples solved to_1pct sample mask programs seen train_speed",
          make_rows(RENDERINGS, 3, LAPTOP)),
    Table("scratchpad", "A language model with and without the state after each operation",
          "parameters samples solved to_1pct sample mask programs seen train_speed",
          make_rows(SCRATCHPADS, 1, 1_000_000)),
    # Can few parameters solve five swaps and be no slower than twelve convolutions?
    Table("question",
          "The article's open question: five swaps with fewer parameters, and no slower",
          "parameters over samples solved to_1pct sample programs seen test train_speed "
          "evaluation_speed",
          [*make_rows([RECIPES[name] for name in ("mixed-l12", "mixed-l6", "attn-00440")], 1),
           *FIVE_SWAPS],
          against="mixed-l12"),
]  # fmt: skip
TABLES = {table.name: table for table in TABLE_LIST}


def choose(
    rows: Sequence[Row], patterns: Sequence[str], max_samples: int | None, trials: int | None
) -> list[Row]:
    """Choose rows by names or patterns, all if there are none, and put flags' values in them.

    Raises:
      ValueError: a pattern is that of no row, or a number cannot work.
    """
    names = matching([row.name for row in rows], patterns)
    chosen = []
    for row in rows:
        if row.name in names:
            budget = row.recipe.num_samples
            samples = budget if max_samples is None else min(max_samples, budget)
            recipe = row.recipe.changed(num_samples=samples)
            chosen.append(replace(row, recipe=recipe, trials=trials or row.trials))
    return chosen


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that fit a pattern, all if there are no patterns.

    >>> matching(["zoo-gru", "zoo-lstm"], ["zoo-l*"])
    ['zoo-lstm']
    >>> matching(["zoo-gru", "zoo-lstm"], ["zoo-grue"])
    Traceback (most recent call last):
    ValueError: --rows 'zoo-grue': there is no such row, did you mean 'zoo-gru'?
    """
    names = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"--rows {pattern!r}: there is no such row, {nearest(pattern, names)}")
    return [n for n in names if not patterns or any(fnmatchcase(n, p) for p in patterns)]
