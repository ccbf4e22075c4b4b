"""Cards: valid by the hub's own rules, no gap, and every number is in the data."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, EvalResult, ModelCard, SpaceCard

from scripts.core.statistics import format_share
from scripts.core.trial_store import save_trial
from scripts.publishing import cards
from scripts.publishing.checkpoint import read_checkpoint
from tests.commands import ROOT
from tests.scripts.reporting.cases import record
from vsc_dataset import CONFIGS, DATA_VERSION, METRIC_PATH, sample, split_of
from vsc_dataset.metrics.vsc_error.error_rates import error_rates

TEMPLATES = ROOT / "hub_cards" / "templates"
NAMES = re.compile(
    r"sha256|[Uu][Tt][Ff]-8|mix64|cc0-1\.0|CC0-1\.0|[Aa]pache-2\.0|1K|10K|100K|1M|10M"
)
"""Words that have a digit in them: names of things."""
NUMBER = re.compile(r"\b[0-9a-f]{64}\b|0x[0-9a-f]+|\d(?:[\d,]*\d)?(?:\.\d+)*")
"""A hash is one number: the digits in it excuse no others."""

SPLIT_OF = re.compile(r"```python\nimport re\n.*?```", re.DOTALL)
"""The dataset card's code that has constants of its own: a test runs it."""


@pytest.fixture(name="manifest", scope="module")
def fixture_manifest(dataset) -> dict:
    return json.loads((dataset / "manifest.json").read_text())


@pytest.fixture(name="every_card", scope="module")
def fixture_every_card(manifest, run) -> dict[str, str]:
    return {
        "dataset": cards.dataset_card(manifest, "acme/vsc", "wheel/vsc_dataset-1.2.3.whl"),
        "model": card_of(run, "acme/vsc-swap-delta"),
        "metric": cards.metric_card("acme/vsc_error"),
        "space": cards.space_card("acme/demo", ["acme/vsc-swap-delta"], "6.1.0"),
    }


def card_of(run: Path, repo: str = "acme/m") -> str:
    _, facts = read_checkpoint(run, CONFIGS["swap-nops1-5"])
    return cards.model_card(run, repo, facts)


def written(value: object) -> set[str]:
    """Every way in which a card may write the numbers of some data, nested or in its texts."""
    if isinstance(value, dict):
        return set().union(*(written(part) for item in value.items() for part in item))
    if isinstance(value, list | tuple):
        return set().union(*map(written, value)) if value else set()
    if isinstance(value, bool) or value is None:
        return set()
    if isinstance(value, int | float):
        shown = {f"{value:,.{digits}f}" for digits in range(3)}
        nearest = min(99, max(1, round(value))) if abs(value) <= 100 else value
        return shown | {str(value), f"{nearest}", f"{value:,}", hex(int(value))}
    return set(NUMBER.findall(str(value)))


def numbers(text: str) -> set[str]:
    return set(NUMBER.findall(NAMES.sub("", text)))


def test_every_number_of_a_card_is_in_the_data(every_card, manifest, run):
    rows = [split for config in manifest["configs"].values() for split in config.values()]
    sums = [[sum(f["bytes"] for f in split["files"].values()) for split in rows]]
    sums += [sum(split["rows"] for split in rows), sum(sums[0]), len(manifest["configs"])]
    baselines = cards.baselines_table(cards.RESULTS)
    questions = [
        sample(name, "validation", [0]).questions() for name in ("swap-nops5", "swap-nops1-5")
    ]
    metric = Path(METRIC_PATH, "vsc_error.py").read_text()
    question = sample("swap-nops5", "validation", [0])
    rates = error_rates(question.answers(), question.answers(), question.questions())
    results = [json.loads((run / name).read_text()) for name in ("results.json", "run.json")]
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    solved = results[0]["sample_error_pct"]
    share = format_share(solved["solved"], solved["n"])
    references = (TEMPLATES / "references.bib").read_text()
    configs = {name: [asdict(config), config.splits] for name, config in CONFIGS.items()}
    percent, interval, row, seed = 100, 95, 0, 0
    code = [configs, percent, interval, row, seed, DATA_VERSION, cards.version()]
    data = {
        "dataset": [manifest, sums, baselines, "wheel/vsc_dataset-1.2.3.whl"],
        "model": [results, trials, share],
        "metric": [metric, rates],
        "space": ["6.1.0", cards.project()["requires-python"]],
    }
    for name, text in every_card.items():
        known = written([data[name], code, questions, references])
        assert not numbers(SPLIT_OF.sub("", text)) - known, name


@pytest.mark.parametrize("name", ["dataset", "model", "metric", "space"])
def test_a_card_has_no_gap(every_card, name):
    text = every_card[name]
    assert "More Information Needed" not in text
    assert not re.search(r"\{\{|\{%|None\b(?! measured)|<org>|undefined|nan\b", text)
    assert not re.search(r"\| *\|[:-]", text), "a table's lines have run together"
    body = text.split("---\n", 2)[2]
    for before, after in zip(body.splitlines(), body.splitlines()[1:], strict=False):
        if after.startswith(("## ", "### ", "|:")):
            assert before == "" or before.startswith("|"), after


def test_yaml_is_what_the_hub_requires(every_card, manifest):
    dataset = DatasetCard(every_card["dataset"]).data
    rows = sum(of["rows"] for splits in manifest["configs"].values() for of in splits.values())
    assert (dataset.size_categories, 1_000 < rows < 10_000) == ("1K<n<10K", True)
    assert dataset.task_categories == ["question-answering", "fill-mask"]
    for config in dataset.configs:
        assert config["version"] == DATA_VERSION
        found = {files["split"]: files["path"] for files in config["data_files"]}
        name = config["config_name"]
        assert found == {s: f"{name}/data/{s}-*.parquet" for s in manifest["configs"][name]}
    assert SpaceCard(every_card["metric"]).data.sdk == "static"
    space = SpaceCard(every_card["space"]).data
    assert (space.sdk, space.sdk_version, space.app_file) == ("gradio", "6.1.0", "app.py")
    for kind, text in every_card.items():
        loaded = {"dataset": DatasetCard, "model": ModelCard}.get(kind, SpaceCard)(text)
        assert loaded.data.license in ("apache-2.0", "cc0-1.0")
        if kind in ("dataset", "model"):  # two or three letters, of ISO 639
            assert re.fullmatch("[a-z]{2,3}", loaded.data.language)
        tags = loaded.data.tags
        assert "very-selective-copying" in tags
        # The hub's limits: a title's colors, and a short description.
        if kind in ("metric", "space"):
            colors = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
            assert {loaded.data.colorFrom, loaded.data.colorTo} <= colors


def test_the_model_index_has_the_shown_trial_on_both_splits(every_card):
    data = ModelCard(every_card["model"]).data
    found = {(r.dataset_split, r.metric_name): r.metric_value for r in data.eval_results}
    assert found == {  # those of seed 0, the median trial
        ("validation", "sample error %"): 98.76,
        ("validation", "mask error %"): 54.321,
        ("test", "sample error %"): 97.53,
        ("test", "mask error %"): 53.17,
    }
    first: EvalResult = data.eval_results[0]
    assert (first.dataset_type, first.dataset_config) == ("acme/vsc", "swap-nops1-5")
    assert data.datasets == ["acme/vsc"]


def test_the_model_index_begins_with_held_out_programs(run, tmp_path):
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    path, tested = folder / "trials.jsonl", {"questions": 100, "sample_error_pct": 99.5}
    more = {f"programs_{name}": value for name, value in {**tested, "mask_error_pct": 60.5}.items()}
    lines = [{**json.loads(line), **more} for line in path.read_text().splitlines()]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    results = ModelCard(card_of(folder)).data.eval_results
    splits = [(r.dataset_split, r.metric_value) for r in results]
    assert splits[:2] == [("test_programs", 99.5), ("test_programs", 60.5)]
    assert [split for split, _ in splits[2:]] == ["validation", "validation", "test", "test"]


def test_the_split_by_the_dataset_card_is_the_package_s(every_card):
    (code,) = SPLIT_OF.findall(every_card["dataset"])
    space: dict = {}
    exec(code.strip("`").removeprefix("python"), space)
    for name in ("default-spaced", "swap-nops5", "level-7"):
        for split in CONFIGS[name].splits:
            questions = sample(name, split, range(300)).questions()
            assert [space["split_of"](q) for q in questions] == [split_of(q) for q in questions]


def test_the_dataset_card_lists_the_best_rows_of_recipes_alone(tmp_path, manifest):
    names = [name for name in cards.read_recipes() if name.startswith("attn-")]
    others = [record(0, recipe=name, sample_error_pct=50.0 - i) for i, name in enumerate(names)]
    best = [record(seed, sample_error_pct=float(seed > 1)) for seed in range(4)]
    some = [record(seed, recipe="lstm-l6", sample_error_pct=60.0 * seed) for seed in range(2)]
    rung = record(0, recipe="swap-delta-level-3", sample_error_pct=0.0, data="level-3")
    more = [record(0, recipe=name, sample_error_pct=70.0) for name in ("nops5-l6", "nops4-l6")]
    for found in (*others, *best, *some, *more, rung):
        programs = {"sample_error_pct": 2.0, "mask_error_pct": 1.0, "questions": 100}
        save_trial(tmp_path, found, {"programs": programs} if found.seed == 1 else {})
    rows = cards.baselines_table(tmp_path).splitlines()[2:]
    assert len(names) + 4 > len(rows) == 12
    called = [row.split("|")[1].strip() for row in rows]
    assert called[:3] == ["swap-delta", "lstm-l6", names[-1]]
    assert "3 of 4 (19% to 100%)" in rows[0]  # held-out programs tell, where validation solves all
    card = cards.dataset_card(manifest, results=tmp_path)
    assert re.search(
        r"lstm-l6 +\| .* 1 of 2 \(1% to 99%\) \| +2.00 \(1 of 2 trials\) \| +30.00 \(0.00 to 60",
        card,
    )
    assert "swap-delta-level-3" not in card


@pytest.fixture(name="card_with")
def fixture_card_with(run, tmp_path):
    """Make the card of a run whose recipe has other fields."""
    folder = Path(shutil.copytree(run, tmp_path / "run"))

    def make(**changes: object) -> str:
        written = json.loads((run / "run.json").read_text())
        written["recipe"] |= changes
        (folder / "run.json").write_text(json.dumps(written))
        return card_of(folder)

    return make


def test_a_model_that_was_trained_on_names_the_weights_that_it_began_from(card_with, tmp_path):
    assert "weights of" not in card_with()
    for model, called, base in (("acme/first", "acme/first", "acme/first"),
                                (str(tmp_path / "mine" / "first"), "first", None)):  # fmt: skip
        card = card_with(model=model)
        assert f"Training began from the weights of `{called}`" in card
        assert ModelCard(card).data.to_dict().get("base_model") == base
        assert ModelCard(card).data.license == (None if base else "apache-2.0")
        assert str(tmp_path) not in card


def test_a_run_that_flags_have_changed_is_not_called_by_the_recipe_s_name(card_with):
    for card, same in ((card_with(), True), (card_with(num_samples=640), False)):
        assert ("the first thing to run" in card) is same
        assert ("swap-delta" in ModelCard(card).data.tags) is same


def test_a_password_in_the_hub_s_address_is_in_no_card(monkeypatch, manifest):
    monkeypatch.setattr(cards.constants, "ENDPOINT", "https://me:secret@hub.example:8443/x")
    card = cards.dataset_card(manifest)
    assert "https://hub.example:8443/x/datasets/" in card
    assert "secret" not in card


def test_what_results_say_of_devices_and_versions_is_not_html(run, tmp_path):
    run = Path(shutil.copytree(run, tmp_path / "run"))
    results = json.loads((run / "results.json").read_text())
    results |= {"devices": ["<img src=x>"], "versions": [{"<b>": "<script>"}], "split": "<u>"}
    (run / "results.json").write_text(json.dumps(results))
    card = card_of(run)
    assert not re.search("<(img|b|script|u)\\b", card)
    assert "&lt;img src=x&gt;" in card
