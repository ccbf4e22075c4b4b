"""Scorecards with made-up trials."""

from scripts.scorecards.card import headline_split, summarize_card
from scripts.scorecards.protocol import read_protocol

LISTED = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12]


def line(protocol, skill, seed, rate, wrong_share, mask_error):
    config = protocol.config(skill)
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
        "samples": 1000,
        "seconds": 1.0,
    }


def make_card(shares, horizon=0, name="a layer"):
    """Make a quick scorecard: trials of each skill err on a share of samples and of characters."""
    protocol = read_protocol(quick=True)
    (rate,) = protocol.learning_rates
    card = {
        "protocol": protocol.version,
        "track": "efficiency",
        "quick": True,
        "name": name,
        "model": protocol.scaffold("torch.nn:GRU").to_json(),
        "code": "",
        "causal": True,
        "parameters": 50_000,
        "versions": {},
        "device": "cpu",
        "search": [],
        "trials": [],
    }
    for skill, (wrong, mask_error) in zip(protocol.skills, shares, strict=True):
        card["trials"] += [
            line(protocol, skill, seed, rate, wrong, mask_error) for seed in protocol.seeds
        ]
    rows = [
        {"nops": nops, "questions": 1000, "sample_error_pct": 0.0 if nops <= horizon else 50.0}
        for nops in LISTED
    ]
    card["horizons"] = {str(seed): rows for seed in protocol.seeds}
    card["summary"] = summarize_card(card, protocol)
    return card
