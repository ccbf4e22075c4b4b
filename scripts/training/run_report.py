"""What a run leaves when all its trials have ended: its checkpoint, its report, its pictures."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.core.inference import predict
from scripts.core.io import read_json, replace_file
from scripts.core.model_loading import load_model
from scripts.core.trial_store import TrialRecord, median_trial
from scripts.reporting.held_out import programs_seen
from scripts.reporting.report import Answered, write_report
from scripts.training.recipes import Recipe
from scripts.training.runs import read_curve, trial_folder
from scripts.training.trial_result import ANSWERS_FILE, CURVE_FILE, final_parts, first_samples


def finish_run(recipe: Recipe, folder: Path, records: Sequence[TrialRecord]) -> str:
    """Write the median trial's model, pictures, results.json and the report, and return that."""
    curves = [read_curve(folder, record.seed) for record in records]
    median = median_trial(records)
    model = trial_folder(folder, median.seed) / "model"
    answered = read_answers(recipe, model, median.questions)
    (folder / "results.json").unlink(missing_ok=True)  # of fewer trials: not whole any more
    for path in filter(Path.is_file, model.iterdir()):  # no __pycache__ of a layer's code
        if path.name not in (CURVE_FILE, ANSWERS_FILE):
            with replace_file(folder / path.name) as tmp_path:
                shutil.copyfile(path, tmp_path)
    seen = seen_in_training(recipe, median)
    report = write_report(folder, records, curves, answered, recipe.config.answer_width, seen)
    return f"{report}\n\n{folder}: checkpoint, results.json, trials.jsonl, curves.png, answers.png"


def seen_in_training(recipe: Recipe, record: TrialRecord) -> float | None:
    """Compute the percent of test samples whose program a trial was trained on."""
    stages = [(step * recipe.batch_size, config) for step, config in recipe.stages]
    return programs_seen(recipe.config, "test", record.seed, record.samples, stages)


def read_answers(recipe: Recipe, model: Path, count: int) -> dict[str, Answered]:
    """Read a trial's answers to the first samples of each of the `final_parts`.

    A trial of an earlier version kept none of some: its model is evaluated again.
    """
    path, hint, answered = model / ANSWERS_FILE, "delete it and resume", dict[str, Answered]()
    kept: dict[str, Any] = read_json(path, (), hint) if path.exists() else {}
    for name, (config, split) in final_parts(recipe.config).items():
        samples = first_samples(config, split, count)
        if name not in kept:  # the run has written the model's code itself
            loaded = load_model(model, trust_remote_code=True)
            kept[name] = predict(loaded, samples, recipe.loss).answers
        texts = kept[name]
        whole = isinstance(texts, list) and len(texts) >= len(samples)
        if not whole or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{path}: {name} is not {len(samples)} texts: {hint}")
        answered[name] = Answered(samples.questions(), samples.answers(), texts[: len(samples)])
    return answered
