"""Cards: valid by the hub's own rules, no gap, and no number that is not in the data."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, EvalResult, ModelCard, SpaceCard
from huggingface_hub.repocard import RepoCard
from jinja2 import UndefinedError

from scripts.publishing import cards, dataset_card, model_card
from scripts.publishing.bundles import assemble
from scripts.reporting.records import summarise
from tests.scripts.publishing.made import SMALL, make_dataset, make_run
from vsc_dataset import CONFIGS, DATA_VERSION, METRIC_PATH, hashing, sample, split_of, splits
from vsc_dataset.metrics.vsc_error.error_rates import error_rates

TEMPLATES = cards.HUB_CARDS / "templates"
NAMES = re.compile(
    r"sha256|[Uu][Tt][Ff]-8|mix64|cc0-1\.0|CC0-1\.0|[Aa]pache-2\.0|1K|10K|100K|1M|10M"
)
"""Words that have a digit in them: names of things."""
NUMBER = re.compile(r"0x[0-9a-f]+|\d(?:[\d,]*\d)?(?:\.\d+)*")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> dict:
    folder = make_dataset(tmp_path_factory.mktemp("built") / "vsc")
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "001-swap-delta")


@pytest.fixture(name="every_card", scope="module")
def fixture_every_card(manifest, run) -> dict[str, str]:
    metric = Path(METRIC_PATH, "vsc_error.py")
    return {
        "dataset": dataset_card.dataset_card(manifest, "acme/vsc", "wheel/vsc-1.2.3.whl"),
        "model": model_card.model_card(run, "acme/vsc-swap-delta", 26_114, 5),
        "metric": cards.metric_card(metric, "acme/vsc_error"),
        "space": cards.space_card("acme/demo", ["acme/vsc-swap-delta"], ["swap-delta"], "6.1.0"),
    }


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


def code_facts() -> list:
    """What the code says: configurations, and the constants of the split."""
    constants = {name: value for name, value in vars(splits).items() if isinstance(value, int)}
    factors = [hashing._MULTIPLY_1, hashing._MULTIPLY_2, hashing.MASK_64, 30, 27, 31]
    buckets, percent, interval = [0, 1], 100, 95
    configs = {name: [asdict(config), config.splits] for name, config in CONFIGS.items()}
    return [constants, factors, buckets, percent, interval, configs, DATA_VERSION, cards.version()]


def test_every_number_of_a_card_is_in_the_data(every_card, manifest, run):
    rows = [split for config in manifest["configs"].values() for split in config.values()]
    sums = [[sum(f["bytes"] for f in split["files"].values()) for split in rows]]
    sums += [sum(split["rows"] for split in rows), sum(sums[0]), len(manifest["configs"])]
    records = dataset_card.read_results()
    baselines = [summarise(found) for found in records]
    questions = [sample(name, "validation", [0]).questions() for name in (*SMALL, "swap-nops1-5")]
    metric = Path(METRIC_PATH, "vsc_error.py").read_text()
    question = sample("swap-nops5", "validation", [0])
    rates = error_rates(question.answers(), question.answers(), question.questions())
    results = [json.loads((run / name).read_text()) for name in ("results.json", "run.json")]
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    references = (TEMPLATES / "references.bib").read_text()
    data = {
        "dataset": [manifest, sums, baselines, "wheel/vsc-1.2.3.whl"],
        "model": [results, trials, 26_114],
        "metric": [metric, rates],
        "space": ["6.1.0", [found[0].recipe for found in records]],
    }
    for name, text in every_card.items():
        known = written([data[name], code_facts(), questions, references])
        assert not numbers(text) - known, name


def test_no_number_is_typed_into_a_template():
    for path in TEMPLATES.glob("*.*"):
        text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", path.read_text())
        typed = [] if path.suffix == ".bib" else sorted(numbers(text))
        # The arithmetic of split_of in the dataset's card is held by a test that runs it; the
        # metric's card says that 0 is the best and 100 the worst rate; an operation is `rows[0]`.
        assert set(typed) <= {"dataset.md": {"0"}, "metric.md": {"0", "100"}}.get(path.stem, set())


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


def test_a_fact_that_is_missing_is_an_error_and_no_gap():
    with pytest.raises(UndefinedError):
        cards.render("space.md", None, recipes="", references="")


def test_yaml_is_what_the_hub_asks_for(every_card, manifest):
    dataset = DatasetCard(every_card["dataset"]).data
    assert dataset.license == "cc0-1.0"
    for config in dataset.configs:
        assert config["version"] == DATA_VERSION
        found = {files["split"]: files["path"] for files in config["data_files"]}
        name = config["config_name"]
        assert found == {s: f"{name}/{s}-*.parquet" for s in manifest["configs"][name]}
    assert SpaceCard(every_card["metric"]).data.to_dict()["sdk"] == "static"
    space = SpaceCard(every_card["space"]).data.to_dict()
    assert (space["sdk"], space["sdk_version"], space["app_file"]) == ("gradio", "6.1.0", "app.py")
    for kind, text in every_card.items():
        loaded = {"dataset": DatasetCard, "model": ModelCard}.get(kind, SpaceCard)(text)
        assert loaded.data.to_dict() == RepoCard(str(loaded)).data.to_dict()
        tags = loaded.data.tags
        assert "very-selective-copying" in tags
        # The hub's limits: a title's colours, and a short description.
        if kind in ("metric", "space"):
            colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
            assert {loaded.data.colorFrom, loaded.data.colorTo} <= colours


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


def test_the_model_card_shows_pictures_and_the_code_that_is_run(every_card):
    text = every_card["model"]
    assert {"curves.png", "answers.png"} == set(re.findall(r"!\[.*?\]\((.*?)\)", text))
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len(code.strip().splitlines()) == 3
    assert f'revision="v{cards.version()}", trust_remote_code=True' in code


def test_a_model_on_the_way_is_published_without_what_the_run_had_before(run, tmp_path):
    on_the_way = tmp_path / "model"
    shutil.copytree(run, on_the_way)
    (on_the_way / "run.json").unlink()
    bundle = assemble("model", run, "acme/m", tmp_path / "scratch", on_the_way=on_the_way)
    assert {"run.json", "model.safetensors", "pipeline_vsc.py"} <= set(bundle.files)
    assert not {"results.json", "trials.jsonl", "curves.png"} & set(bundle.files)
    assert b"no results yet" in bundle.files["README.md"]


def test_a_run_that_goes_on_has_a_card_without_results(run, tmp_path):
    (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
    text = model_card.model_card(tmp_path, "acme/vsc-swap-delta", 26_114, None)
    assert "no results yet" in text
    assert ModelCard(text).data.eval_results is None
    with pytest.raises(ValueError, match=r"no results\.json: leave --eval-results out"):
        model_card.eval_results(tmp_path, "acme/vsc-swap-delta")


def test_the_split_by_the_dataset_card_is_the_package_s(every_card):
    blocks = re.findall(r"```python\n(.*?)```", every_card["dataset"], re.DOTALL)
    (code,) = (block for block in blocks if "def split_of" in block)
    space: dict = {}
    exec(code, space)
    for z in (1, hashing.GOLDEN, hashing.MASK_64):
        assert space["mix64"](z) == hashing.mix64(z)
    for name in ("default-spaced", "swap-nops5", "level-7"):
        for split in CONFIGS[name].splits:
            questions = sample(name, split, range(300)).questions()
            assert [space["split_of"](q) for q in questions] == [split_of(q) for q in questions]


def test_newer_eval_results_come_by_flag_alone(run, tmp_path):
    for flag in (False, True):
        scratch = tmp_path / str(flag)
        scratch.mkdir()
        bundle = assemble("model", run, "acme/vsc-swap-delta", scratch, eval_results=flag)
        assert (".eval_results/vsc.yaml" in bundle.files) is flag
    assert b"value: 97.53" in bundle.files[".eval_results/vsc.yaml"]


def test_a_causal_model_of_transformers_is_asked_by_the_package_s_pipeline(tmp_path):
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 1, "vocab_size": 256, "n_positions": 64}
    run = make_run(tmp_path / "run", "gpt2", **sizes)
    bundle = assemble("model", run, "acme/vsc-gpt2", tmp_path / "scratch")
    assert "pipeline_vsc.py" not in bundle.files
    card = bundle.files["README.md"].decode()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    assert "trust_remote_code" not in card
    local = code.replace("acme/vsc-gpt2", str(tmp_path / "scratch/model"))
    exec(re.sub(r"print\((.*)\)", r"answer = \1", local), found := {})
    assert isinstance(found["answer"], str)


def test_a_bundle_of_the_demo_has_what_it_shows(tmp_path):
    asked = ["acme/vsc-swap-delta"]
    place = cards.HUB_CARDS / "space"
    bundle = assemble("space", place, "acme/demo", tmp_path, checkpoints=asked)
    assert (bundle.repo_type, bundle.sdk) == ("space", "gradio")
    assert {"app.py", "requirements.txt", "README.md", "results/swap-delta.jsonl"} <= set(
        bundle.files
    )
    assert any(name.startswith("wheel/vsc-") for name in bundle.files)
    assert not [name for name in bundle.files if "cache" in name or name.startswith(".")]
    assert json.loads(bundle.files["checkpoints.json"])[-1:] == asked
    card = SpaceCard(bundle.files["README.md"].decode()).data
    assert card.models[-1:] == asked
    pinned = f"gradio=={card.sdk_version}"
    assert pinned in (place / "requirements.txt").read_text().splitlines()


def test_a_bundle_of_a_model_is_whole_and_pickles_are_refused(run, tmp_path):
    (tmp_path / "scratch").mkdir()
    bundle = assemble("model", run, "acme/vsc-swap-delta", tmp_path / "scratch")
    wanted = {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "pipeline_vsc.py", "modeling_delta.py", "modeling_scaffold.py", "modeling_vsc.py",
        "configuration_vsc.py", "tokenization_vsc.py", "README.md", "results.json", "trials.jsonl",
        "curves.png", "answers.png", "run.json", "vsc.json",
    }  # fmt: skip
    assert wanted <= set(bundle.files)
    config = json.loads(Path(bundle.files["config.json"]).read_text())
    assert config["custom_pipelines"]["vsc"]["impl"] == "pipeline_vsc.VscPipeline"
    (run / "pytorch_model.bin").write_bytes(b"")
    try:
        with pytest.raises(ValueError, match=r"pytorch_model\.bin is pickled: .* safetensors"):
            assemble("model", run, "acme/vsc-swap-delta", tmp_path / "scratch")
    finally:
        (run / "pytorch_model.bin").unlink()
