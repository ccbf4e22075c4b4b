"""Scorecards with made-up trials, and a protocol that takes seconds."""

from scripts.scorecards import protocol
from scripts.scorecards.card import headline_split, summarize_card

LISTED = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12]


def line(read, skill, seed, rate, wrong_share, mask_error):
    config = read.config(skill)
    split = headline_split(config)
    questions = config.num_rows(split)
    return {
        "skill": skill,
        "learning_rate": rate,
        "seed": seed,
        "split": split,
        "questions": questions,
        "wrong": round(wrong_share * questions),
        "mask_error_pct": mask_error,
        "val_sample_error_pct": 100 * wrong_share,
        "val_mask_error_pct": mask_error,
        "val_loss": 1.0 + rate,
        "samples": read.trained_samples(skill),
        "seconds": 1.0,
    }


def make_card(shares, horizon=0, name="a layer"):
    """Make a quick scorecard: trials of each skill err on a share of samples and of characters."""
    quick = protocol.read_protocol(quick=True)
    (rate,) = quick.learning_rates
    card = {
        "protocol": quick.version,
        "track": "efficiency",
        "quick": True,
        "name": name,
        "model": quick.write_model(quick.scaffold("torch.nn:GRU")),
        "code": "",
        "causal": True,
        "parameters": 50_000,
        "versions": {},
        "device": "cpu",
        "search": [],
        "trials": [],
    }
    for skill, (wrong, mask_error) in zip(quick.skills, shares, strict=True):
        card["trials"] += [
            line(quick, skill, seed, rate, wrong, mask_error) for seed in quick.seeds
        ]
    rows = [
        {"nops": nops, "questions": 1000, "sample_error_pct": 0.0 if nops <= horizon else 50.0}
        for nops in LISTED
    ]
    card["horizons"] = {str(seed): rows for seed in quick.seeds}
    card["summary"] = summarize_card(card, quick)
    return card


PROTOCOL = """
version = 99
partly = 0.9
[scaffold]
hidden_size = 8
conv_kernel_sizes = [3]
intermediate_size = 8
[parameters]
least = 1
most = 10_000
[optimizer]
batch_size = 64
num_validations = 1
[search]
learning_rates = [1e-3, 1e3]
seed = 0
[skills.copy]
says = "move letters"
data = "copy"
data_args = { num_validation = 500, num_test = 500, num_test_programs = 500 }
num_samples = 640
[skills.combine]
says = "do all"
data = "swap-nops1-5"
data_args = { num_validation = 500, num_test = 500, num_test_programs = 500 }
num_samples = 640
[horizon]
skill = "combine"
grid = "grid-len5"
samples = 300
[tracks.efficiency]
says = "the answer alone"
loss = "answer"
label_smoothing = 0.0
seeds = [1]
search_divisor = 5
[tracks.capability]
says = "dense targets too"
loss = "targets"
label_smoothing = 0.0
num_samples = 640
early_stop_pct = 0.5
curriculum = []
seeds = [1]
search_divisor = 5
[quick]
learning_rates = [1e-3]
seeds = [1]
divisor = 2
"""


def use_small_protocol(patch, folder):
    """Let commands of this process read the small protocol."""
    path = folder / "protocol.toml"
    path.write_text(PROTOCOL)
    patch.setattr(protocol, "PROTOCOL", path)
