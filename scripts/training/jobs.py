"""Trials as processes side by side; without jobs, one after the other in this process."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import RLock
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tqdm import tqdm

from scripts.core.trial_store import TrialRecord
from scripts.training.distributed import make_accelerator
from scripts.training.loop import SeededModel, run_trial
from scripts.training.recipes import Recipe
from scripts.training.train_state import Paused, RunOptions

if TYPE_CHECKING:
    from scripts.training.distributed import Accelerator


class Job(NamedTuple):
    """A trial that is to be done."""

    seed: int
    folder: Path
    label: str


class Outcome(NamedTuple):
    """What became of a trial: its record, or why there is none."""

    seed: int
    result: TrialRecord | ValueError | OSError | Paused


def run_job(
    recipe: Recipe,
    job: Job,
    accelerator: "Accelerator",
    options: RunOptions,
    built: SeededModel | None = None,
) -> Outcome:
    """Run a trial in this process; an error that a user can fix is an outcome, too."""
    try:
        result = run_trial(recipe, *job, accelerator, options, built)
    except (ValueError, OSError, Paused) as error:
        return Outcome(job.seed, error)
    return Outcome(job.seed, result)


def run_in_turn(
    recipe: Recipe,
    jobs: Sequence[Job],
    accelerator: "Accelerator",
    options: RunOptions,
    built: SeededModel | None = None,
) -> Iterator[Outcome]:
    """Run trials in this process, one after the other; none after one that is Paused."""
    for job in jobs:
        outcome = run_job(recipe, job, accelerator, options, built)
        yield outcome
        if isinstance(outcome.result, Paused):
            return


def run_in_processes(
    recipe: Recipe, jobs: Sequence[Job], num_processes: int, options: RunOptions
) -> Iterator[Outcome]:
    """Run trials in several processes, which end with this one however it ends.

    After the first that is Paused none is begun any more: those that run have their own deadline.

    Yields:
      Outcomes in the order in which the trials end.
    """
    context = get_context("spawn")
    waiting, lock = list(jobs), context.RLock()
    threads = max(1, torch.get_num_threads() // num_processes)
    free_positions = list(range(num_processes))
    running: dict[Any, tuple[SpawnProcess, Job, int]] = {}
    try:
        while waiting or running:
            while waiting and free_positions:
                job, position = waiting.pop(0), free_positions.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                its_options = replace(options, bar_position=position)
                process = context.Process(
                    target=_work,
                    args=(recipe, job, its_options, threads, lock, sender),
                    daemon=True,
                )
                process.start()
                sender.close()  # so that the end of the process is the end of the pipe
                running[receiver] = process, job, position
            for ended in wait(list(running)):
                process, job, position = running.pop(ended)
                outcome = _receive(ended, process, job)
                if isinstance(outcome.result, Paused):
                    waiting.clear()
                yield outcome
                free_positions.append(position)
    finally:
        for process, _, _ in running.values():
            process.kill()
            process.join()


def _receive(receiver: Any, process: SpawnProcess, job: Job) -> Outcome:
    """Return what a process sent before it ended."""
    try:
        outcome: Outcome = receiver.recv()
    except EOFError:
        process.join()
        error = f"its process died with exit code {process.exitcode}: go on with --resume"
        outcome = Outcome(job.seed, ValueError(error))
    receiver.close()
    process.join()
    return outcome


def _work(
    recipe: Recipe, job: Job, options: RunOptions, threads: int, lock: RLock, sender: Connection
) -> None:
    """Run one trial in a process of its own, and send its outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it and ends this process
    threading.Thread(target=_follow_parent, daemon=True).start()
    tqdm.set_lock(lock)
    torch.set_num_threads(threads)
    accelerator = make_accelerator(recipe.mixed_precision, options.report_to)
    sender.send(run_job(recipe, job, accelerator, options))
    sender.close()


def _follow_parent() -> None:
    """End this process when its parent has, killed or not: nobody would keep its record."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
