"""One concept has one word: these are in no file, but where an older word is meant."""

import re
import subprocess

import pytest

from tests.commands import ROOT

WORDS = re.compile(
    r"\b(exchanges?|exchanged|floors?|letters on the way|unseen|fill(ed|ing) up|strangers?"
    r"|steps_per_token|beta_stretch|stretched|oracles?|in_own_terms|trainee|leave_model|keep_until"
    r"|way_out|beside|behind|in front|the house|private door|one of your own|of your own"
    r"|own layer|asked|asking|asks|(is|are) no (?!longer)[a-z]+|so many|lost|zoo"
    r"|real_BxL|keep_BxW|questions_per|dear|mend|blink|not kept"
    r"|(un)?(colou?r|favour|behaviour|neighbour)(?<=our)\w*|licen[c]es?"
    r"|\w*(normal|initial|summar|organ|recogn|optim)is(e|es|ed|ing|ation)s?)\b"
    r"|\w*_(floors?|beside|behind|asked|asks|strangers?|oracles?|lost)_\w*",
    re.IGNORECASE,
)
GENERATED = "hub_cards/(results|figures|tables|article)/|hub_cards/RESULTS.md"
FILES = re.compile(rf"(?!{GENERATED}|CHANGELOG|LICENSE)(.*\.(py|md|toml|yaml|jinja|css)|Makefile)")
ALLOWED = {
    r"[Tt]here (is|are) no \w+": "it says that something does not exist",
    r"[\"'`.\[]floors\b|and floors: for copy": "a key of kept results, manifests and reports",
    r"[\"'`]lost\b": "a key of kept results",
    r"zoo[-_]|[\"'`]zoo[\"'`]|reproduce.py zoo|\bZOO\b": "recipes and tables of kept results",
    r"[\"'`{(]+(steps_per_token|beta_stretch)": "fields that older configurations have",
    r"math\.floor\(": "rounding",
    r"own_layer": "the name of an example and of a module of tests",
    r"only people are asked": "the rule itself",
    r"questions_per_second": "a key of kept results",
}
"""What may stand where, and why."""


HERE = "tests/architecture/test_words.py"


def old_words(text: str) -> list[str]:
    """Return the words that have another one in their place, without those that are allowed."""
    for pattern in ALLOWED:
        text = re.sub(pattern, "", text)
    return [match[0] for match in WORDS.finditer(text)]


def tracked() -> list[str]:
    """Return the files of the project that hold words."""
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return [name for name in listed if FILES.fullmatch(name) and name != HERE]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a clone says which files are the project")
def test_no_file_has_an_older_word():
    by_file = {name: old_words((ROOT / name).read_text("utf-8")) for name in tracked()}
    assert not {name: words for name, words in by_file.items() if words}


OLDER = [
    *(
        "trivial floors",
        "x>y exchanges",
        "so many rows",
        "is no model",
        "behaviour",
        "is lost",
        "not kept",
    ),
    *("of the zoo", "test_what_is_asked_twice", "a file beside it", "normalised", "the stranger's"),
]


@pytest.mark.parametrize("text", OLDER)
def test_an_older_word_is_named(text):
    assert old_words(text)


@pytest.mark.parametrize("text", ['rates["floors"]', "zoo-llama", "there is no such row", "colors"])
def test_what_is_meant_is_allowed(text):
    assert not old_words(text)
