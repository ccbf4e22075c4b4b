"""What a run leaves when all its trials have ended: its checkpoint, its report, its pictures."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.inference import predict
from scripts.core.io import read_json, replace_file, write_lines
from scripts.core.model_loading import load_trained
from scripts.core.trial_store import TrialRecord
from scripts.core.trial_summary import median_trial, summarize
from scripts.reporting.answers import Answered, worst_and_best
from scripts.reporting.figures import answers_picture, training_curves
from scripts.reporting.seen_programs import programs_seen
from scripts.reporting.tables import (
    Rates,
    both_errors,
    nops_table,
    rate_cells,
    table,
    trials_table,
    with_baselines,
)
from scripts.training.recipes import Recipe
from scripts.training.runs import read_curve, trial_folder
from scripts.training.trial_result import ANSWERS_FILE, CURVE_FILE, final_parts, first_samples
from vsc_dataset.metrics.vsc_error.error_rates import error_rates
from vsc_dataset.metrics.vsc_error.trivial_baselines import trivial_baselines


def finish_run(recipe: Recipe, folder: Path, records: Sequence[TrialRecord]) -> str:
    """Write the median trial's model, pictures, results.json and the report, and return that."""
    curves = [read_curve(folder, record.seed) for record in records]
    median = median_trial(records)
    model = trial_folder(folder, median.seed) / "model"
    answered = read_answers(recipe, model, median)
    (folder / "results.json").unlink(missing_ok=True)  # of fewer trials: not whole any more
    for path in filter(Path.is_file, model.iterdir()):  # no __pycache__ of a layer's code
        if path.name not in (CURVE_FILE, ANSWERS_FILE):
            with replace_file(folder / path.name) as tmp_path:
                shutil.copyfile(path, tmp_path)
    seen = seen_in_training(recipe, median)
    report = write_report(folder, records, curves, answered, recipe.config.answer_width, seen)
    return f"{report}\n\n{folder}: checkpoint, results.json, trials.jsonl, curves.png, answers.png"


def write_report(
    folder: Path,
    records: Sequence[TrialRecord],
    curves: Sequence[Sequence[Mapping[str, Any]]],
    answered: Mapping[str, Answered],
    answer_width: int,
    seen_pct: float | None = None,
) -> str:
    """Write curves.png, answers.png, report.txt and, last, results.json into the run's folder.

    `records` are trials of one setting, `curves` their validations. `answered` is what the median
    one answered: all `validation` samples, `by_nops`, over all trained numbers of operations, and,
    if known, `test` and `test_programs`; `seen_pct` is of `programs_seen`. The report is returned.
    """
    rates = {
        part: error_rates(texts.predictions, texts.references, texts.questions, answer_width)
        for part, texts in answered.items()
    }
    baselines = trivial_baselines(answered["validation"].questions, answer_width)
    levels = trivial_baselines(answered["by_nops"].questions, answer_width)
    results = {
        **summarize(records),
        "held_out": {part: rates[part] for part in ("test", "test_programs") if part in rates},
        "test_programs_seen_pct": seen_pct,
        "shown_seed": median_trial(records).seed,
        "floors": {name: both_errors(level) for name, level in baselines.items()},
        **{k: with_baselines(rates["by_nops"], levels, k) for k in ("by_nops", "by_length")},
    }
    text = _describe(results, records[0].data)
    lines = {name: baselines[name]["mask_error_pct"] for name in ("copy", "first 3", "first 4")}
    title = text.partition(":")[0]
    names = {f"trials: {len(curves)}": curves}
    training_curves(names, folder / "curves.png", title, lines, with_loss=True)
    blocks = worst_and_best(answered["validation"], answer_width)
    answers_picture(blocks, folder / "answers.png")
    write_lines(folder / "report.txt", [text])
    # After all others: where it is, the run is whole.
    write_lines(folder / "results.json", [json.dumps(results, indent=2, allow_nan=False)])
    return text


def _describe(results: Mapping[str, Any], data: str) -> str:
    """Write the report: held-out programs first, then all trials, then the median one."""
    parts = [
        f"{results['recipe']} on {data}, {results['parameters']:,} parameters, "
        f"{results['samples']:,} training samples:"
    ]
    held_out = results["held_out"]
    if len(held_out) == 2:
        rows = held_out_table(held_out["test_programs"], held_out["test"])
        parts.append(f"the median trial on held-out programs and test:\n{rows}")
    if (seen := results["test_programs_seen_pct"]) is not None:
        parts.append(f"{seen:.1f}% of the test samples have a program that training has seen.")
    parts += [
        trials_table(results),
        f"the median trial, seed {results['shown_seed']}, by number of operations, next to the "
        f"trivial baselines (sample/mask error %):\n{nops_table(results['by_nops'])}",
    ]
    return "\n\n".join(parts)


def held_out_table(programs: Rates, test: Rates) -> str:
    """Lay out both sample errors, with 95% intervals, at the numbers of operations of both."""
    header = ["nops", "held-out programs", "sample err % (95%)", "test", "sample err % (95%)"]
    rows = []
    for nops in sorted(programs["by_nops"].keys() & test["by_nops"].keys()):
        cells = [rate_cells(rates["by_nops"][nops]) for rates in (programs, test)]
        rows.append([str(nops), *(c for n, e, i, _ in cells for c in (n, f"{e} ({i})"))])
    return table(header, rows)


def seen_in_training(recipe: Recipe, record: TrialRecord) -> float | None:
    """Compute the percent of test samples whose program a trial was trained on."""
    stages = [(step * recipe.batch_size, config) for step, config in recipe.stages]
    return programs_seen(recipe.config, "test", record.seed, record.samples, stages)


def read_answers(recipe: Recipe, model: Path, record: TrialRecord) -> dict[str, Answered]:
    """Read a trial's answers to the samples of each of the `final_parts` that its record counts.

    A trial of an earlier version kept none of some: its model is evaluated again.
    """
    path, hint, answered = model / ANSWERS_FILE, "delete it and resume", dict[str, Answered]()
    kept: dict[str, Any] = read_json(path, (), hint) if path.exists() else {}
    counts = {"test": record.test_questions, "test_programs": record.programs_questions}
    for name, (config, split) in final_parts(recipe.config).items():
        samples = first_samples(config, split, counts.get(name, record.questions))
        if name not in kept:
            loaded = load_trained(model)
            kept[name] = predict(loaded, samples, recipe.loss).answers
        texts = kept[name]
        whole = isinstance(texts, list) and len(texts) >= len(samples)
        if not whole or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{path}: {name} is not {len(samples)} texts: {hint}")
        answered[name] = Answered(samples.questions(), samples.answers(), texts[: len(samples)])
    return answered
