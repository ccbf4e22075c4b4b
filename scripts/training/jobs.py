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
from scripts.training.loop import run_trial
from scripts.training.signals import STOP
from scripts.training.train_state import Job, Paused, RunOptions

Result = TrialRecord | ValueError | OSError | Paused
"""What became of a trial: its record, or why there is none."""


def run_jobs(
    jobs: Sequence[Job], num_processes: int, accelerator: Accelerator, options: RunOptions
) -> Iterator[tuple[Job, Result]]:
    """Run trials, and give each with its result as it ends; none is begun after a Paused one."""
    if num_processes > 1:
        yield from run_in_processes(jobs, num_processes, options)
        return
    for job in jobs:
        result: Result
        try:
            result = run_trial(job, accelerator, options)
        except (ValueError, OSError, Paused) as reason:  # that a user can fix
            result = reason
        yield job, result
        if isinstance(result, Paused):
            return


class Worker(NamedTuple):
    """A process that runs one trial after the other, and the line of its progress bar."""

    process: SpawnProcess
    pipe: Connection
    position: int


def run_in_processes(
    jobs: Sequence[Job], num_processes: int, options: RunOptions
) -> Iterator[tuple[Job, Result]]:
    """Run trials in several processes, which end with this one however it ends.

    Trials that still run when one pauses stop at their own deadline.
    """
    threads = max(1, torch.get_num_threads() // num_processes)
    waiting, running = [*jobs], dict[Any, tuple[Worker, Job]]()
    idle = [_start(n, options, threads) for n in range(min(num_processes, len(jobs)))]
    try:
        while waiting or running:
            while waiting and idle:
                worker, job = idle.pop(0), waiting.pop(0)
                running[worker.pipe] = worker, job
                with suppress(BrokenPipeError):  # it has died, which the end of the pipe tells
                    worker.pipe.send(job)
            for pipe in wait([*running]):
                worker, job = running.pop(pipe)
                result = _receive(worker)
                if isinstance(result, Paused):
                    waiting.clear()
                if worker.process.is_alive():
                    idle.append(worker)
                elif waiting:
                    idle.append(_start(worker.position, options, threads))
                yield job, result
    finally:
        workers = [*idle, *(worker for worker, _ in running.values())]
        for worker in workers:
            worker.process.terminate()  # those that train write a checkpoint
            worker.pipe.close()
        for worker in workers:
            worker.process.join()


def _start(position: int, options: RunOptions, threads: int) -> Worker:
    """Start a process, which takes about as long for its imports as a short trial for its steps."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    options = replace(options, bar_position=position)
    process = context.Process(target=_work, args=(theirs, options, threads, getpid()), daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return Worker(process, ours, position)


def _receive(worker: Worker) -> Result:
    """Return what a process sent, or that it died."""
    try:
        result: Result = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        worker.pipe.close()
        code = worker.process.exitcode
        result = ValueError(
            f"its process died with exit code {code}: resumed, it goes on from its checkpoint"
        )
    return result


def _work(pipe: Connection, options: RunOptions, threads: int, parent: int) -> None:
    """Run the trials that come through a pipe, and send their results.

    Processes share no lock for their bars: of one that is killed while it draws, the others would
    wait for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it and ends this process
    STOP.listen(parent)
    keep_freed_memory()
    torch.set_num_threads(threads)
    with suppress(EOFError, BrokenPipeError):  # the parent has died
        while not STOP.number:  # after a signal while it trained no job will come
            job: Job = pipe.recv()
            accelerator = make_accelerator(job.recipe.mixed_precision, options.report_to)
            pipe.send(next(run_jobs([job], 1, accelerator, options))[1])
