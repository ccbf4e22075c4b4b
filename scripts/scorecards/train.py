"""Train what a scorecard lacks; a finished trial is a line of a file: interrupted, it goes on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.core.io import read_jsonl, write_lines
from scripts.core.model_loading import LoadedModel, load_model
from scripts.core.trial_store import TrialRecord
from scripts.evaluation.grid import evaluate_grid
from scripts.scorecards.card import CARD, TRIAL, choose_rate, headline_split, summarize_card
from scripts.scorecards.protocol import Protocol
from scripts.training.distributed import make_accelerator
from scripts.training.jobs import run_in_processes, run_in_turn
from scripts.training.loop import check_recipe
from scripts.training.model_factory import code_of
from scripts.training.recipes import Recipe
from scripts.training.train_state import Job, Paused, RunOptions

TRIALS, HORIZONS, IDENTITY = "trials.jsonl", "horizons.jsonl", "protocol.json"
Line = Mapping[str, Any]


class CardTraining:
    """The trainings of one scorecard, in a folder."""

    def __init__(
        self, protocol: Protocol, base: Recipe, folder: Path, jobs: int, options: RunOptions
    ) -> None:
        """Open a folder.

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
        recipe = protocol.recipe(base, protocol.skills[0], protocol.learning_rates[0])
        self.accelerator = make_accelerator(recipe.mixed_precision)
        built = check_recipe(recipe, 0, self.accelerator, options.trust_remote_code)
        self.parameters = sum(p.numel() for p in built.model.parameters())
        protocol.check_parameters(self.parameters)
        self.identity = {
            "protocol": protocol.version,
            "track": protocol.track,
            "quick": protocol.quick,
            "model": base.to_json(),
            "code": " ".join(code_of(base).values()),
        }
        path = folder / IDENTITY
        if path.exists() and json.loads(path.read_text("utf-8")) != self.identity:
            raise ValueError(
                f"{folder} holds the scorecard of another layer, track or protocol: choose another "
                "--output-dir"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_lines(path, [json.dumps(self.identity)])

    def run(self, name: str) -> dict[str, Any]:
        """Train what is missing and return the scorecard.

        Raises:
          Paused: the deadline came first.
          ValueError, OSError: a trial failed.
        """
        protocol, search = self.protocol, list[Line]()
        best = dict.fromkeys(protocol.skills, protocol.learning_rates[0])
        if len(protocol.learning_rates) > 1:
            rates = protocol.learning_rates
            search = self.train(dict.fromkeys(best, rates), [protocol.search_seed])
            for skill in best:
                best[skill] = choose_rate([line for line in search if line["skill"] == skill])
        trials = self.train({skill: [rate] for skill, rate in best.items()}, protocol.seeds)
        skill = protocol.tables["horizon"]["skill"]
        horizons = {str(seed): self.horizon(skill, best[skill], seed) for seed in protocol.seeds}
        card: dict[str, Any] = {
            **self.identity,
            "name": name,
            "parameters": self.parameters,
            "versions": trials[-1]["versions"],
            "device": trials[-1]["device"],
            "search": [{key: line[key] for key in TRIAL} for line in search],
            "trials": [{key: line[key] for key in TRIAL} for line in trials],
            "horizons": horizons,
        }
        card["summary"] = summarize_card(card, protocol)
        return {key: card[key] for key in CARD}

    def train(self, rates: Mapping[str, Sequence[float]], seeds: Sequence[int]) -> list[Line]:
        """Train each skill at its learning rates with each seed, as far as it is not done."""
        wanted = [(skill, rate, seed) for skill in rates for rate in rates[skill] for seed in seeds]
        path = self.folder / TRIALS
        done: dict[Any, Line] = {_key(line): line for line in read_jsonl(path, dict)}
        for line in self.run_jobs([key for key in wanted if key not in done]):
            done[_key(line)] = line
            write_lines(path, [json.dumps(line) for line in done.values()])
        return [done[key] for key in wanted]

    def run_jobs(self, keys: Sequence[tuple[str, float, int]]) -> Iterator[Line]:
        """Run trials by skill, learning rate and seed, and give a line of each as it ends."""
        jobs, total = [], len(keys)
        for number, (skill, rate, seed) in enumerate(keys, 1):
            recipe = self.protocol.recipe(self.base, skill, rate)
            folder = self.trial_folder(skill, rate, seed)
            jobs.append(Job(recipe, seed, folder, f"{skill} lr {rate:g} {number}/{total}"))
        side_by_side = min(self.jobs, len(jobs))
        outcomes = (
            run_in_processes(jobs, side_by_side, self.options)
            if side_by_side > 1
            else run_in_turn(jobs, self.accelerator, self.options)
        )
        paused: Paused | None = None
        for job, result in outcomes:
            if isinstance(result, Paused):
                paused = result
            elif isinstance(result, OSError):
                raise result
            elif isinstance(result, ValueError):
                yield diverged(job, result)
            else:
                yield finished(job, result)
        if paused:
            raise paused

    def trial_folder(self, skill: str, rate: float, seed: int) -> Path:
        """Return the folder of a trial."""
        return self.folder / "trials" / f"{skill}-lr{rate:g}-seed-{seed}"

    def horizon(self, skill: str, rate: float, seed: int) -> list[dict[str, Any]]:
        """Evaluate a trial's model on the grid until it fails."""
        path, grid = self.folder / HORIZONS, self.protocol.tables["horizon"]
        done = {line["seed"]: line["rows"] for line in read_jsonl(path, dict)}
        if seed not in done:
            # The run has written the model's code itself.
            folder = self.trial_folder(skill, rate, seed) / "model"
            model = load_model(str(folder), trust_remote_code=True)
            loaded = LoadedModel(skill, model)
            evaluated = evaluate_grid(loaded, grid["grid"], grid["samples"], until_wrong=True)
            keys = ("nops", "questions", "sample_error_pct")
            done[seed] = [{key: row[key] for key in keys} for row in evaluated["rows"]]
            lines = [{"seed": seed, "rows": rows} for seed, rows in done.items()]
            write_lines(path, [json.dumps(line) for line in lines])
        rows_of_seed: list[dict[str, Any]] = done[seed]
        return rows_of_seed


def finished(job: Job, record: TrialRecord) -> Line:
    """Make a trial's line: the errors that count are those on held-out programs."""
    held_out = record.programs_questions is not None
    part = "programs" if held_out else "test"
    questions = getattr(record, f"{part}_questions")
    error = getattr(record, f"{part}_sample_error_pct")
    return {
        **_head(job, "test_programs" if held_out else "test", questions),
        "wrong": round(error * questions / 100),
        "mask_error_pct": getattr(record, f"{part}_mask_error_pct"),
        "val_sample_error_pct": record.sample_error_pct,
        "val_mask_error_pct": record.mask_error_pct,
        "val_loss": record.val_loss,
        "samples": record.samples,
        "seconds": record.seconds,
        "versions": dict(record.versions),
        "device": record.device,
    }


def diverged(job: Job, error: ValueError) -> Line:
    """Make the line of a trial whose loss became infinite: its learning rate is too high."""
    print(f"{job.label}: counts as 100% wrong: {error}", flush=True)
    split = headline_split(job.recipe.data)
    questions = job.recipe.config.num_rows(split)
    return {
        **_head(job, split, questions),
        "wrong": questions,
        "mask_error_pct": 100.0,
        "val_sample_error_pct": 100.0,
        "val_mask_error_pct": 100.0,
        "val_loss": 1e9,
        "samples": 0,
        "seconds": 0.0,
        "versions": {},
        "device": "",
    }


def _head(job: Job, split: str, questions: int) -> dict[str, Any]:
    """Begin a trial's line."""
    return {
        "skill": job.recipe.name.partition("-lr")[0],
        "learning_rate": job.recipe.learning_rate,
        "seed": job.seed,
        "split": split,
        "questions": questions,
    }


def _key(line: Line) -> tuple[str, float, int]:
    """Return what a trial's line is of."""
    return line["skill"], line["learning_rate"], line["seed"]
