"""The wheel: what is built here works elsewhere, with the clone out of sight."""

import re
import zipfile
from pathlib import Path

import pytest

from tests.commands import ROOT, SITE, run_alone, run_python

FOLDERS = ("vsc_dataset", "vsc_models", "scripts", "hub_cards", "examples", "tests")

USE = """
import sys, vsc_dataset, vsc_models
assert str({wheel!r}) in vsc_dataset.__file__, vsc_dataset.__file__
print(vsc_dataset.execute("NPFKT:5>4 3>1 1>4 4>2 1>3"))
print(vsc_dataset.sample("swap-nops5", "validation", [0]).questions()[0])
"""
USED = ["NFTPK", "ZIYFQ:5>3", "5>1", "1>2", "5>4", "5>2"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built and unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    done = run_python(*build, cwd=ROOT)
    assert done.exit_code == 0, done.stderr
    (built,) = folder.glob("*.whl")
    zipfile.ZipFile(built).extractall(folder / "installed")
    return folder / "installed"


@pytest.fixture
def numpy_alone(tmp_path) -> Path:
    """A folder of packages in which there is only numpy."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for package in Path(SITE).glob("numpy*"):
        (folder / package.name).symlink_to(package)
    return folder


def test_wheel_works_with_all_libraries(wheel, tmp_path):
    code = USE.format(wheel=str(wheel)) + "print(vsc_models.VscDeltaConfig().model_type)"
    done = run_alone(code, cwd=tmp_path, path=(wheel, SITE))
    assert done.stdout.split() == [*USED, "vsc_delta"], done.stderr


def test_wheel_works_with_numpy_alone(wheel, tmp_path, numpy_alone):
    done = run_alone(USE.format(wheel=str(wheel)), cwd=tmp_path, path=(wheel, numpy_alone))
    assert done.stdout.split() == USED, done.stderr


def test_a_missing_library_is_named_with_the_fix(wheel, tmp_path, numpy_alone):
    code = "import vsc_models; vsc_models.VscDeltaConfig"
    done = run_alone(code, cwd=tmp_path, path=(wheel, numpy_alone))
    assert "needs" in done.stderr.splitlines()[-1]
    assert "pip install -e '.[models]' in a clone" in done.stderr.splitlines()[-1]


def test_wheel_holds_the_two_packages_alone(wheel):
    names = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"vsc_dataset", "vsc_models"}
    assert (wheel / "vsc_dataset" / "configs.toml").exists()


def test_no_message_names_the_package_as_if_an_index_had_it():
    """Anybody could take the name on an index: an address or a clone must stand next to it."""
    for path in [*ROOT.glob("*.md"), *(p for n in FOLDERS for p in (ROOT / n).rglob("*.*"))]:
        if path.suffix in (".py", ".md", ".jinja", ".html") and path != Path(__file__):
            for line in path.read_text("utf-8").splitlines():
                assert not re.search(r"pip install .?vsc-dataset(?!.* @ )", line), (path, line)
