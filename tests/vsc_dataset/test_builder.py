"""`load_dataset("vsc")` and `vsc_dataset.load`: the generator's samples, offline, from anywhere."""

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vsc_dataset
from tests.commands import ROOT, run_python
from vsc_dataset import CONFIGS, builder, parse, reward, sample
from vsc_dataset.configs import make_config
from vsc_dataset.splits import SPLITS

PATH = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
SMALL = {"num_train": 60_000, "num_validation": 50, "num_test": 50, "num_test_programs": 50}


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory):
    """An empty cache, an empty current directory, and no network."""
    with pytest.MonkeyPatch.context() as patch:
        import datasets

        home = tmp_path_factory.mktemp("datasets")
        patch.chdir(tmp_path_factory.mktemp("empty"))
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", home)
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        datasets.disable_progress_bars()
        yield


def load_dataset(*args, **settings):
    """By the library's own function."""
    from datasets import load_dataset

    return load_dataset("vsc", *args, **settings)


def columns(name: str, split: str, indices: range, **settings) -> dict[str, list]:
    """What the columns of a dataset of these samples must be."""
    samples = sample(name, split, indices, **settings)
    return {
        "question": samples.questions(),
        "answer": samples.answers(),
        "length": samples.length.tolist(),
        "nops": samples.nops.tolist(),
    }


@pytest.mark.parametrize("load", [load_dataset, vsc_dataset.load], ids=["load_dataset", "load"])
@pytest.mark.parametrize("name", ["swap-nops5", "default-spaced"])
def test_dataset_has_the_samples_of_the_generator(load, name):
    dataset = load(name, **SMALL)
    assert tuple(dataset) == CONFIGS[name].splits
    for split in dataset:
        indices = range(SMALL[f"num_{split}"])
        assert dataset[split][:] == columns(name, split, indices)


@pytest.mark.parametrize("load", [load_dataset, vsc_dataset.load], ids=["load_dataset", "load"])
def test_streaming_gives_the_same_samples(load):
    stream = load("default", split="train", streaming=True, **SMALL)
    assert stream.num_shards == 2
    rows = list(stream.take(5))
    expected = columns("default", "train", range(5))
    assert rows == [
        dict(zip(expected, row, strict=True)) for row in zip(*expected.values(), strict=True)
    ]
    assert (
        stream.skip(50_100).take(1).__iter__().__next__()["question"]
        == (sample("default", "train", [50_100]).questions()[0])
    )


def test_processes_and_slices_give_the_same_samples(tmp_path):
    dataset = load_dataset(
        "swap-nops2", split="train[100:200]", num_proc=2, cache_dir=str(tmp_path), **SMALL
    )
    assert dataset[:] == columns("swap-nops2", "train", range(100, 200))
    whole = load_dataset("swap-nops2", split="train", num_proc=2, cache_dir=str(tmp_path), **SMALL)
    assert (
        whole["question"][-100:] == sample("swap-nops2", "train", range(59_900, 60_000)).questions()
    )


def test_load_passes_its_processes_on(monkeypatch):
    from datasets import DatasetBuilder

    seen = []
    original = DatasetBuilder.download_and_prepare

    def spy(self, *args, **settings):
        seen.append(settings.get("num_proc"))
        return original(self, *args, **settings)

    monkeypatch.setattr(DatasetBuilder, "download_and_prepare", spy)
    vsc_dataset.load("swap-nops2", split="test", num_proc=2, **{**SMALL, "num_train": 70_000})
    assert seen == [2]


def test_seed_moves_the_training_samples_alone():
    dataset = load_dataset("swap-nops3", seed=7, **SMALL)
    assert dataset["train"][:100] == columns("swap-nops3", "train", range(100), seed=7)
    assert dataset["test"][:] == columns("swap-nops3", "test", range(50))


def test_trace_gives_the_state_after_each_operation():
    dataset = load_dataset(split="test", trace=True, **{**SMALL, "num_train": 10})
    for row in dataset:
        assert row["trace"] == list(parse(row["question"]).trace)


@pytest.mark.parametrize("name", ["default", "default-spaced", "track"])
def test_prompt_and_completion_are_the_text_of_a_row(name):
    few = {**SMALL, "num_train": 10, "columns": "prompt-completion"}
    plain, with_trace = (
        load_dataset(name, split="test", scratchpad=scratchpad, **few)
        for scratchpad in (False, True)
    )
    assert plain.column_names == ["prompt", "completion"]
    for row, other, source in zip(plain, with_trace, sample(name, "test", 50), strict=True):
        program = parse(source["question"])
        assert row == {"prompt": program.prompt, "completion": program.answer}
        separator = program.prompt[len(source["question"]) :]
        completion = " ".join(program.trace) + separator + program.answer
        assert other == {"prompt": program.prompt, "completion": completion}
        assert reward([other["prompt"]], [other["completion"]]) == [1.0]


def test_rows_of_tokens_have_their_ids():
    rows = load_dataset(split="test", layout="tokens", **{**SMALL, "num_train": 10})
    samples = sample(make_config(layout="tokens"), "test", 50)
    assert rows["question"][:] == sample("default", "test", 50).questions()
    assert rows["input_ids"][:] == samples.input_ids.tolist()
    labels = [[i for i in row if i != -100] for row in rows["labels"]]
    assert labels == samples.labels[samples.answer_mask].reshape(50, 5).tolist()


def test_only_the_splits_that_are_named_are_prepared(tmp_path):
    rows = vsc_dataset.load("grid-len3", split="nops20[:10]", num_test=30, cache_dir=str(tmp_path))
    assert len(rows) == 10
    assert [path.name for path in tmp_path.rglob("*.arrow")] == ["vsc-nops20.arrow"]


def test_a_split_and_others_alone_are_refused():
    with pytest.raises(ValueError, match=r"split is 'test' and only is \['train'\]: leave one"):
        vsc_dataset.load("swap-nops2", "test", only=["train"], **SMALL)


MAPS = """
import datasets
import vsc_dataset
from datasets.fingerprint import Hasher

def split_of(row):
    return {"split": vsc_dataset.split_of(row["question"])}

def rows():
    for question in vsc_dataset.sample("default", "test", 3).questions():
        yield {"question": question}

print(Hasher.hash(split_of), *datasets.Dataset.from_generator(rows).map(split_of)["split"])
"""


def test_what_a_map_computes_with_the_package_has_one_hash_for_the_cache(tmp_path):
    """dill writes modules that lie in a clone by their contents."""
    first, again = (
        run_python("-c", MAPS, cwd=tmp_path, HF_HOME=str(tmp_path), PYTHONPATH=PATH).stdout
        for _ in range(2)
    )
    assert first == again
    assert first.split()[1:] == ["test"] * 3


@pytest.mark.parametrize("settings", [{"split": "nope[:3]"}, {"split": "test", "only": ["nope"]}])
def test_a_split_that_does_not_exist_is_refused_before_any_is_prepared(tmp_path, settings):
    load = load_dataset if "only" in settings else vsc_dataset.load
    with pytest.raises(ValueError, match=r"split 'nope' does not exist here: use one of"):
        load("default", cache_dir=str(tmp_path), **settings)
    assert not [*tmp_path.rglob("*.arrow")]


def test_a_clone_that_is_taken_for_data_says_what_to_import():
    from datasets import load_dataset

    with pytest.raises(ValueError, match=r"a clone, where rows are generated: import vsc_dataset"):
        load_dataset(str(ROOT))


def test_a_folder_of_the_same_name_does_not_shadow_the_builder(tmp_path, monkeypatch):
    (tmp_path / "vsc").mkdir()
    (tmp_path / "vsc" / "a.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)
    rows = load_dataset("swap-nops2", split="test", **{**SMALL, "num_train": 10})
    assert "question" in rows.column_names


def test_settings_come_as_keywords():
    settings = {"length": (2, 8), "nops": [1, 10], "operators": ">-+", **SMALL, "num_train": 100}
    dataset = load_dataset(split="train", **settings)
    config = vsc_dataset.TaskConfig(**settings)
    assert dataset["question"][:] == sample(config, "train", range(100)).questions()


def test_a_setting_and_its_other_spelling_share_a_cache():
    paths = {
        load_dataset(split="test", length=length, **{**SMALL, "num_train": 1}).cache_files[0][
            "filename"
        ]
        for length in ((3, 3), [3, 3], 3)
    }
    assert len(paths) == 1


@pytest.mark.parametrize("changed", ["configs.toml", "language.py", "generator/draw.py"])
def test_another_generator_has_another_cache(tmp_path, changed):
    package = tmp_path / "vsc_dataset"
    shutil.copytree(Path(builder.__file__).parent, package)
    assert builder.source_hash(package) == builder.source_hash()
    (package / changed).write_bytes((package / changed).read_bytes() + b"# changed")
    assert builder.source_hash(package) != builder.source_hash()


def test_names_and_splits_are_listed():
    from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset_builder

    assert get_dataset_config_names("vsc") == list(CONFIGS)
    assert tuple(get_dataset_split_names("vsc", "swap-nops2")) == CONFIGS["swap-nops2"].splits
    assert "nops20" in get_dataset_split_names("vsc", "grid-len5")
    assert max(len(config.splits) for config in CONFIGS.values()) <= 30  # as many as a viewer shows
    info = load_dataset_builder("vsc", "level-8").info
    assert str(info.version) == vsc_dataset.DATA_VERSION


@pytest.mark.parametrize("first", ["vsc_dataset", "datasets"])
def test_either_import_may_come_first(tmp_path, first):
    second = {"vsc_dataset": "datasets", "datasets": "vsc_dataset"}[first]
    code = (
        f"import {first}\nimport {second}\n"
        "rows = datasets.load_dataset('vsc', 'swap-nops2', split='test', num_train=1, num_test=2)\n"
        "print(rows['question'][:])"
    )
    done = run_python("-c", code, cwd=tmp_path, HF_HOME=str(tmp_path), PYTHONPATH=PATH)
    assert done.stdout.strip() == str(sample("swap-nops2", "test", range(2)).questions()), (
        done.stderr
    )


def test_importing_the_task_imports_no_library_but_numpy():
    code = (
        "import sys, vsc_dataset\n"
        "print([m for m in ('datasets', 'pyarrow', 'torch', 'pandas') if m in sys.modules])"
    )
    done = run_python("-c", code, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_other_names_are_answered_as_always(tmp_path):
    from datasets import load_dataset

    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "rows.parquet")
    rows = load_dataset("parquet", data_files=str(tmp_path / "rows.parquet"), split="train")
    assert rows[0] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"name": "swap-nop5"}, "configuration 'swap-nop5' is unknown: did you mean 'swap-nops5'?"),
        ({"lenght": 3}, "keyword 'lenght' is unknown: did you mean 'length'?"),
        ({"colums": "prompt-completion"}, "keyword 'colums' is unknown: did you mean 'columns'?"),
        ({"sed": 1}, "keyword 'sed' is unknown: did you mean 'seed'?"),
        ({"length": (0, 5)}, "length is 0: it must be from 1 to 26"),
        ({"seed": -1}, "seed is -1: it must be a whole number from 0"),
        ({"complete": "false"}, "complete is 'false'"),
        ({"trace": "no"}, "trace is 'no'"),
        ({"columns": "prompts"}, "columns is 'prompts': use one of|did you mean 'prompt"),
        ({"scratchpad": True}, "scratchpad is True: it needs columns="),
        ({"trace": True, "columns": "prompt-completion"}, "trace is True: it needs columns="),
        (
            {"nops": 0, "columns": "prompt-completion", "scratchpad": True},
            "scratchpad is True, but nops begins at 0",
        ),
        ({"name": "grid-len3", "nops": 7}, "this is a grid: use grid_nops"),
        ({"name": "grid-len3", "num_test": 0}, "num_test is 0"),
        ({f"num_{split}": 0 for split in SPLITS}, "'default' has no rows left in any split"),
        ({"description": "mine"}, "description is 'mine': the configuration's stands"),
        ({"data_files": "mine.csv"}, "data_files is 'mine.csv': the rows of vsc are made"),
        ({"data_dir": "mine"}, "data_dir is 'mine': the rows of vsc are made"),
    ],
)
@pytest.mark.parametrize("load", [load_dataset, vsc_dataset.load], ids=["load_dataset", "load"])
def test_a_mistake_or_what_would_be_ignored_is_one_clear_line(load, settings, words):
    with pytest.raises(ValueError, match=words) as error:
        load(**settings)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="num_proc is 2"):
        vsc_dataset.load(streaming=True, num_proc=2)


def test_as_many_rows_as_there_can_be_are_streamed_at_once():
    rows = vsc_dataset.load(split="train", streaming=True, num_train=2**48)
    assert rows.num_shards <= 10_000
    assert next(iter(rows))["question"] == sample("default", "train", [0]).questions()[0]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_split_that_cannot_be_says_why_and_how_to_leave_it_out(streaming, tmp_path):
    settings = {"operators": "-", "num_train": 100, "num_validation": 10, "num_test": 10}
    settings |= {"streaming": streaming, "cache_dir": str(tmp_path)}
    with pytest.raises(ValueError, match=r"'test_programs' .* leave the split out \(num_test_pro"):
        load_dataset(split="train", **settings)
    rows = load_dataset(split="train", num_test_programs=0, **settings)
    assert len(list(rows)) == 100


def test_long_rows_are_streamed_a_few_at_a_time(monkeypatch):
    made = []

    def counted(task, split, rows, seed):
        made.append(len(rows))
        return sample(task, split, rows, seed)

    monkeypatch.setattr(builder, "sample", counted)
    next(iter(vsc_dataset.load("level-8", split="train", streaming=True)))
    assert max(made) < 10_000
    made.clear()
    assert next(iter(vsc_dataset.load(split="train", streaming=True)))
    assert max(made) == 50_000
