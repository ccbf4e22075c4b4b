"""A scorecard as data: its trials, the verdicts that follow from them, and how it is checked.

scorecard.json holds protocol, track, quick, name, model (see `protocol.MODEL`), code (its hash),
causal (measured), parameters, versions, device, `search` and `trials` (a line each, see `TRIAL`),
`horizons` (a grid's rows for each seed) and `summary`, which `summarize_card` computes from the
rest.
"""

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from scripts.core.io import check_shape, has_type, read_json
from scripts.core.statistics import (
    find_horizon,
    format_share,
    grid_nops,
    horizon_order,
    is_within_horizon,
    prediction_interval,
)
from scripts.core.trial_summary import SOLVED_PCT
from scripts.scorecards.protocol import MODEL, Protocol, read_protocol
from vsc_dataset import sample
from vsc_dataset.configs import TaskConfig
from vsc_dataset.metrics.vsc_error.error_rates import ERRORS
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines

TRIAL: dict[str, Any] = {
    "skill": str,
    "learning_rate": float,
    "seed": int,
    "split": str,
    "questions": int,
    "wrong": int,
    "mask_error_pct": float,
    "val_sample_error_pct": float,
    "val_mask_error_pct": float,
    "val_loss": float,
    "samples": int,
    "seconds": float,
}
"""A trial's line: how it was trained, its errors on the split that counts, and on validation."""

CARD: dict[str, Any] = {
    "protocol": int,
    "track": str,
    "quick": bool,
    "name": str,
    "model": Mapping[str, Any],
    "code": str,
    "causal": bool,
    "parameters": int,
    "versions": Mapping[str, Any],
    "device": str,
    "search": list,
    "trials": list,
    "horizons": Mapping[str, Any],
    "summary": Mapping[str, Any],
}

HORIZON_ROW: dict[str, Any] = {"nops": int, "questions": int, "sample_error_pct": float}
"""A row of a grid, of which `horizons` has a list for each seed."""

TrialLine = Mapping[str, Any]


def headline_split(config: TaskConfig) -> str:
    """Return the split that counts: held-out programs where the data has them, else `test`.

    >>> from vsc_dataset.configs import make_config
    >>> headline_split(make_config("swap-nops1-5")), headline_split(make_config("swap-nops2"))
    ('test_programs', 'test')
    """
    return "test_programs" if "test_programs" in config.splits else "test"


@lru_cache(maxsize=16)
def chance_errors(config: TaskConfig) -> dict[str, float]:
    """Compute both errors, in percent, of the better of copying and guessing the letters.

    Copying that makes no mistake is the task itself: then only guessing counts.

    Returns:
      `sample_error_pct` and `mask_error_pct`, each the lower one of the two.
    """
    split = headline_split(config)
    questions = sample(config, split, range(config.num_rows(split))).questions()
    rates = trivial_baselines(questions, config.answer_width, ks=())
    pairs = {kind: (rates["copy"][kind], rates["guess"][kind]) for kind in ERRORS}
    return {kind: round(min(one for one in pair if one > 0), 2) for kind, pair in pairs.items()}


def sample_error_pct(trial: TrialLine) -> float:
    """Compute a trial's sample error on the split that counts."""
    return 100 * float(trial["wrong"]) / float(trial["questions"])


def choose_rate(search: Sequence[TrialLine]) -> float:
    """Choose the learning rate of the lowest validation errors, then of the lowest loss."""
    keys = ("val_sample_error_pct", "val_mask_error_pct", "val_loss", "learning_rate")
    return float(min(search, key=lambda trial: tuple(trial[key] for key in keys))["learning_rate"])


def summarize_skill(
    trials: Sequence[TrialLine], chance: float, says: str, partly: float
) -> dict[str, Any]:
    """Give a verdict on the trials of a skill.

    Args:
      trials: of all seeds.
      chance: the mask error of answers that read no operation, in percent.
      says: what the skill is, after "can".
      partly: the share of chance that the mask error may have where it is learned in part.
    Returns:
      verdict ("solved", "partly" or "at chance"), solved, trials, both errors (medians), chance,
      and a sentence.
    """
    errors = [sample_error_pct(trial) for trial in trials]
    solved = sum(error <= SOLVED_PCT for error in errors)
    error = round(statistics.median(errors), 2)
    mask_error = round(statistics.median(trial["mask_error_pct"] for trial in trials), 2)
    share = format_share(solved, len(trials))
    if 2 * solved > len(trials):
        verdict, words = "solved", f"it can {says}: solved in {share} trials"
    else:
        verdict = "partly" if mask_error <= partly * chance else "at chance"
        learns = "learns in part" if verdict == "partly" else "does not learn"
        words = (
            f"it {learns} to {says}: {error:.2f}% sample error, {mask_error:.2f}% mask error where "
            f"chance is {chance:.2f}%; solved in {share} trials"
        )
    return {
        "verdict": verdict,
        "solved": solved,
        "trials": len(trials),
        "sample_error_pct": error,
        "mask_error_pct": mask_error,
        "chance_mask_error_pct": chance,
        "sentence": words,
    }


def summarize_horizon(protocol: Protocol, horizons: Mapping[str, Any]) -> dict[str, Any]:
    """Give the horizons of the trials, rising; of two in the middle the lower one counts."""
    listed = grid_nops(protocol.tables["horizon"]["grid"])
    rising = sorted((find_horizon(one, listed) for one in horizons.values()), key=horizon_order)
    middle = rising[(len(rising) - 1) // 2]
    text = f"it holds up to {middle} operation{'s' * (middle != 1)}"
    if rising[0] != rising[-1]:
        text += f" (trials from {rising[0]} to {rising[-1]})"
    if not middle:
        text = "it holds for no number of operations, not even for one"
    ends = [rows[-1] for rows in horizons.values()]
    if any(is_within_horizon(end) and end["nops"] != listed[-1] for end in ends):
        text += "; longer rows are too long for it"
    return {"horizon": middle, "horizons": rising, "sentence": text}


def summarize_card(card: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    """Compute every verdict of a scorecard from its trials."""
    skills: dict[str, Any] = {}
    for skill in protocol.skills:
        task = protocol.tables["skills"][skill]
        trials = [trial for trial in card["trials"] if trial["skill"] == skill]
        chance = chance_errors(protocol.config(skill))["mask_error_pct"]
        skills[skill] = summarize_skill(trials, chance, task["says"], protocol.tables["partly"])
    lacking = [skill for skill in skills if skills[skill]["verdict"] != "solved"]
    return {
        "skills": skills,
        "horizon": summarize_horizon(protocol, card["horizons"]),
        "first_unsolved": lacking[0] if lacking else None,
    }


def read_card(path: Path, protocol: Protocol | None = None) -> dict[str, Any]:
    """Read and check a scorecard, see `check_card`; an error names the file."""
    card: dict[str, Any] = read_json(path, hint="give a scorecard.json")
    try:
        check_card(card, protocol)
    except (ValueError, OverflowError) as error:  # a whole number may be beyond any float
        raise ValueError(f"{path}: {error}") from None
    return card


def protocol_of(card: Mapping[str, Any]) -> Protocol:
    """Return this tree's protocol, with other seeds where the scorecard has those."""
    protocol = read_protocol(card["track"], card["quick"])
    other = protocol.with_other_seeds()
    return other if {*card["horizons"]} == {*map(str, other.seeds)} else protocol


def check_card(card: Mapping[str, Any], protocol: Protocol | None = None) -> None:
    """Check a scorecard against the protocol, and its summary against its trials.

    Args:
      card: what scorecard.json holds.
      protocol: see `protocol_of` where not given.
    Raises:
      ValueError: it is not one of this protocol, a trial is missing, or a number does not follow.
    """
    check_fields(card, CARD, "the scorecard")
    check_fields(card["model"], MODEL, "its model")
    check_name(card["name"])
    protocol = protocol or protocol_of(card)
    if card["protocol"] != protocol.version:
        raise ValueError(f"protocol is {card['protocol']}: this tree has {protocol.version}")
    for name in ("search", "trials"):
        for trial in card[name]:
            check_fields(trial, TRIAL, f"a line of {name}")
            _check_trial(trial, protocol, name == "search")
    protocol.check_parameters(card["parameters"])
    for skill in protocol.skills:
        _check_skill(card, protocol, skill)
    _check_horizons(card["horizons"], protocol)
    _check_scaffold(card, protocol)
    expected = summarize_card(card, protocol)
    for name, value in expected.items():
        kept = card["summary"].get(name)
        if json.dumps(kept, sort_keys=True) != json.dumps(value, sort_keys=True):
            raise ValueError(f"summary does not follow from the trials: {name} is {kept!r:.80}")
    if card["summary"].keys() != expected.keys():
        raise ValueError(f"summary does not follow from the trials: keys {[*card['summary']]}")


def _check_scaffold(card: Mapping[str, Any], protocol: Protocol) -> None:
    """Check that a layer stood in the protocol's scaffold; a whole model has none."""
    model = card["model"]
    if model["mixer"]:
        layer = (model["mixer"], model["mixer_args"], model["direction"])
        scaffolds = [protocol.scaffold(*layer, causal) for causal in (True, False)]
        if all(protocol.write_model(one) != {**model, "name": one.name} for one in scaffolds):
            raise ValueError(
                f"model is {model['model']!r} with {model['model_args']}: the protocol's scaffold "
                f"has {protocol.tables['scaffold']}"
            )
        if card["causal"] and not model["model_args"]["causal"]:
            raise ValueError("causal is true, and the scaffold's convolutions look ahead")


def check_repeated(card: Mapping[str, Any], trial: TrialLine) -> None:
    """Raise a ValueError where a trial that was trained again is not as one more seed would be.

    It passes where it and the scorecard both solve the skill, or where it lies in the prediction
    interval of the kept trials; of a single one, which has none, where neither solves it.
    """
    skill, wrong, questions = trial["skill"], trial["wrong"], trial["questions"]
    solves = sample_error_pct(trial) <= SOLVED_PCT
    solved = card["summary"]["skills"][skill]["verdict"] == "solved"
    counts = [kept["wrong"] for kept in card["trials"] if kept["skill"] == skill]
    told = f"seed {trial['seed']}, {skill}: {wrong} of {questions} samples wrong"
    if len(counts) == 1:
        if solves != solved:
            raise ValueError(f"{told}, {counts[0]} in the scorecard's one trial: one solves it")
        return
    low, high = prediction_interval(counts, questions)
    if not (solves and solved) and not low <= wrong / questions <= high:
        raise ValueError(
            f"{told}, and one more trial like the scorecard's would have {low:.2%} to {high:.2%}"
        )


def check_name(name: str) -> None:
    """Raise a ValueError where a name does not fit into a row of a Markdown table."""
    if (
        not 1 <= len(name.strip()) <= len(name) <= 60
        or {*"|\\"} & {*name}
        or not name.isprintable()
    ):
        raise ValueError(
            f"name {name[:80]!r} does not fit a table: use 1 to 60 characters without | and \\"
        )


def file_name(name: str) -> str:
    """Make the name of a file or folder of a layer's name.

    >>> file_name("delta rule, both ways"), file_name("../x")
    ('delta-rule-both-ways', 'x')
    """
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "layer"


def check_fields(value: Any, fields: Mapping[str, Any], what: str) -> None:
    """Raise a ValueError where an object has other keys than these, or a value of another type."""
    if not isinstance(value, dict) or set(value) != set(fields):
        keys = sorted(set(value) ^ set(fields)) if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"{what} must have the keys {[*fields]}; these differ: {keys}")
    for name, kind in fields.items():
        if not has_type(value[name], kind):
            raise ValueError(f"{what}: {name} is {value[name]!r:.80}")


def _check_trial(trial: TrialLine, protocol: Protocol, search: bool) -> None:
    """Check that a trial's numbers can be those of one training."""
    skill, samples = trial["skill"], trial["samples"]
    if skill not in protocol.skills:
        raise ValueError(f"skill is {skill!r}: the protocol has {protocol.skills}")
    config = protocol.config(skill)
    split = headline_split(config)
    questions = config.num_rows(split)
    if (trial["split"], trial["questions"]) != (split, questions):
        raise ValueError(f"{skill}: trials count on {questions} samples of {split}")
    if not 0 <= trial["wrong"] <= questions:
        raise ValueError(f"{skill}: wrong is {trial['wrong']} of {questions}")
    most = protocol.trained_samples(skill, search)
    val_error, limit = trial["val_sample_error_pct"], protocol.early_stop_pct
    # The validations that end a training have fewer samples than the last one: ten times theirs.
    early = limit is not None and 0 < samples < most and val_error <= 10 * limit
    if not early and samples not in (0, most):
        raise ValueError(f"{skill}: samples is {samples}: the protocol has {most}")
    if not 0 <= trial["seconds"] < math.inf:
        raise ValueError(f"{skill}: seconds is {trial['seconds']}: a training takes time")
    if samples % protocol.tables["optimizer"]["batch_size"]:
        raise ValueError(f"{skill}: samples is {samples}: steps are of whole batches")
    if not samples and (trial["wrong"], trial["mask_error_pct"]) != (questions, 100.0):
        raise ValueError(
            f"{skill}: after 0 samples all answers count as wrong, not {trial['wrong']}"
        )
    count = val_error * config.num_validation / 100
    if abs(count - round(count)) > 1e-6 or trial["val_loss"] < 0:
        raise ValueError(
            f"{skill}: val_sample_error_pct is {val_error} of {config.num_validation} samples and "
            f"val_loss {trial['val_loss']}: no evaluation gives that"
        )
    width = config.answer_width
    pairs = {"mask_error_pct": sample_error_pct(trial), "val_mask_error_pct": val_error}
    for name, error in pairs.items():  # a wrong answer has from one wrong character to all
        if not max(0, error / width - 1e-6) <= trial[name] <= error + 1e-6 <= 100.1:
            raise ValueError(
                f"{skill}: {name} is {trial[name]}: it cannot be with a sample error of {error}%"
            )


def _check_skill(card: Mapping[str, Any], protocol: Protocol, skill: str) -> None:
    """Check that a skill's trials are those that the protocol sets."""
    search = [trial for trial in card["search"] if trial["skill"] == skill]
    rates = sorted(trial["learning_rate"] for trial in search)
    searched = sorted(protocol.learning_rates) if len(protocol.learning_rates) > 1 else []
    if rates != searched:
        raise ValueError(f"{skill}: the search has the learning rates {rates}, not {searched}")
    seed = protocol.tables["search"]["seed"]
    if any(trial["seed"] != seed for trial in search):
        raise ValueError(f"{skill}: the search has another seed than {seed}")
    best = choose_rate(search) if search else protocol.learning_rates[0]
    trials = [trial for trial in card["trials"] if trial["skill"] == skill]
    _check_seeds(f"{skill}: trials", [trial["seed"] for trial in trials], protocol)
    for trial in trials:
        if trial["learning_rate"] != best:
            raise ValueError(f"{skill}: validation chooses the learning rate {best:g}")


def _check_horizons(horizons: Mapping[str, Any], protocol: Protocol) -> None:
    """Check that each seed has rows of the grid, from its first number of operations on."""
    if {*horizons} != {*map(str, protocol.seeds)}:
        raise ValueError(f"horizons have the seeds {sorted(horizons)}, not {protocol.seeds}")
    check_shape(horizons, {str: [HORIZON_ROW]}, "horizons")
    grid = protocol.tables["horizon"]
    listed = grid_nops(grid["grid"])
    for seed, rows in horizons.items():
        nops = [row["nops"] for row in rows]
        if not rows or nops != listed[: len(rows)]:
            raise ValueError(f"horizons.{seed}: nops is {nops}: it must begin as {listed} does")
        for row in rows:
            count, error = row["questions"], row["sample_error_pct"]
            if count != grid["samples"] or not 0 <= error <= 100:
                raise ValueError(
                    f"horizons.{seed}: {count} samples with an error of {error}%: the protocol has "
                    f"{grid['samples']}, and a share is from 0 to 100"
                )


def _check_seeds(what: str, seeds: Sequence[int], protocol: Protocol) -> None:
    if sorted(seeds) != sorted(protocol.seeds):
        raise ValueError(f"{what} have the seeds {sorted(seeds)}, not {protocol.seeds}")
