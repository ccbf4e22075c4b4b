"""The frame of the commands, where it is not shown by its doctests."""

import logging

import pytest

from scripts.core.cli import read_pairs, run
from tests.commands import LIMIT, ROOT, run_python, start_python

COMMANDS = sorted(path.name for path in (ROOT / "scripts").glob("*.py") if path.stem[0] != "_")


@pytest.mark.parametrize("command", COMMANDS)
def test_another_python_is_told_to_activate_the_environment(command):
    # -S: without the environment's packages.
    done = run_python("-S", f"scripts/{command}", "--help", cwd=ROOT)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "activate the environment" in done.stderr


def test_a_library_that_is_missing_is_named_with_the_fix(monkeypatch, capsys):
    def main():
        import tqdm_is_missing  # noqa: F401

    with pytest.raises(SystemExit, match=r"train: No module named 'tqdm_is_missing': activate"):
        run("train", main)


def test_a_log_call_with_arguments_that_do_not_fit_ends_no_command():
    def main():
        record = logging.getLogger("layer").makeRecord("layer", 30, "", 1, "slow", (7,), None)
        assert record.args == (7,)  # logging tells what is wrong with it

    run("evaluate", main)


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_no_command_tells_the_password_in_an_address(caplog, error):
    address = "http://me:sesame@127.0.0.1:9"

    def main():
        logging.getLogger("huggingface_hub.utils._http").warning("HEAD %s/acme/x failed", address)
        raise error(f"acme/x: cannot connect to '{address}'")

    with pytest.raises(SystemExit) as end:
        run("evaluate", main)
    assert end.value.code == "evaluate: acme/x: cannot connect to 'http://127.0.0.1:9'"
    assert caplog.messages == ["HEAD http://127.0.0.1:9/acme/x failed"]


@pytest.mark.parametrize(
    "text, value",
    [
        ("[true, null]", [True, None]), ("(1,)", [1]), ("'3'", "3"), ("a=b", "a=b"), ("", ""),
        ("nan", "nan"), ("b'x'", "b'x'"), ("9" * 5000, "9" * 5000), ("[" * 9999, "[" * 9999),
    ],
)  # fmt: skip
def test_a_value_is_read_as_python_or_json_has_it_and_else_as_a_text(text, value):
    assert read_pairs("--mixer-args", [f"x={text}"]) == {"x": value}


def test_a_reader_that_has_read_enough_is_no_error(tmp_path):
    code = "from scripts.core.cli import run; run('tell', lambda: print('word ' * 100_000))"
    with start_python("-c", code, cwd=tmp_path, PYTHONPATH=str(ROOT)) as command:
        command.stdout.close()
        assert (command.stderr.read(), command.wait(LIMIT)) == ("", 1)


def test_a_field_that_is_given_twice_is_refused():
    with pytest.raises(ValueError, match="--model-args gives width twice"):
        read_pairs("--model-args", ["width=1", "depth=2", "width=3"])
