"""What a run leaves when all its trials have ended: its checkpoint, its report, its pictures."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scripts.core.io import replace_file
from scripts.core.trial_store import TrialRecord, median_trial
from scripts.reporting.report import Answered, write_report
from scripts.training.recipes import Recipe
from scripts.training.runs import read_curve, trial_folder
from scripts.training.trial_result import ANSWERS_FILE, CURVE_FILE, all_samples

NOT_MODEL = (CURVE_FILE, ANSWERS_FILE)


def finish_run(recipe: Recipe, folder: Path, records: Sequence[TrialRecord]) -> str:
    """Write the median trial's model, report.txt, curves.png and answers.png, and results.json.

    Returns:
      The report, to be printed.
    """
    curves = [read_curve(folder, record.seed) for record in records]
    model = trial_folder(folder, median_trial(records).seed) / "model"
    validation, by_nops = read_answers(recipe, model)
    (folder / "results.json").unlink(missing_ok=True)  # of fewer trials: not whole any more
    for path in filter(Path.is_file, model.iterdir()):  # no __pycache__ of a layer's code
        if path.name not in NOT_MODEL:
            with replace_file(folder / path.name) as tmp_path:
                shutil.copyfile(path, tmp_path)
    width = recipe.config.answer_width
    report = write_report(folder, records, curves, validation, by_nops, width)
    return f"{report}\n\n{folder}: checkpoint, results.json, trials.jsonl, curves.png, answers.png"


def read_answers(recipe: Recipe, model: Path) -> tuple[Answered, Answered]:
    """Read a trial's answers to the validation samples, and to those of all trained nops."""
    path, config = model / ANSWERS_FILE, recipe.config
    widened = replace(config, eval_nops=config.nops)
    if path.exists():
        predictions = json.loads(path.read_text("utf-8"))
    else:  # of an earlier version
        predictions = _predict_again(recipe, model)
    answered = []
    for one, name in ((config, "validation"), (widened, "by_nops")):
        samples = all_samples(one, "validation")
        answered.append(Answered(samples.questions(), samples.answers(), predictions[name]))
    return answered[0], answered[1]


def _predict_again(recipe: Recipe, model: Path) -> dict[str, list[str]]:
    """Evaluate a model whose trial kept no answers; the run has written its code itself."""
    from scripts.core.inference import predict
    from scripts.core.model_loading import load_model

    loaded, config = load_model(model, trust_remote_code=True), recipe.config
    configs = {"validation": config, "by_nops": replace(config, eval_nops=config.nops)}
    return {
        name: predict(loaded, all_samples(one, "validation"), recipe.loss).answers
        for name, one in configs.items()
    }
