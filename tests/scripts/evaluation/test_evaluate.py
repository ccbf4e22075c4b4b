"""The command `evaluate.py`: what it leaves, whom it can ask, and clear words."""

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from scripts.core.devices import find_device
from scripts.core.model_loading import LoadedModel, open_model
from scripts.evaluation.evaluate import Request, check_request, evaluate
from scripts.evaluation.report import describe, save_results, write_report
from tests.commands import run_command
from tests.planted import change_config
from tests.scripts.evaluation.solver import Solver
from tests.vsc_models.models import other_model
from vsc_dataset import sample
from vsc_dataset.configs import make_config
from vsc_models import VscDeltaConfig, VscDeltaForMaskedLM

SMALL = {"hidden_size": 16, "key_dim": 4, "value_dim": 4, "intermediate_size": 16}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """What a run leaves: a checkpoint, run.json and a trial's model; nothing is learned."""
    folder = tmp_path_factory.mktemp("runs") / "001-swap"
    torch.manual_seed(0)
    model = VscDeltaForMaskedLM(VscDeltaConfig(**SMALL, answer_width=5))
    for place in (folder, folder / "seed-0" / "model"):
        model.save_pretrained(place)
    (folder / "run.json").write_text(json.dumps({"recipe": {"data": "swap-nops2-5"}, "seeds": [0]}))
    return folder


def result(model, name="model", trained_on=None, **options):
    """The one result for a model."""
    loaded, request = LoadedModel(name, model, trained_on), Request(**options)
    check_request([loaded], request)
    (found,) = evaluate([loaded], request)
    return found


def test_the_command_evaluates_what_was_trained_and_leaves_its_report(run, tmp_path):
    flags = (run, run / "seed-0/model", "--num-samples", 40, "--output-dir", "x")
    done = run_command("evaluate", *flags, cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert re.search(r"^nops .* first 4$", done.stdout, re.MULTILINE)
    results = json.loads((tmp_path / "x" / "evaluation.json").read_text())
    assert [found["checkpoint"] for found in results] == [str(run), str(run / "seed-0/model")]
    for found in results:
        assert (found["trained_on"], found["data"]["config"]) == ("swap-nops2-5",) * 2
        assert (found["data"]["split"], found["data"]["questions"]) == ("test", 40)
        assert list(found["data"]["survival"]) == ["2"]  # the first trained; all err
        assert "texts" not in found["data"]
    written = sorted(path.name for path in (tmp_path / "x").iterdir())
    pictures = ["answers-1.png", "answers-2.png", "survival.png"]
    assert written == [*pictures[:2], "evaluation.json", "evaluation.md", pictures[2]]
    text = (tmp_path / "x" / "evaluation.md").read_text()
    assert all(f"]({name})" in text for name in pictures)


def test_a_hub_id_tells_what_it_was_trained_on(run):
    cached = Path(os.environ["HF_HOME"]) / "hub" / "models--me--swap"
    shutil.copytree(run, cached / "snapshots" / ("0" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    assert open_model("me/swap").trained_on == "swap-nops2-5"


def test_the_grid_of_a_model_with_known_errors(tmp_path):
    limit = Solver(lambda program: len(program.operations) > 2)
    names = ("grid-len3", "grid-len5", "grid-all-len5")
    options = {"grids": names, "num_samples": 299, "until_wrong": True}
    found = [
        result(limit, "limit", **options),
        result(Solver(lambda p: True), "never", **options),
    ]
    assert [(g["grid"], g["horizon"]) for g in found[0]["grids"]] == [(name, 2) for name in names]
    assert [g["horizon"] for g in found[1]["grids"]] == [0] * 3
    save_results(tmp_path, found)
    write_report(tmp_path, found)
    for name in names:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "evaluation.json").read_text()) == json.loads(json.dumps(found))
    text = describe(found)
    assert re.search(r"^1: limit +grid-len5 +2 ", text, re.MULTILINE)
    assert re.search(r"^3 +299 +100.00 +\S+ +20.00 +\d", text, re.MULTILINE)
    assert "1: limit, grid-len5: ends at 3, the horizon ends there." in text


def test_survival_is_of_the_trained_numbers_of_operations():
    model = Solver(lambda program: len(program.operations) >= 4)
    options = {"data": "swap-nops1-5", "num_samples": 50}
    found = result(model, trained_on="swap-nops2-5", **options)
    assert found["data"]["survival"] == {2: 100, 3: 100, 4: 0}
    assert re.search(r"^model +100.0 +100.0 +0.0$", describe([found]), re.MULTILINE)
    assert result(Solver(), **options)["data"]["survival"] == dict.fromkeys(range(1, 6), 100)
    unknown = result(model, data="grid-len5", split="nops7", num_samples=9)
    assert unknown["data"]["survival"] == {}
    assert "still right" not in describe([unknown])


def test_data_that_the_training_changed_is_named_with_its_changes():
    loaded = LoadedModel("model", Solver(), "swap-nops1-5", {"nops": 2, "eval_nops": 2})
    (found,) = evaluate([loaded], Request(num_samples=9))
    assert found["data"]["config"] == "swap-nops1-5 nops=2 eval_nops=2"
    assert [*found["data"]["by_nops"]] == [2]


def test_a_figure_is_that_of_the_published_questions():
    found = result(Solver(lambda p: p.letters < "M"), data="swap-nops5", num_samples=200)["data"]
    letters = [q for q in sample("swap-nops5", "test", range(200)).questions() if q < "M"]
    assert found["sample_error_pct"] == pytest.approx(len(letters) / 2)
    assert found["by_nops"][5]["questions"] == 200
    assert found["floors"]["first 4"]["mask_error_pct"] == pytest.approx(40.0)
    assert found["questions_per_second"] == pytest.approx(200 / found["seconds"])


def test_a_model_that_is_not_ours_is_evaluated_as_far_as_its_positions_reach(tmp_path, capsys):
    other_model("gpt2").save_pretrained(tmp_path)
    loaded = open_model(str(tmp_path))
    assert loaded.trained_on is None
    found = result(loaded.model, data="default-spaced", num_samples=20)
    assert found["data"]["sample_error_pct"] == 100
    assert capsys.readouterr().err == ""
    assert result(loaded.model, num_samples=2)["data"]["config"] == "default"
    assert "nothing says what it was trained on, so it is evaluated on 'default': give --data" in (
        capsys.readouterr().err
    )
    (grid,) = result(loaded.model, grids=("grid-len5",), num_samples=5)["grids"]
    assert [row["nops"] for row in grid["rows"]] == [1, 2]
    with pytest.raises(ValueError, match="model reads rows of at most 64, those of this task have"):
        result(loaded.model, data="level-6", num_samples=5)


def refused(name, words):
    """Try to open what is not a checkpoint, and read the line that refuses it."""
    with pytest.raises(ValueError, match=words) as caught:
        open_model(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_checkpoint_is_one_clear_line(tmp_path, monkeypatch, run):
    refused(f"{tmp_path}/runs/x", r"runs/x does not exist: give the folder")
    refused(tmp_path, r"holds no config.json.*: give one that")
    (tmp_path / "seed-0").symlink_to(run / "seed-0")
    refused(tmp_path, r" holds no config.json.*give .*seed-0/model")
    refused(run / "config.json", r"config.json is a file")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    refused("runs/001-swap-dleta", r"runs/001-swap-dleta does not exist: give the folder")
    refused("nobody/nothing", "nobody/nothing")


@pytest.mark.parametrize("is_ours", [True, False])
def test_torn_weights_are_one_clear_line(tmp_path, run, is_ours):
    model = open_model(str(run)).model if is_ours else other_model("gpt2")
    model.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(tmp_path, "weights cannot be read")


def test_a_config_of_impossible_values_is_one_clear_line(tmp_path, run):
    open_model(str(run)).model.save_pretrained(tmp_path)
    for field, value in (("num_heads", 0), ("num_heads", "x"), ("layout", "foo")):
        change_config(tmp_path, **{"num_heads": 2, field: value})
        assert str(value) in refused(tmp_path, field)


def test_a_run_file_that_says_nothing_is_one_clear_line(tmp_path, run):
    open_model(str(run)).model.save_pretrained(tmp_path)
    for text in ("{", "{}", '{"recipe": {"data": "swap-nop5"}}'):
        (tmp_path / "run.json").write_text(text)
        refused(tmp_path, r"run.json is not as it was written .*: delete it")


def test_a_model_that_has_diverged_has_its_figures(tmp_path, run):
    model = open_model(str(run)).model
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(torch.nan)
    request = Request(data="swap-nops5", num_samples=20)
    results = [*evaluate([LoadedModel("nan", model)], request)]
    save_results(tmp_path, results)
    (kept,) = json.loads((tmp_path / "evaluation.json").read_text())
    assert (kept["data"]["loss"], kept["data"]["sample_error_pct"]) == (None, 100.0)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"data": "swap-nop5"}, "did you mean 'swap-nops5'"),
        ({"split": "tset"}, r"'tset' does not exist in default: use one of \['train', 'valid"),
        ({"data": "grid-len5"}, r"'test' does not exist in grid-len5: use one of \['nops1'"),
        ({"grids": ("grid-len6",)}, "'grid-len6' is unknown: did you mean 'grid-len"),
        ({"num_samples": 298, "until_wrong": True, "grids": ("grid-len5",)}, "needs .* 299 or"),
    ],
)
def test_what_cannot_be_evaluated_is_one_clear_line(options, words):
    with pytest.raises(ValueError, match=words):
        check_request([LoadedModel("model", Solver())], Request(**options))


def test_what_was_measured_is_printed_where_it_cannot_be_written(run, tmp_path):
    (tmp_path / "evaluation.json").mkdir()
    done = run_command("evaluate", run, "--num-samples", 9, "--output-dir", tmp_path)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "sample err %" in done.stdout


def test_every_model_is_checked_before_any_is_evaluated(run):
    narrow = open_model(str(run))
    with pytest.raises(ValueError, match="has some of 8"):
        check_request([LoadedModel("fits", Solver()), narrow], Request(grids=("grid-len8",)))
    with pytest.raises(ValueError, match="--device 'cdua' cannot be used"):
        find_device("cdua")


@pytest.mark.parametrize("grids", [(), ("grid-len5",)])
@pytest.mark.parametrize(
    "sizes, words",
    [
        ((50, 256), "cannot read rows of"),
        ((256, 90), r"logits have shape \(1, \d+, 90\)"),
    ],
)
def test_a_model_of_other_bytes_is_one_clear_line(sizes, words, grids):
    models = [LoadedModel("model", Solver()), LoadedModel("other", nn.Embedding(*sizes))]
    with pytest.raises(ValueError, match=words):
        check_request(models, Request(grids=grids))


def test_a_model_without_a_padding_mask_is_evaluated_in_the_rows_of_its_training(run):
    config = SimpleNamespace(answer_width=5, layout="compact", mask_padding=False)
    width = make_config("swap-nops5").row_width
    for options in ({"data": "swap-nops2"}, {"grids": ("grid-len5",)}):
        model = Solver(lambda program: len(program.operations) > 1, config)
        result(model, trained_on="swap-nops5", num_samples=20, **options)
        assert model.widths == {width}


@pytest.mark.parametrize("error", [IndexError, AssertionError])
def test_a_grid_ends_where_the_model_cannot_read_the_row_and_other_results_stay(error, capsys):
    class Positions(Solver):
        def forward(self, input_ids):
            if input_ids.shape[1] > 64:
                raise error("index out of range")
            return super().forward(input_ids)

    models = [LoadedModel("short", Positions()), LoadedModel("long", Solver())]
    request = Request(grids=("grid-len3",), num_samples=2)
    check_request(models, request)
    (short,), (long,) = (found["grids"] for found in evaluate(models, request))
    assert (short["ended"], long["ended"]) == ("unreadable", "")
    assert (short["rows"][-1]["nops"], long["rows"][-1]["nops"]) == (14, 1024)
    assert (short["horizon"], long["horizon"]) == (None, None)
    assert "short grid-len3: 16 operations are too long for the model" in capsys.readouterr().err
