"""The pages: short, rendered from the kept results, with commands and links that are there."""

import os
import re
import shlex
import subprocess
from functools import cache
from itertools import pairwise

import pytest

from scripts.reproduction.pages import TEMPLATE, render_readme, render_results
from scripts.training.recipes import read_recipes
from tests.commands import LIMIT, ROOT, run_script
from tests.fake_hub.repos import User
from tests.fake_hub.server import running

FOLDERS = ("vsc_dataset", "vsc_models", "scripts", "tests")
PAGES = [ROOT / "README.md", *(ROOT / folder / "README.md" for folder in FOLDERS)]
PAGES.append(ROOT / "CONTRIBUTING.md")
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
RESULTS = ROOT / "hub_cards" / "results"
SHORT = {
    "scripts/train.py": "--max-samples 3200 --final-samples 100",
    "scripts/scorecard.py --mixer": "--quick",
    "scripts/reproduce.py": "--report-only",
}


def prose(text):
    """A page without code, generated tables, addresses, arXiv numbers and versions."""
    for pattern in (
        r"```.*?```",
        r"<!-- generated .*?<!-- end -->",
        r"\{\{.*?\}\}|\{%.*?%\}",
        r"`[^`]*`",
        r"\]\([^)]*\)|https?://\S+",
        r"arXiv:\d+\.\d+",
        r"^\d+\. |Python \d\.\d+|Apache-2\.0|CC0-1\.0",
    ):
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    return text


def commands(page):
    """The lines of a page's sh blocks, comments aside."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]


@cache
def help_of(script):
    done = run_script(ROOT / script, "--help", cwd=ROOT)
    assert done.exit_code == 0, done.stderr
    return set(re.findall(r"--[a-z][a-z-]*", done.stdout))


def test_the_readme_is_read_in_three_minutes():
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 150
    assert not [line for line in lines if len(line) > 110]


@pytest.mark.parametrize("page", [*PAGES, TEMPLATE], ids=[*NAMES, "RESULTS.md"])
def test_no_number_is_typed_by_hand(page):
    words = re.findall(r"\S*\d\S*", prose(page.read_text("utf-8")))
    # Names are not numbers: GPT-2, S5.
    assert [word for word in words if not re.match(r"\W*[A-Za-z]", word)] == []


def test_results_and_the_readmes_table_are_rendered_from_the_kept_results():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert (ROOT / "hub_cards" / "RESULTS.md").read_text("utf-8") == render_results(RESULTS)
    assert readme == render_readme(readme, RESULTS)
    assert readme.count("| `zoo-") > 3


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
    assert [link for link in links if "//" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_names_flags_recipes_and_files_that_are_there(page):
    for words in map(shlex.split, commands(page)):
        scripts = [word for word in words if re.fullmatch(r"scripts/\w+\.py", word)]
        for script in scripts:
            flags = {word for word in words[words.index(script) :] if word.startswith("--")}
            assert flags <= help_of(script), words
        for flag, recipe in pairwise(words):
            assert flag != "--recipe" or recipe in read_recipes(), words
        files = [word.partition(":")[0] for word in words if word.startswith(("scripts/", "exa"))]
        assert not [file for file in files if not (ROOT / file).exists()], words


@pytest.mark.soak
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_runs(page, tmp_path):
    """In a clone, in their order, with a stand-in for the hub; what trains does so for a moment."""
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "vsc"], check=True)
    with running({"hf_local": User("tester", ("my-org",))}) as hub:
        settings = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_local", "HF_HUB_OFFLINE": "0"}
        settings |= {"HF_HUB_DISABLE_XET": "1", "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
        for line in commands(page):
            if re.match(r"make|source|$", line) or "with_trl.py" in line or "capability" in line:
                continue  # `make` runs this test; trl is not installed; that track takes long
            short = "".join(flags for script, flags in SHORT.items() if script in line)
            done = subprocess.run(
                ["bash", "-c", f"{line} {short}"],
                cwd=tmp_path / "vsc",
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=4 * LIMIT,
            )
            assert done.returncode == 0, f"{line}\n{done.stderr}"


def test_the_layer_that_is_shown_is_that_of_the_example():
    page = (ROOT / "vsc_models" / "README.md").read_text("utf-8")
    layer = (ROOT / "examples" / "own_layer.py").read_text("utf-8")
    assert layer[layer.index("class Decay") :] in page
