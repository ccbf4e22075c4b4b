"""A folder of finished trials -> its checkpoint, its report and its pictures."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scripts.core.inference import measure
from scripts.core.io import replacing
from scripts.core.model_loading import load_model
from scripts.core.records import TrialRecord, median_trial
from scripts.reporting.report import Answered, write_report
from scripts.training.distributed import make_accelerator
from scripts.training.recipes import Recipe
from scripts.training.runs import read_curve, trial_folder
from vsc_dataset import sample

NOT_MODEL = ("curve.json",)


def finish_run(recipe: Recipe, folder: Path, records: Sequence[TrialRecord]) -> str:
    """Write the median trial's model, report.txt, curves.png and answers.png, and results.json.

    Returns:
      The report, to be printed.
    """
    curves = [read_curve(folder, record.seed) for record in records]
    shown = trial_folder(folder, median_trial(records).seed) / "model"
    # This run has written its code.
    model = load_model(shown, trust_remote_code=True).to(make_accelerator().device)
    config = recipe.config
    # The held questions of all trained numbers of operations, not of eval_nops alone.
    widened = replace(config, eval_nops=config.nops)
    validation, by_nops = (
        measure(model, sample(c, "validation", range(c.num_validation)), recipe.loss)
        for c in (config, widened)
    )
    (folder / "results.json").unlink(missing_ok=True)  # of fewer trials: no longer whole
    for path in filter(Path.is_file, shown.iterdir()):  # no __pycache__ of a layer's code
        if path.name not in NOT_MODEL:
            with replacing(folder / path.name) as beside:
                shutil.copyfile(path, beside)
    report = write_report(
        folder,
        records,
        curves,
        Answered(validation.questions, validation.references, validation.predictions),
        Answered(by_nops.questions, by_nops.references, by_nops.predictions),
        config.answer_width,
    )
    return f"{report}\n\n{folder}: checkpoint, results.json, trials.jsonl, curves.png, answers.png"
