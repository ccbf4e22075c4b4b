"""Trials one after the other in this process, or as processes side by side."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from os import getpid
from typing import Any, NamedTuple

import torch

from scripts.core.trial_store import TrialRecord
from scripts.training.distributed import Accelerator, make_accelerator
from scripts.training.loop import SeededModel, run_trial
from scripts.training.signals import STOP
from scripts.training.train_state import Job, Paused, RunOptions


class Outcome(NamedTuple):
    """What became of a trial: its record, or why there is none."""

    job: Job
    result: TrialRecord | ValueError | OSError | Paused


def run_jobs(
    jobs: Sequence[Job],
    num_processes: int,
    accelerator: Accelerator,
    options: RunOptions,
    built: SeededModel | None = None,
) -> Iterator[Outcome]:
    """Run trials in this process, or several side by side; see `run_trial` for `built`."""
    if num_processes > 1:
        return run_in_processes(jobs, num_processes, options)
    return run_in_turn(jobs, accelerator, options, built)


def run_in_turn(
    jobs: Sequence[Job],
    accelerator: Accelerator,
    options: RunOptions,
    built: SeededModel | None = None,
) -> Iterator[Outcome]:
    """Run trials in this process, one after the other; none after one that is Paused."""
    for job in jobs:
        try:
            yield Outcome(job, run_trial(job, accelerator, options, built))
        except (ValueError, OSError) as error:  # that a user can fix
            yield Outcome(job, error)
        except Paused as pause:
            yield Outcome(job, pause)
            return


def run_in_processes(
    jobs: Sequence[Job], num_processes: int, options: RunOptions
) -> Iterator[Outcome]:
    """Run trials in several processes, which end with this one however it ends.

    After the first that is Paused none is begun any more: those that run have their own deadline.

    Yields:
      Outcomes in the order in which the trials end.
    """
    context = get_context("spawn")
    waiting = list(jobs)
    threads = max(1, torch.get_num_threads() // num_processes)
    free_positions = list(range(num_processes))
    running: dict[Any, tuple[SpawnProcess, Job, int]] = {}
    try:
        while waiting or running:
            while waiting and free_positions:
                job, position = waiting.pop(0), free_positions.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                options = replace(options, bar_position=position)
                process = context.Process(
                    target=_work,
                    args=(job, options, threads, getpid(), sender),
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
            process.terminate()  # those that train write a checkpoint
        for process, _, _ in running.values():
            process.join()


def _receive(receiver: Any, process: SpawnProcess, job: Job) -> Outcome:
    """Return what a process sent before it ended."""
    with receiver:
        try:
            outcome: Outcome = receiver.recv()
            process.join()
        except EOFError:
            process.join()
            error = f"its process died with exit code {process.exitcode}: go on with --resume"
            outcome = Outcome(job, ValueError(error))
    return outcome


def _work(job: Job, options: RunOptions, threads: int, parent: int, sender: Connection) -> None:
    """Run one trial in a process of its own, and send its outcome.

    Processes share no lock for their bars: of one that is killed while it draws, the others would
    wait for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it and ends this process
    STOP.listen(parent)
    torch.set_num_threads(threads)
    accelerator = make_accelerator(job.recipe.mixed_precision, options.report_to)
    with suppress(BrokenPipeError):  # the parent has died
        sender.send(next(run_in_turn([job], accelerator, options)))
