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

from scripts.core.cli import keep_freed_memory
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


class Worker(NamedTuple):
    """A process that runs one trial after the other, and the line of its progress bar."""

    process: SpawnProcess
    pipe: Connection
    position: int


def run_in_processes(
    jobs: Sequence[Job], num_processes: int, options: RunOptions
) -> Iterator[Outcome]:
    """Run trials in several processes, which end with this one however it ends.

    After the first that is Paused none is begun any more: those that run have their own deadline.

    Yields:
      Outcomes in the order in which the trials end.
    """
    waiting, positions = list(jobs), list(range(num_processes))
    idle: list[Worker] = []
    running: dict[Any, tuple[Worker, Job]] = {}
    threads = max(1, torch.get_num_threads() // num_processes)
    try:
        while waiting or running:
            while waiting and (idle or positions):
                worker = idle.pop() if idle else _start(positions.pop(0), options, threads)
                job = waiting.pop(0)
                running[worker.pipe] = worker, job
                with suppress(BrokenPipeError):  # it has died, which the end of the pipe tells
                    worker.pipe.send(job)
            for pipe in wait(list(running)):
                worker, job = running.pop(pipe)
                outcome = _receive(worker, job)
                if worker.process.is_alive():
                    idle.append(worker)
                else:
                    positions.append(worker.position)
                if isinstance(outcome.result, Paused):
                    waiting.clear()
                yield outcome
    finally:
        workers = [*idle, *(worker for worker, _ in running.values())]
        for worker in workers:
            worker.process.terminate()  # those that train write a checkpoint
        for worker in workers:
            worker.process.join()
            worker.pipe.close()


def _start(position: int, options: RunOptions, threads: int) -> Worker:
    """Start a process, which takes about as long for its imports as a short trial for its steps."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = theirs, replace(options, bar_position=position), threads, getpid()
    process = context.Process(target=_work, args=arguments, daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return Worker(process, ours, position)


def _receive(worker: Worker, job: Job) -> Outcome:
    """Return what a process sent, or that it died."""
    try:
        outcome: Outcome = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        worker.pipe.close()
        error = f"its process died with exit code {worker.process.exitcode}: go on with --resume"
        outcome = Outcome(job, ValueError(error))
    return outcome


def _work(pipe: Connection, options: RunOptions, threads: int, parent: int) -> None:
    """Run the trials that come through a pipe, and send their outcomes.

    Processes share no lock for their bars: of one that is killed while it draws, the others would
    wait for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it and ends this process
    STOP.listen(parent)
    keep_freed_memory()
    torch.set_num_threads(threads)
    with suppress(EOFError, BrokenPipeError):  # the parent has died
        while True:
            job: Job = pipe.recv()
            accelerator = make_accelerator(job.recipe.mixed_precision, options.report_to)
            pipe.send(next(run_in_turn([job], accelerator, options)))
