"""Seeds and a number of jobs -> the outcome of each trial, trained side by side as processes."""

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
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from scripts.core.trial_store import TrialRecord
from scripts.training.recipes import Recipe
from scripts.training.trials import Paused, Settings, run_trial


class Task(NamedTuple):
    """A trial that is to be done."""

    seed: int
    folder: Path
    label: str


class Outcome(NamedTuple):
    """What became of a trial: its record, or why there is none."""

    seed: int
    found: TrialRecord | ValueError | OSError | Paused


def attempt(recipe: Recipe, task: Task, settings: Settings) -> Outcome:
    """Run a trial in this process; what a user can mend is an outcome, too."""
    try:
        record = run_trial(recipe, task.seed, task.folder, task.label, settings)
    except (ValueError, OSError, Paused) as error:
        return Outcome(task.seed, error)
    return Outcome(task.seed, record)


def run_jobs(
    recipe: Recipe, tasks: Sequence[Task], jobs: int, settings: Settings
) -> Iterator[Outcome]:
    """Run trials in `jobs` processes, which end with this one however it ends.

    Behind the first that is Paused none is begun any more: those that run have their own deadline.

    Yields:
      Outcomes in the order in which the trials end.
    """
    context = get_context("spawn")
    waiting, lock = list(tasks), context.RLock()
    threads = max(1, torch.get_num_threads() // jobs)
    places = list(range(jobs))
    running: dict[Any, tuple[SpawnProcess, Task, int]] = {}
    try:
        while waiting or running:
            while waiting and places:
                task, place = waiting.pop(0), places.pop(0)
                here, there = context.Pipe(duplex=False)
                own = replace(settings, place=place)
                process = context.Process(
                    target=_work, args=(recipe, task, own, threads, lock, there), daemon=True
                )
                process.start()
                there.close()  # so that the end of the process is the end of the pipe
                running[here] = process, task, place
            for ended in wait(list(running)):
                process, task, place = running.pop(ended)
                outcome = _outcome(ended, process, task)
                if isinstance(outcome.found, Paused):
                    waiting.clear()
                yield outcome
                places.append(place)
    finally:
        for process, _, _ in running.values():
            process.kill()
            process.join()


def _outcome(connection: Any, process: SpawnProcess, task: Task) -> Outcome:
    """What a process sent before it ended."""
    try:
        outcome: Outcome = connection.recv()
    except EOFError:
        process.join()
        error = f"its process died with exit code {process.exitcode}: go on with --resume"
        outcome = Outcome(task.seed, ValueError(error))
    connection.close()
    process.join()
    return outcome


def _work(
    recipe: Recipe,
    task: Task,
    settings: Settings,
    threads: int,
    lock: RLock,
    connection: Connection,
) -> None:
    """A process of its own: one trial, and its outcome sent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it and ends this process
    threading.Thread(target=_follow_parent, daemon=True).start()
    tqdm.set_lock(lock)
    torch.set_num_threads(threads)
    connection.send(attempt(recipe, task, settings))
    connection.close()


def _follow_parent() -> None:
    """End this process when its parent has, killed or not: nobody would keep its record."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
