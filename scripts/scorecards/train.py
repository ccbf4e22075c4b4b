"""Train what a scorecard lacks; a finished trial is a line of a file: interrupted, it goes on."""

import itertools
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.core.causality import find_lookahead_of_model
from scripts.core.devices import use_threads
from scripts.core.io import FAULTS, read_json, read_jsonl, write_lines
from scripts.core.model_loading import LoadedModel, count_parameters, load_trained
from scripts.core.statistics import grid_nops
from scripts.core.trial_store import TrialRecord
from scripts.evaluation.grid import evaluate_grid
from scripts.scorecards.card import (
    CARD,
    TRIAL,
    TrialLine,
    check_card,
    check_fields,
    check_repeated,
    choose_rate,
    headline_split,
    summarize_card,
)
from scripts.scorecards.protocol import Protocol, read_protocol
from scripts.training.checkpoints import remove_checkpoints
from scripts.training.distributed import make_accelerator
from scripts.training.jobs import run_jobs
from scripts.training.loop import check_recipe
from scripts.training.model_checks import check_model, explain_model_errors
from scripts.training.model_factory import code_of
from scripts.training.recipes import Recipe
from scripts.training.runs import claim_folder
from scripts.training.train_state import Diverged, Job, Paused, RunOptions
from vsc_models.import_utils import package_version

TRIALS_FILE, IDENTITY = "trials.jsonl", "protocol.json"
SAME = ("wrong", "mask_error_pct", "val_loss")
"""What a trial that is trained again has in common with the kept one."""


def identify(protocol: Protocol, base: Recipe) -> dict[str, Any]:
    """Return what must be equal for a folder to go on with a scorecard."""
    return {
        "protocol": protocol.version,
        "track": protocol.track,
        "quick": protocol.quick,
        "model": protocol.write_model(base),
        "code": " ".join(code_of(base).values()),
    }


def layer_package(base: Recipe) -> dict[str, str]:
    """Return the version of the package that a layer or model is of; of a file none.

    >>> [*layer_package(read_protocol().scaffold("torch.nn:GRU"))]
    ['torch']
    """
    target = base.mixer or base.model
    package = package_version(target) if ":" in target else None
    return dict([package.rsplit(" ", 1)]) if package else {}


def find_folder(first: Path, protocol: Protocol, base: Recipe) -> Path:
    """Return the first of FOLDER, FOLDER-2, … that holds this scorecard or none.

    A layer is changed and scored again many times: each of its states has a folder.
    """
    wanted = identify(protocol, base)
    others = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(
        folder
        for folder in itertools.chain([first], others)
        if not (path := folder / IDENTITY).exists() or read_json(path, hint="remove it") == wanted
    )


class CardTraining:
    """The trainings of one scorecard, in a folder."""

    def __init__(
        self, protocol: Protocol, base: Recipe, folder: Path, jobs: int, options: RunOptions
    ) -> None:
        """Check that the model can be trained on every skill, and claim the folder.

        Args:
          protocol: what is trained.
          base: the model, see `Protocol.scaffold`.
          folder: new, or that of an interrupted scorecard of the same model.
          jobs: trials side by side.
          options: of each trial.
        Raises:
          ValueError: the folder holds another scorecard, or the model cannot be trained.
        """
        self.protocol, self.base, self.folder = protocol, base, folder
        self.jobs, self.options = jobs, options
        recipe, *others = (
            protocol.recipe(base, skill, protocol.learning_rates[0]) for skill in protocol.skills
        )
        self.accelerator = make_accelerator(recipe.mixed_precision)
        model = check_recipe(recipe, 0, self.accelerator)
        for other in others:  # rows of other widths, and ids of another vocabulary
            check_model(other, self.accelerator.device)
        self.longest_row = max(one.config.row_width for one in (recipe, *others))
        self.parameters = count_parameters(model)
        protocol.check_parameters(self.parameters)
        with explain_model_errors(recipe, model):
            self.causal = find_lookahead_of_model(model, length=self.longest_row) is None
        self.identity = identify(protocol, base)
        path = folder / IDENTITY
        if path.exists():
            kept = read_json(path, hint="choose another --output-dir")
            changed = [name for name, value in self.identity.items() if kept.get(name) != value]
            if changed:
                raise ValueError(
                    f"{folder} holds the scorecard of another layer, track or protocol (another "
                    f"{', '.join(changed)}): choose another --output-dir"
                )
        elif (folder / TRIALS_FILE).exists():
            raise ValueError(
                f"{folder} has {TRIALS_FILE} and no {IDENTITY}, so it is of another command: "
                "choose another --output-dir"
            )
        claim_folder(folder, IDENTITY, json.dumps(self.identity))

    def run(self, name: str) -> dict[str, Any]:
        """Train what is missing and return the scorecard.

        Raises:
          Paused: the deadline came first.
          ValueError, OSError: a trial failed.
        """
        protocol, search = self.protocol, list[TrialLine]()
        best = dict.fromkeys(protocol.skills, protocol.learning_rates[0])
        if len(protocol.learning_rates) > 1:
            rates = protocol.learning_rates
            seeds = [protocol.tables["search"]["seed"]]
            search = self.train(dict.fromkeys(best, rates), seeds, search=True)
            for skill in best:
                best[skill] = choose_rate([line for line in search if line["skill"] == skill])
        trials = self.train({skill: [rate] for skill, rate in best.items()}, protocol.seeds)
        skill = protocol.tables["horizon"]["skill"]
        tried = [trial for trial in trials if trial["skill"] == skill]
        # The line of a trial that diverged has neither.
        measured = next((trial for trial in reversed(trials) if trial["samples"]), trials[-1])
        horizons, causal = self.measure_horizons(tried)
        card: dict[str, Any] = {
            **self.identity,
            "name": name,
            "causal": causal,
            "parameters": self.parameters,
            "versions": {**measured["versions"], **layer_package(self.base)},
            "device": measured["device"],
            "search": [{key: line[key] for key in TRIAL} for line in search],
            "trials": [{key: line[key] for key in TRIAL} for line in trials],
            "horizons": horizons,
        }
        card["summary"] = summarize_card(card, protocol)
        try:
            check_card(card := {key: card[key] for key in CARD}, protocol)
        except ValueError as error:
            raise ValueError(
                f"{self.folder / TRIALS_FILE}: {error}: delete the lines that are wrong, and the "
                "same command trains them again"
            ) from None
        return card

    def train(
        self, rates: Mapping[str, Sequence[float]], seeds: Sequence[int], search: bool = False
    ) -> list[TrialLine]:
        """Train each skill at its learning rates with each seed, as far as it is not done."""
        wanted = [(skill, rate, seed) for skill in rates for rate in rates[skill] for seed in seeds]
        path = self.folder / TRIALS_FILE
        done: dict[Any, TrialLine] = {_key(line): line for line in read_jsonl(path, parse_line)}
        jobs = self._list_jobs([key for key in wanted if key not in done], search)
        left = sum(job.recipe.num_samples for job in jobs)
        if search:  # the trials come after it
            left += sum(len(self.protocol.seeds) * self.protocol.num_samples(one) for one in rates)
        paused, started, trained = None, time.monotonic(), 0
        for job, result in run_jobs(jobs, self.jobs, self.accelerator, self.options):
            if isinstance(result, Paused):
                paused = result
                continue
            if isinstance(result, Exception) and not isinstance(result, Diverged):
                raise result
            if identify(self.protocol, self.base) != self.identity:
                raise ValueError(
                    f"{job.label}: the layer's file was changed while it was trained: run the "
                    "command again, which scores it as it is now"
                )
            line = make_line(job, result)
            done[_key(line)] = line
            write_lines(path, [json.dumps(line) for line in done.values()])
            remove_checkpoints(job.folder)
            trained, left = trained + job.recipe.num_samples, left - job.recipe.num_samples
            minutes = math.ceil((time.monotonic() - started) / trained * left / 60)
            error = line["val_sample_error_pct"]
            print(
                f"{job.label}: {error:.2f}% of validation wrong, at most {minutes} min left",
                flush=True,
            )
        if paused:
            raise paused
        return [done[key] for key in wanted]

    def _list_jobs(self, keys: Sequence[tuple[str, float, int]], search: bool) -> list[Job]:
        """Make a job of each skill, learning rate and seed."""
        jobs = []
        for number, (skill, rate, seed) in enumerate(keys, 1):
            recipe = self.protocol.recipe(self.base, skill, rate, search)
            label = f"{skill} lr {rate:g} {number}/{len(keys)}"
            jobs.append(Job(recipe, seed, self.trial_folder(skill, rate, seed), label))
        return jobs

    def trial_folder(self, skill: str, rate: float, seed: int) -> Path:
        """Return the folder of a trial."""
        return self.folder / "trials" / f"{skill}-lr{rate:g}-seed-{seed}"

    def measure_horizons(self, trials: Sequence[TrialLine]) -> tuple[dict[str, Any], bool]:
        """Evaluate models on the grid until they fail: rows by seed, and whether all are causal."""
        grid = self.protocol.tables["horizon"]
        keys = ("nops", "questions", "sample_error_pct")
        horizons, causal = {}, self.causal
        for trial in trials:
            first = grid_nops(grid["grid"])[0], grid["samples"], 100.0
            rows = [dict(zip(keys, first, strict=True))]
            if trial["samples"]:  # else it diverged: there is no model
                loaded = LoadedModel(trial["skill"], self.load_model(trial))
                # A layer may begin without what looks ahead, and learn to use it.
                ahead = find_lookahead_of_model(loaded.model, length=self.longest_row, trained=True)
                causal = causal and ahead is None
                result = evaluate_grid(loaded, grid["grid"], grid["samples"], until_wrong=True)
                rows = [{key: row[key] for key in keys} for row in result["rows"]]
            horizons[str(trial["seed"])] = rows
        return horizons, causal

    def load_model(self, trial: TrialLine) -> Any:
        """Load a trial's model; a ValueError says how to train it again."""
        folder = self.trial_folder(*_key(trial)) / "model"
        try:
            return load_trained(folder).to(self.accelerator.device)
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{error} (delete the line of {trial['skill']}, seed {trial['seed']}, in "
                f"{self.folder / TRIALS_FILE}, and the same command trains it again)"
            ) from None


def make_line(job: Job, result: TrialRecord | Diverged) -> TrialLine:
    """Make a trial's line; one whose loss became infinite counts as 100% wrong.

    The errors that count are those on held-out programs where the skill has them.
    """
    split = headline_split(job.recipe.config)
    questions = job.recipe.config.num_rows(split)
    line = {
        "skill": job.recipe.name.partition("-lr")[0],
        "learning_rate": job.recipe.learning_rate,
        "seed": job.seed,
        "split": split,
        "questions": questions,
    }
    if isinstance(result, Diverged):
        print(f"{job.label}: counts as 100% wrong: {result}", flush=True)
        errors = ("mask_error_pct", "val_sample_error_pct", "val_mask_error_pct")
        line |= {"wrong": questions, **dict.fromkeys(errors, 100.0), "val_loss": 1e9}
        return {**line, "samples": 0, "seconds": 0.0, "versions": {}, "device": ""}
    part = "programs" if split == "test_programs" else "test"
    return {
        **line,
        "wrong": round(getattr(result, f"{part}_sample_error_pct") * questions / 100),
        "mask_error_pct": getattr(result, f"{part}_mask_error_pct"),
        "val_sample_error_pct": result.sample_error_pct,
        "val_mask_error_pct": result.mask_error_pct,
        "val_loss": result.val_loss,
        "samples": result.samples,
        "seconds": result.seconds,
        "versions": dict(result.versions),
        "device": result.device,
    }


def parse_line(line: dict[str, Any]) -> TrialLine:
    """Check a kept line; a ValueError says what it lacks."""
    check_fields(line, {**TRIAL, "versions": Mapping, "device": str}, "a trial")
    return line


def _key(line: TrialLine) -> tuple[str, float, int]:
    """Return what a trial's line is of."""
    return line["skill"], line["learning_rate"], line["seed"]


def rerun(card: Mapping[str, Any], seed: int, jobs: int = 1) -> str:
    """Train the trials of a seed of a scorecard again, at the kept learning rates.

    Elsewhere sums are rounded otherwise, and a training ends like one of another seed: so a result
    must lie where one more trial would, or be solved where the skill is.

    Returns:
      Whether the numbers are the same, or such as another seed gives.
    Raises:
      ValueError: the scorecard has no such seed, its model has changed, or a result is outside.
    """
    known = {trial["skill"]: trial for trial in card["trials"] if trial["seed"] == seed}
    if not known:
        seeds = sorted({trial["seed"] for trial in card["trials"]})
        raise ValueError(f"--rerun {seed}: the scorecard has the seeds {seeds}")
    protocol = read_protocol(card["track"], card["quick"])
    try:
        base = protocol.read_model(card["model"])
    except FAULTS as error:
        raise ValueError(f"the scorecard's model is not a recipe: {error}") from None
    rates = {skill: [trial["learning_rate"]] for skill, trial in known.items()}
    use_threads(card["device"], jobs)
    with TemporaryDirectory() as folder:
        training = CardTraining(protocol, base, Path(folder), jobs, RunOptions())
        measured = {**training.identity, "parameters": training.parameters}
        measured["causal"] = training.causal and card["causal"]  # it may have learned to look ahead
        for name in ("code", "parameters", "causal"):
            if measured[name] != card[name]:
                raise ValueError(
                    f"{name} is {card[name]!r} in the scorecard, and {measured[name]!r} of its "
                    "model in this tree: the trials are those of another model"
                )
        lines = training.train(rates, [seed])
    if all(line[key] == known[line["skill"]][key] for line in lines for key in SAME):
        return f"seed {seed}: the same, number for number"
    for line in lines:
        check_repeated(card, line)
    return f"seed {seed}: other numbers, such as one more seed gives"
