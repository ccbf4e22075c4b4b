"""Train one seed of a scorecard again and compare."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.core.statistics import share_interval
from scripts.scorecards.protocol import read_protocol
from scripts.scorecards.train import CardTraining
from scripts.training.recipes import Recipe
from scripts.training.train_state import RunOptions

SAME = ("wrong", "mask_error_pct", "val_loss")


def rerun(card: Mapping[str, Any], seed: int, jobs: int = 1) -> str:
    """Train the trials of a seed again.

    Returns:
      What was compared: bit for bit the same, or each within the other's interval.
    Raises:
      ValueError: the scorecard has no such seed, or a result is outside its interval.
    """
    kept = {trial["skill"]: trial for trial in card["trials"] if trial["seed"] == seed}
    if not kept:
        seeds = sorted({trial["seed"] for trial in card["trials"]})
        raise ValueError(f"--rerun {seed}: the scorecard has the seeds {seeds}")
    protocol = read_protocol(card["track"], card["quick"])
    rates = {skill: [trial["learning_rate"]] for skill, trial in kept.items()}
    with TemporaryDirectory() as folder:
        base = Recipe.from_dict(card["model"])
        training = CardTraining(protocol, base, Path(folder), jobs, RunOptions())
        lines = training.train(rates, [seed])
    if all(line[key] == kept[line["skill"]][key] for line in lines for key in SAME):
        return f"seed {seed}: the same, number for number"
    for line in lines:
        before = kept[line["skill"]]
        low, high = share_interval(before["wrong"], before["questions"], confidence=0.999)
        if not low <= line["wrong"] / line["questions"] <= high:
            raise ValueError(
                f"seed {seed}, {line['skill']}: {line['wrong']} of {line['questions']} samples "
                f"wrong, the scorecard has {before['wrong']}"
            )
    return f"seed {seed}: within the intervals of the scorecard"
