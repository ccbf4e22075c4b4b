"""The command: it trains what is missing, goes on where it was cut off, checks and trains again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.core.cli import Parser
from scripts.scorecard import FLAGS, scored_recipe
from scripts.scorecards import protocol
from scripts.scorecards.card import choose_rate, summarize_card
from scripts.scorecards.train import CardTraining, find_folder, make_line
from scripts.training.recipes import find_recipe
from scripts.training.signals import STOP
from scripts.training.train_state import Diverged, Job, RunOptions
from tests.commands import ROOT, run_command
from tests.scripts.scorecards.cases import use_small_protocol
from tests.vsc_models import own_layers


@pytest.fixture(scope="module", autouse=True)
def small_protocol(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        use_small_protocol(patch, tmp_path_factory.mktemp("protocol"))
        yield


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A finished scorecard."""
    folder = tmp_path_factory.mktemp("card") / "gru"
    result = run_command("scorecard", "--mixer", "torch.nn:GRU", "--output-dir", folder)
    assert result.exit_code == 0, result.stderr
    return folder, result.stdout


def results_of(folder):
    """A scorecard without its times."""
    card = json.loads((folder / "scorecard.json").read_text())
    for line in [*card["search"], *card["trials"]]:
        del line["seconds"]
    return card


def test_a_table_of_positions_as_long_as_the_rows_of_training_is_enough(tmp_path):
    """As `train.py` takes it; where it ends, the horizon ends."""
    layer = f"{own_layers.__file__}:Positions"
    result = run_command("scorecard", "--mixer", layer, "--output-dir", tmp_path / "card")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "card" / "scorecard.json").read_text())["causal"] is True


def test_it_leaves_json_page_and_picture(scored):
    folder, printed = scored
    assert "# Scorecard of GRU" in printed
    assert {"scorecard.json", "scorecard.md", "scorecard.png"} <= {p.name for p in folder.iterdir()}
    assert not list(folder.rglob("checkpoint-*"))
    card = results_of(folder)
    assert [(line["skill"], line["seed"]) for line in card["trials"]] == [
        ("copy", 1),
        ("combine", 1),
    ]
    assert [line["split"] for line in card["trials"]] == ["test", "test_programs"]
    assert [line["samples"] for line in card["trials"]] == [640, 640]
    assert {line["samples"] for line in card["search"]} == {128}


def test_a_learning_rate_that_diverges_counts_as_wrong_and_is_not_chosen(scored, tmp_path):
    (best,) = {line["learning_rate"] for line in results_of(scored[0])["trials"]}
    assert best == 1e-3
    recipe = find_recipe("swap-delta").changed(name="combine-lr0.1", learning_rate=0.1)
    line = make_line(Job(recipe, 0, tmp_path), Diverged("the loss is nan after 64 samples"))
    assert (line["skill"], line["wrong"], line["questions"]) == ("combine", 10_000, 10_000)
    other = {**line, "learning_rate": 0.2, "val_sample_error_pct": 99.9}
    assert choose_rate([line, other]) == 0.2


def score_with(result, folder, monkeypatch):
    """Score a layer whose trials all end in one way."""
    ended = "scripts.scorecards.train.run_jobs"
    monkeypatch.setattr(ended, lambda jobs, *_: ((job, result) for job in jobs))
    return run_command("scorecard", "--mixer", "torch.nn:GRU", "--output-dir", folder)


def test_a_layer_that_always_diverges_has_a_scorecard(tmp_path, monkeypatch):
    result = score_with(Diverged("the loss is nan"), tmp_path, monkeypatch)
    assert result.exit_code == 0, result.stderr
    summary = results_of(tmp_path)["summary"]
    assert {skill["verdict"] for skill in summary["skills"].values()} == {"at chance"}
    assert summary["horizon"]["horizon"] == 0
    page = (tmp_path / "scorecard.md").read_text()
    trainings = sum(len(results_of(tmp_path)[name]) for name in ("search", "trials"))
    assert f"In {trainings} of {trainings} trainings the loss became NaN or infinite." in page


def test_a_process_that_died_is_no_result(tmp_path, monkeypatch):
    result = score_with(ValueError("its process died"), tmp_path, monkeypatch)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "scorecard: its process died")
    assert not (tmp_path / "trials.jsonl").exists()


@pytest.mark.parametrize("kept", [3, 5])
def test_cut_off_it_ends_with_the_same_card(scored, tmp_path, kept):
    folder = tmp_path / "again"
    folder.mkdir()
    lines = (scored[0] / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(lines[:kept]))
    for name in ("protocol.json", *(["trials"] if kept == 5 else [])):
        (folder / name).symlink_to(scored[0] / name)
    result = run_command("scorecard", "--mixer", "torch.nn:GRU", "--output-dir", folder)
    assert result.exit_code == 0, result.stderr
    assert results_of(folder) == results_of(scored[0])


def test_a_signal_between_two_trainings_says_how_to_go_on(tmp_path, monkeypatch):
    def receive(job, result):
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("scripts.scorecards.train.make_line", receive)
    monkeypatch.setattr(STOP, "number", 0)  # for this test alone
    try:
        result = run_command("scorecard", "--mixer", "torch.nn:GRU", "--output-dir", tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert result.exit_code == 128 + signal.SIGTERM
    assert result.stdout.endswith(
        f"stopped by a signal: the same command with --output-dir {tmp_path} goes on\n"
    )


def test_a_folder_of_another_layer_is_refused(scored):
    result = run_command("scorecard", "--mixer", "torch.nn:LSTM", "--output-dir", scored[0])
    assert result.exit_code == 1
    assert "holds the scorecard of another layer" in result.stderr


def test_a_changed_layer_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layer, first = tmp_path / "layer.py", Path("scorecards/Mine-efficiency")
    folders = []
    for bias in ("True", "False", "True"):
        layer.write_text(
            "from torch import nn\n"
            "class Mine(nn.Linear):\n"
            "    def __init__(self, hidden_size):\n"
            f"        super().__init__(hidden_size, hidden_size, bias={bias})\n"
        )
        base = protocol.read_protocol().scaffold("layer.py:Mine")
        folders.append(find_folder(first, protocol.read_protocol(), base))
        CardTraining(protocol.read_protocol(), base, folders[-1], 1, RunOptions())
    assert folders == [first, Path("scorecards/Mine-efficiency-2"), first]


def test_a_layer_that_changes_while_it_trains_gives_no_mixed_scorecard(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layer, text = Path("layer.py"), Path(ROOT, "examples", "own_layer.py").read_text()
    layer.write_text(text)

    def change(job, result):
        layer.write_text(text + "# changed")
        return make_line(job, result)

    monkeypatch.setattr("scripts.scorecards.train.make_line", change)
    result = run_command("scorecard", "--mixer", "layer.py:Decay")
    assert result.exit_code == 1
    assert "the layer's file was changed while it was trained" in result.stderr
    (kept,) = Path("scorecards/Decay-efficiency/trials.jsonl").read_text().splitlines()
    assert '"skill": "copy"' in kept


LAYER = """
import torch
from torch import nn
class Mine(nn.Linear):
    def __init__(self, hidden_size):
        super().__init__(hidden_size, hidden_size)
        self.register_buffer("calls", torch.zeros(()))
    def forward(self, x_BxLxD):
        self.calls += self.training
        {line}
        return super().forward(x_BxLxD)
"""


def score_layer(line):
    """Score a layer with a line of its own."""
    Path("layer.py").write_text(LAYER.format(line=line))
    return run_command("scorecard", "--mixer", "layer.py:Mine", "--quick")


def test_a_layer_that_looks_ahead_once_it_is_trained_is_not_causal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line, causal in (("", True), ("x_BxLxD = x_BxLxD.roll(-int(self.calls > 4), 1)", False)):
        result = score_layer(line)
        assert result.exit_code == 0, result.stderr
        (folder,) = (tmp_path / "scorecards").iterdir()
        assert results_of(folder)["causal"] is causal
        assert "the layer looks ahead: where it must not" not in result.stdout  # before it learned
        shutil.rmtree(folder)


def test_a_layer_that_looks_ahead_without_the_flag_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = score_layer("x_BxLxD = x_BxLxD.roll(-1, 1)")
    assert result.exit_code == 0, result.stderr
    assert "where it must not, correct it; where it may, --bidirectional lets" in result.stdout


@pytest.mark.parametrize(
    "line, words",
    [
        ("if x_BxLxD.shape[1] == 31: raise ValueError('too long')", "too long"),  # in combine
        ("raise SystemExit(0)", "ends the process: SystemExit: 0"),
    ],
)
def test_a_layer_that_a_later_skill_would_stop_is_refused_before_anything_is_trained(
    tmp_path, monkeypatch, line, words
):
    monkeypatch.chdir(tmp_path)
    refused = score_layer(line)
    assert refused.exit_code == 1
    assert words in refused.stderr
    assert not Path("scorecards").exists()


def test_a_folder_of_two_processes_or_of_another_command_is_refused(tmp_path):
    base = protocol.read_protocol().scaffold("torch.nn:GRU")
    folder = tmp_path / "card"
    code = "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1])"
    code += "; lock.acquire(); print(flush=True); sys.stdin.read()"
    folder.mkdir()
    hold = subprocess.Popen(
        [sys.executable, "-c", code, folder / "run.lock"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert hold.stdout.readline()
        with pytest.raises(ValueError, match="is being trained by another process"):
            CardTraining(protocol.read_protocol(), base, folder, 1, RunOptions())
    finally:
        hold.kill()
        hold.communicate()
    (tmp_path / "trials.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"has trials\.jsonl and no protocol\.json"):
        CardTraining(protocol.read_protocol(), base, tmp_path, 1, RunOptions())


@pytest.mark.parametrize("words", ["scorecard --mixer torch.nn:GRU --quick", "reproduce ladder"])
def test_several_launched_processes_and_accumulation_are_refused(words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "4")
    refused = run_command(*words.split())
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "4 processes were launched" in refused.stderr
    assert "--num_processes 1, and give --jobs 4" in refused.stderr
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "2")
    assert "gradient_accumulation_steps is 2" in run_command(*words.split()).stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("flag", [["--quick"], ["--name", "x"], ["--track", "capability"]])
def test_a_flag_that_check_does_not_read_is_refused(flag):
    refused = run_command("scorecard", "--check", "card.json", *flag)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert f"--check reads no {flag[0]}" in refused.stderr


def test_a_file_is_the_same_layer_however_its_path_is_written():
    read = protocol.read_protocol()
    layers = [["--mixer", where + "examples/own_layer.py:Decay"] for where in ("", "./")]
    same, again = (scored_recipe(Parser("", FLAGS).parse_args(flags), read) for flags in layers)
    assert same == again


def test_reading_both_ways_lets_the_convolutions_look_ahead():
    flags = Parser("", FLAGS).parse_args(["--mixer", "torch.nn:GRU", "--direction", "both"])
    assert scored_recipe(flags, protocol.read_protocol()).model_args["causal"] is False


def test_check_accepts_it_and_rerun_gives_the_same_numbers(scored):
    result = run_command("scorecard", "--check", scored[0] / "scorecard.json", "--rerun", 1)
    assert result.exit_code == 0, result.stderr
    assert "its verdicts follow from its numbers" in result.stdout
    assert "seed 1: the same, number for number" in result.stdout


def test_each_of_several_scorecards_is_checked(scored, tmp_path):
    for name, text in (("one", "{}"), ("two", "[]")):
        (tmp_path / f"{name}.json").write_text(text)
    files = [tmp_path / "one.json", scored[0], tmp_path / "two.json", tmp_path / "nowhere"]
    result = run_command("scorecard", "--check", *files)
    assert (result.exit_code, result.stdout.count("its verdicts follow")) == (1, 1)
    first, second, third = result.stderr.splitlines()
    assert first.startswith(f"scorecard: {files[0]}: ")
    assert second.startswith(f"scorecard: {files[2]}: ")
    assert third == f"scorecard: {files[3]} does not exist: give a scorecard.json, or its folder"


def test_a_result_that_nobody_can_repeat_is_refused(scored, tmp_path):
    card = json.loads((scored[0] / "scorecard.json").read_text())
    card["trials"][0].update(wrong=0, mask_error_pct=0.0)
    card["summary"] = summarize_card(card, protocol.read_protocol())
    (tmp_path / "better.json").write_text(json.dumps(card))
    result = run_command("scorecard", "--check", tmp_path / "better.json", "--rerun", 1)
    assert result.exit_code == 1
    assert "samples wrong, 0 in the scorecard's one trial: one solves it" in result.stderr


def test_a_seed_that_ends_otherwise_ends_as_one_more_would(scored, tmp_path):
    card = json.loads((scored[0] / "scorecard.json").read_text())
    card["trials"][0]["val_loss"] += 0.01  # as after sums in another order
    (tmp_path / "elsewhere.json").write_text(json.dumps(card))
    result = run_command("scorecard", "--check", tmp_path / "elsewhere.json", "--rerun", 1)
    assert result.exit_code == 0, result.stderr
    assert "seed 1: other numbers, such as one more seed gives" in result.stdout


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--rerun", 1], "--rerun 1 needs a scorecard"),
        (["--check", "card.json", "--mixer", "torch.nn:GRU"], "leave one of them out"),
        (["--mixer", "torch.nn:GRU", "--model", "gpt2"], "give one of --mixer, a layer,"),
        (["--recipe", "swap-delta", "--direction", "both"], "belong to a --mixer"),
        (["--mixer", "torch.nn:GRU", "--model-args", "n_layer=2"], "belong to a --model"),
        (["--recipe", "zoo-gru"], "give --mixer torch.nn:GRU"),
        (["--mixer", "torch.nn:GRU", "--name", "a|b"], "does not fit a table"),
    ],
)
def test_flags_that_do_not_go_together_are_one_line(flags, words):
    refused = run_command("scorecard", *flags)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert words in refused.stderr


def test_a_model_that_is_too_large_is_told_the_protocols_limit():
    refused = run_command("scorecard", "--model", "gpt2")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "max_parameters is 10,000:" in refused.stderr


def test_another_model_than_the_scorecard_says_is_not_trained_again(scored, tmp_path):
    card = json.loads((scored[0] / "scorecard.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps({**card, "parameters": 1}))
    result = run_command("scorecard", "--check", tmp_path / "other.json", "--rerun", 1)
    assert result.exit_code == 1
    assert "parameters is 1 in the scorecard, and " in result.stderr


@pytest.mark.parametrize("name, text", [("protocol.json", "{"), ("trials.jsonl", "{}\n")])
def test_a_damaged_file_of_a_folder_is_named(scored, tmp_path, name, text):
    (tmp_path / "protocol.json").write_bytes((scored[0] / "protocol.json").read_bytes())
    (tmp_path / name).write_text(text)
    result = run_command("scorecard", "--mixer", "torch.nn:GRU", "--output-dir", tmp_path)
    assert result.exit_code == 1
    assert name in result.stderr.splitlines()[-1]
