"""Train the missing trials of tables and write the tables: ours next to the article's.

python scripts/reproduce.py mixed_nops attention
python scripts/reproduce.py attention --rows attn-00440 --jobs 2
python scripts/reproduce.py zoo --rows 'zoo-g*' --max-samples 100000 --trials 1
python scripts/reproduce.py ladder --report-only
python scripts/reproduce.py word_problem --rows 'S3-*' --trials 1
python scripts/reproduce.py scorecards --rows 'GRU*' --jobs 2

Tables, their rows, budgets and trials are listed in scripts/reproduction/experiments.py. A trial
that has a line in hub_cards/results is not done again, and an interrupted one goes on. Rows are
independent: any number of these commands, on any machines, may do some of them; but the same row
of two tables is trained once: one command for it at a time.
The cells of word_problem are those of examples/word_problem.py, on other data than ours, and each
is trained whole; the rows of scorecards are the layers of scripts/reproduction/scorecards.py.
"""

import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder hides the library `evaluate`

from scripts.core.cli import Parser, int_from, positive, run
from scripts.training.distributed import check_launch

FLAGS: dict[str, dict[str, Any]] = {
    "--rows": {"nargs": "+", "default": [], "metavar": "ID", "help": "names or patterns; all"},
    "--jobs": {
        "type": int_from(1, 1024),
        "default": 1,
        "metavar": "N",
        "help": "trials side by side",
    },
    "--max-samples": {"type": int, "metavar": "N", "help": "at most, of each row"},
    "--trials": {
        "type": int_from(1, 2**16),
        "metavar": "N",
        "help": "of each row, seeds from 0 on",
    },
    "--max-minutes": {"type": positive, "metavar": "N", "help": "stop by then; again goes on"},
    "--output-dir": {"type": Path, "default": "runs/reproduce", "help": "of runs: ROW/SAMPLES"},
    "--hub-cards": {"type": Path, "default": "hub_cards", "help": "of results, tables, figures"},
    "--report-only": {"action": "store_true", "help": "train nothing"},
}
WORD_PROBLEM, SCORECARDS = "word_problem", "scorecards"


def main() -> None:
    """Train what is missing, row by row, and write its tables after each."""
    started = time.time()
    from scripts.reproduction.experiments import TABLES
    from scripts.training.signals import STOP

    STOP.listen()
    others = {WORD_PROBLEM: run_word_problem, SCORECARDS: run_scorecards}
    names = [*TABLES, *others]
    tables = {"nargs": "+", "choices": names, "metavar": "TABLE", "help": ", ".join(names)}
    flags = Parser(__doc__, {"tables": tables, **FLAGS}).parse_args()
    check_launch(flags.jobs, several=False)
    deadline = flags.max_minutes and started + 60 * flags.max_minutes
    first, *more = flags.tables
    if more and others.keys() & {*flags.tables}:
        raise ValueError(f"{' and '.join(others)} go alone: give other tables another command")
    folder = flags.hub_cards / (SCORECARDS if first == SCORECARDS else "results")
    if flags.report_only and not folder.is_dir():
        raise ValueError(f"--hub-cards {flags.hub_cards} has no {folder.name}: give another folder")
    failed = others.get(first, run_tables)(flags, deadline)
    from scripts.core.io import HUB_CARDS
    from scripts.reproduction.pages import write_pages

    if flags.hub_cards.resolve() == HUB_CARDS:
        write_pages()
    if failed:
        raise ValueError("; ".join(failed))
    sys.exit(STOP.exit_code)


def run_tables(flags: Namespace, deadline: float | None) -> list[str]:
    """Train the missing rows until the deadline, and write the tables. Return what failed."""
    from scripts.reproduction.experiments import TABLES, choose
    from scripts.reproduction.report import write_table

    rows = [row for name in flags.tables for row in TABLES[name].rows]
    chosen = choose(rows, flags.rows, flags.max_samples, flags.trials)
    failed = [] if flags.report_only else train(chosen, flags, deadline)
    print("\n\n".join(write_table(TABLES[name], flags.hub_cards) for name in flags.tables))
    return failed


def train(chosen: list[Any], flags: Namespace, deadline: float | None) -> list[str]:
    """Train the rows; after each the tables with it are written. Return what failed."""
    from scripts.core.trial_store import save_trial
    from scripts.reproduction.report import tables_with, write_table
    from scripts.reproduction.trials import missing_seeds, run_row
    from scripts.training.signals import Stopped
    from scripts.training.train_state import Paused, RunOptions

    results, failed, options = flags.hub_cards / "results", [], RunOptions(deadline=deadline)
    paused = False
    for row in chosen:
        if not missing_seeds(row, results):
            print(f"{row.name}: nothing is missing", flush=True)
            continue
        try:
            for record, details in run_row(row, flags.output_dir, results, flags.jobs, options):
                save_trial(results, record, details)
                print(
                    f"{row.name}, seed {record.seed}: {record.sample_error_pct:.2f}% sample error, "
                    f"{record.mask_error_pct:.2f}% mask error, {record.seconds:.0f} s",
                    flush=True,
                )
        except (Paused, Stopped) as pause:
            print(f"{pause}: the same command goes on")
            paused = True
        except ValueError as error:
            failed.append(f"{row.name}: {error}")
        for table in tables_with(row):
            write_table(table, flags.hub_cards)
        if paused:
            break
    return failed


def run_word_problem(flags: Namespace, deadline: float | None) -> None:
    """Train the missing cells of the word problem, none after the deadline, and write its table."""
    if flags.jobs > 1 or flags.max_samples is not None:
        raise ValueError(
            f"{WORD_PROBLEM} goes with --rows, --trials, --max-minutes and --report-only alone: "
            "start commands with other --rows side by side"
        )
    from scripts.reproduction.word_problem import missing_cells, train_cells, write_report
    from scripts.training.signals import Stopped

    missing = missing_cells(flags.hub_cards, flags.rows, flags.trials)
    try:
        for result in train_cells(flags.hub_cards, [] if flags.report_only else missing):
            shares = ", ".join(f"{share:.3f} at {n}" for n, share in result["sequences"].items())
            print(f"{result['cell']}, seed {result['seed']}: right sequences {shares}", flush=True)
            if deadline is not None and time.time() > deadline:
                print("the time is over: the same command goes on")
                break
    except Stopped as pause:
        print(f"{pause}: the same command goes on")
    print(write_report(flags.hub_cards))


def run_scorecards(flags: Namespace, deadline: float | None) -> list[str]:
    """Train the missing scorecards until the deadline, write the leaderboard; say what failed."""
    if flags.trials or flags.max_samples is not None:
        raise ValueError(f"{SCORECARDS}: the protocol fixes trials and samples, leave them out")
    from scripts.reproduction.scorecards import missing_cards, train_card, write_leaderboard
    from scripts.training.signals import Stopped
    from scripts.training.train_state import Paused, RunOptions

    missing, options = missing_cards(flags.hub_cards, flags.rows), RunOptions(deadline=deadline)
    missing = [] if flags.report_only else missing
    failed = []
    for spec in missing:
        try:
            path = train_card(flags.hub_cards, spec, flags.output_dir, flags.jobs, options)
            print(f"{path}: kept", flush=True)
        except (Paused, Stopped) as pause:
            print(f"{pause}: the same command goes on")
            break
        except ValueError as error:
            failed.append(f"{spec.layer}: {error}")
    print(write_leaderboard(flags.hub_cards))
    return failed


if __name__ == "__main__":
    run("reproduce", main, "the same command goes on")
