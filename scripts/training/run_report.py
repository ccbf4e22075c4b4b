"""What a run leaves when all its trials have ended: its checkpoint, its report, its pictures."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.core.inference import predict
from scripts.core.io import replace_file
from scripts.core.model_loading import load_model
from scripts.core.trial_store import TrialRecord, median_trial
from scripts.reporting.report import Answered, write_report
from scripts.training.recipes import Recipe
from scripts.training.runs import read_curve, trial_folder
from scripts.training.trial_result import ANSWERS_FILE, CURVE_FILE, first_samples

NOT_MODEL = (CURVE_FILE, ANSWERS_FILE)


def finish_run(recipe: Recipe, folder: Path, records: Sequence[TrialRecord]) -> str:
    """Write the median trial's model, report.txt, curves.png and answers.png, and results.json.

    Returns:
      The report, to be printed.
    """
    curves = [read_curve(folder, record.seed) for record in records]
    median = median_trial(records)
    model = trial_folder(folder, median.seed) / "model"
    validation, by_nops = read_answers(recipe, model, median.questions)
    (folder / "results.json").unlink(missing_ok=True)  # of fewer trials: not whole any more
    for path in filter(Path.is_file, model.iterdir()):  # no __pycache__ of a layer's code
        if path.name not in NOT_MODEL:
            with replace_file(folder / path.name) as tmp_path:
                shutil.copyfile(path, tmp_path)
    width = recipe.config.answer_width
    report = write_report(folder, records, curves, validation, by_nops, width)
    return f"{report}\n\n{folder}: checkpoint, results.json, trials.jsonl, curves.png, answers.png"


def read_answers(recipe: Recipe, model: Path, count: int) -> tuple[Answered, Answered]:
    """Read a trial's answers to its validation samples, and to as many of all trained nops.

    A trial of an earlier version kept none: its model is evaluated again.
    """
    config, path = recipe.config, model / ANSWERS_FILE
    kept: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    answered = []
    for name, one in (("validation", config), ("by_nops", replace(config, eval_nops=config.nops))):
        samples = first_samples(one, "validation", count)
        if name not in kept:  # the run has written the model's code itself
            loaded = load_model(model, trust_remote_code=True)
            kept[name] = predict(loaded, samples, recipe.loss).answers
        answered.append(Answered(samples.questions(), samples.answers(), kept[name]))
    return answered[0], answered[1]
