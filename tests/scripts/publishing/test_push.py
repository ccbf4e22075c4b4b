"""Pushing: all or nothing, again without harm, and every refusal in one clear line."""

import re
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants

from scripts import push_to_hub
from scripts.core.cli import run as run_command
from scripts.publishing import parquet
from scripts.publishing.bundles import Bundle, assemble, marker, read_content
from scripts.publishing.hub import describe, make_plan, push, push_model, unchecked_plan
from tests.fake_hub import clients
from tests.fake_hub.server import running
from tests.scripts.publishing.made import SMALL, small_configs
from vsc_dataset import DATA_VERSION, METRIC_PATH

# huggingface_hub sends large files in a way that its own HTTP client no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ROOT = Path(__file__).parents[3]
REPO = "acme/vsc"
KEY = ("datasets", REPO)


@pytest.fixture(name="hub")
def fixture_hub(monkeypatch):
    """A stand-in that this process takes for the hub, and a token that may write."""
    with running(clients.USERS) as hub:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", clients.TOKEN)
        yield hub


@pytest.fixture(name="command")
def fixture_command(monkeypatch, capsys):
    """Run the command in this process; give what it says, and its error."""

    def run(*flags: object) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["push_to_hub.py", *map(str, flags)])
        error = ""
        try:
            run_command("push_to_hub", push_to_hub.main)
        except SystemExit as end:
            error = str(end.code)
        return capsys.readouterr().out, error

    return run


def bundle(**more: bytes) -> Bundle:
    """A little of everything: a card, a small file, two large ones."""
    files = {
        "README.md": b"---\nlicense: cc0-1.0\n---\n",
        "a.parquet": b"a" * 10_000,
        "b.parquet": b"b" * 10_000,
    }
    files |= more
    return Bundle(REPO, "dataset", {**files, "vsc.json": marker("dataset", files)}, "v1.0.0")


def pushed(found: Bundle) -> str:
    return push(found, make_plan(found))


def files_of(hub, key=KEY) -> dict[str, bytes]:
    return {path: file.data for path, file in hub.repos[key].commits[-1][1].items()}


def writes(hub) -> list[str]:
    """What has been sent so far."""
    return [r for r in hub.requests if r.startswith("PUT") or "/commit/" in r or "/create" in r]


def test_what_is_pushed_arrives_in_one_commit_with_a_tag(hub):
    said = pushed(bundle())
    found = files_of(hub)
    found.pop(".gitattributes")
    assert found == bundle().files
    repo = hub.repos[KEY]
    assert len(repo.commits) == 2  # creation is the first
    assert repo.tags == {"v1.0.0": repo.commits[-1][0]}
    assert said.endswith(f"/datasets/acme/vsc: 4 files sent; v1.0.0 is {repo.commits[-1][0]}")


def test_a_second_push_of_the_same_sends_nothing(hub):
    pushed(bundle())
    before = writes(hub)
    assert "nothing has changed, nothing is sent" in pushed(bundle())
    assert writes(hub) == before


def test_only_what_has_changed_is_sent_and_what_is_gone_is_deleted(hub):
    pushed(bundle(c=b"c"))
    before = writes(hub)
    changed = bundle(**{"b.parquet": b"B" * 9_000})
    plan = make_plan(changed)
    assert (plan.new, plan.changed, plan.gone) == ([], ["b.parquet", "vsc.json"], ["c"])
    assert set(plan.unchanged) == {"README.md", "a.parquet"}
    pushed(changed)
    assert len(writes(hub)) == len(before) + 2  # one large file and the commit
    assert "c" not in files_of(hub)
    assert files_of(hub)["b.parquet"] == b"B" * 9_000
    assert hub.repos[KEY].tags["v1.0.0"] == hub.repos[KEY].commits[-1][0]


@pytest.mark.parametrize("cut", ["/commit/", "PUT /objects/", "/create", "/tag/", "POST .*/tag/"])
def test_a_push_that_is_cut_off_changes_nothing_and_can_be_repeated(hub, monkeypatch, cut):
    first, second = bundle(), bundle(**{"b.parquet": b"B" * 50_000, "new.parquet": b"n" * 50_000})
    if cut != "/create":
        pushed(first)
    before = hub.repos[KEY].commits[-1] if KEY in hub.repos else None
    hub.cut = cut
    # The library waits longer and longer before it tries a large file again.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with pytest.raises(ValueError, match="cannot be reached") as failed:
        pushed(second)
    assert "\n" not in str(failed.value)
    assert hub.url in str(failed.value)
    if "/tag/" not in cut:  # then all is there but the tag
        assert (hub.repos[KEY].commits[-1] if KEY in hub.repos else None) == before
    hub.cut = None
    pushed(second)
    found = files_of(hub)
    assert {path: found[path] for path in second.files} == second.files
    assert hub.repos[KEY].tags == {"v1.0.0": hub.repos[KEY].commits[-1][0]}


def test_large_files_that_arrived_before_a_cut_are_not_sent_again(hub):
    hub.cut = "/commit/"
    with pytest.raises(ValueError, match="push again"):
        pushed(bundle())
    assert len(hub.objects) == 2
    hub.cut, sent = None, len(hub.requests)
    pushed(bundle())
    assert not [request for request in hub.requests[sent:] if request.startswith("PUT")]


def test_a_dry_run_needs_no_token_and_sends_nothing(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    text = describe(bundle(), make_plan(bundle()))
    assert not writes(hub)
    assert f"dataset acme/vsc on {hub.url}, to be created:" in text
    assert re.search(r"new +10,000 +a\.parquet", text)
    size = sum(map(len, bundle().files.values()))
    assert f"4 files, {size:,} bytes to send; tag v1.0.0" in text
    with pytest.raises(ValueError, match="no token: set HF_TOKEN, or log in with `hf auth login`"):
        push(bundle(), make_plan(bundle()))


@pytest.mark.parametrize(
    "token, repo, words",
    [
        ("hf_unknown", REPO, "the token is not accepted: make a new one"),
        (clients.READER, REPO, "may not write to acme/vsc: use one with the right to write for"),
        (clients.TOKEN, "others/vsc", "may not write to others/vsc"),
    ],
)
def test_no_right_is_one_line_without_the_token(hub, monkeypatch, token, repo, words):
    monkeypatch.setenv("HF_TOKEN", token)
    renamed = Bundle(repo, "dataset", bundle().files, "v1.0.0")
    with pytest.raises(ValueError, match=re.escape(words)) as failed:
        pushed(renamed)
    assert "\n" not in str(failed.value)
    assert token not in str(failed.value)
    assert not hub.repos


def test_no_right_to_a_repository_that_stands(hub, monkeypatch):
    pushed(bundle())
    monkeypatch.setenv("HF_TOKEN", clients.READER)
    with pytest.raises(ValueError, match="may not write to acme/vsc"):
        pushed(bundle(more=b"1"))


def test_a_name_that_something_else_has_is_left_alone(hub):
    api = HfApi()
    api.create_repo(REPO, repo_type="dataset")
    for name in ("data.csv", "notes.txt"):
        api.upload_file(path_or_fileobj=b"1", path_in_repo=name, repo_id=REPO, repo_type="dataset")
    before = files_of(hub)
    with pytest.raises(ValueError, match="acme/vsc is taken by something else: choose another"):
        pushed(bundle())
    assert files_of(hub) == before


def test_a_name_that_cannot_be_seen_is_taken(hub):
    plan = make_plan(bundle())
    pushed(bundle())
    with pytest.raises(ValueError, match="the name acme/vsc is taken"):
        push(bundle(more=b"1"), plan)


def test_a_push_between_plan_and_commit_is_not_undone(hub):
    pushed(bundle())
    late = bundle(**{"README.md": b"late"})
    plan = make_plan(late)
    pushed(bundle(other=b"o"))
    with pytest.raises(ValueError, match="has been pushed to in between: push again"):
        push(late, plan)
    assert files_of(hub)["other"] == b"o"


def test_what_the_hub_writes_into_a_new_space_does_not_stay(hub, tmp_path):
    found = assemble("metric", Path(METRIC_PATH), "acme/vsc_error", tmp_path)
    pushed(found)
    assert set(files_of(hub, ("spaces", "acme/vsc_error"))) - {".gitattributes"} == set(found.files)


def test_a_space_is_not_overwritten_by_a_metric(hub, tmp_path):
    files = {"app.py": b"1", "README.md": b"---\nsdk: gradio\n---\n"}
    files["vsc.json"] = marker("space", files)
    pushed(Bundle("acme/vsc_error", "space", files, "v1", "gradio"))
    with pytest.raises(ValueError, match="acme/vsc_error holds a space: choose another name"):
        pushed(assemble("metric", Path(METRIC_PATH), "acme/vsc_error", tmp_path))


def test_a_plan_of_deletions_alone_says_so(hub):
    pushed(bundle(c=b"c"))
    text = describe(bundle(), make_plan(bundle()))
    assert re.search(r"deleted +c\n1 files, \d+ bytes to send, 1 to delete;", text)
    assert "1 files sent, 1 deleted;" in pushed(bundle())
    assert "c" not in files_of(hub)


def upload(name, data, key=KEY):
    api = HfApi()
    kind = key[0].removesuffix("s")
    api.upload_file(path_or_fileobj=data, path_in_repo=name, repo_id=key[1], repo_type=kind)


def test_what_no_push_has_made_is_kept_and_listed(hub):
    pushed(bundle())
    upload("notes.txt", b"mine")
    later = bundle(**{"a.parquet": b"A" * 9_000})
    plan = make_plan(later)
    assert (plan.gone, plan.foreign) == ([], ["notes.txt"])
    assert re.search(r"kept +notes\.txt\n", describe(later, plan))
    push(later, plan)
    assert files_of(hub)["notes.txt"] == b"mine"


def test_a_push_of_an_older_version_deletes_nothing(hub):
    old = Bundle(REPO, "dataset", {"vsc.json": b'{"kind": "dataset"}', "c": b"c"}, "v0")
    push(old, unchecked_plan(old, ""))
    assert make_plan(bundle()).gone == []


def test_a_card_that_was_edited_on_the_hub_is_written_over_on_request_alone(hub):
    pushed(bundle())
    upload("README.md", b"---\nlicense: mit\n---\nby hand")
    later = bundle(**{"README.md": b"---\nlicense: cc0-1.0\n---\nmore"})
    words = "README.md of acme/vsc was edited on the hub: .* add --overwrite-card"
    with pytest.raises(ValueError, match=words) as refused:
        make_plan(later)
    assert "\n" not in str(refused.value)
    assert files_of(hub)["README.md"].endswith(b"by hand")
    push(later, make_plan(later, overwrite_card=True))
    assert files_of(hub)["README.md"].endswith(b"more")
    pushed(bundle())  # a card of the last push is not an edited one


def test_a_demo_of_a_model_that_is_not_there_is_refused(hub, command):
    HfApi().create_repo("acme/there")
    for dry in ((), ("--yes",)):
        words = ("space", ROOT / "hub_cards/space", "acme/demo", "--checkpoints")
        _, error = command(*words, "acme/there", "acme/gone", *dry)
        assert error.startswith("push_to_hub: --checkpoints acme/gone: ")
        assert error.endswith("has no such model that this token can see: push it first")
    assert ("spaces", "acme/demo") not in hub.repos


@pytest.mark.parametrize("offline", [False, True])
def test_a_dry_run_without_network_says_what_would_be_sent(command, monkeypatch, offline):
    url = "http://127.0.0.1:9"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(constants, "ENDPOINT", url.replace("//", "//me:secret@"))
    flags = ("metric", METRIC_PATH, "acme/vsc_error")
    said, error = command(*flags)
    reason = "HF_HUB_OFFLINE is set" if offline else "cannot be reached"
    assert re.search(rf"space acme/vsc_error on {url}, not compared \(.*{reason}", said)
    assert re.search(r"new +[\d,]+ +vsc_error\.py", said)
    assert said.endswith("Nothing was sent: add --yes to push.\n")
    assert error == ""
    _, error = command(*flags, "--yes")
    assert reason in error
    assert "\n" not in error
    assert "secret" not in said + error


def test_a_token_that_no_request_can_carry_is_named_but_not_shown(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_geheim\N{LATIN SMALL LETTER U WITH DIAERESIS}ber")
    with pytest.raises(ValueError, match="the token holds characters outside ASCII") as error:
        make_plan(bundle())
    assert "geheim" not in str(error.value)


def test_a_password_in_the_hub_s_address_is_in_no_message(hub, monkeypatch):
    pushed(bundle())
    plan = make_plan(bundle())
    monkeypatch.setattr(constants, "ENDPOINT", hub.url.replace("//", "//me:secret@"))
    tags = [SimpleNamespace(name=bundle().tag, target_commit=plan.head)]
    refs = SimpleNamespace(tags=tags)  # so that the hub, which knows no passwords, is not reached
    monkeypatch.setattr(HfApi, "list_repo_refs", lambda *_, **__: refs)
    said = describe(bundle(), plan) + push(bundle(), plan)
    hub.cut = "."
    with pytest.raises(ValueError, match="cannot be reached") as error:
        make_plan(bundle())
    assert "secret" not in said + str(error.value)
    assert hub.url in said


def test_private_is_private_from_the_start_and_never_pretended(hub):
    push(bundle(), make_plan(bundle(), private=True), private=True)
    assert hub.repos[KEY].private
    hub.repos[KEY].private = False
    with pytest.raises(ValueError, match="is public already: make it private in its settings"):
        make_plan(bundle(), private=True)


def test_no_network_is_one_line(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(ValueError, match=r"cannot be reached \(ConnectError\)"):
        make_plan(bundle())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set: unset it to push"):
        make_plan(bundle())


def test_a_run_is_pushed_by_one_call(hub, run):
    said = push_model(run, "acme/vsc-swap-delta", private=True)
    assert said.startswith(f"{hub.url}/acme/vsc-swap-delta: ")
    found = hub.repos["models", "acme/vsc-swap-delta"]
    assert found.private
    assert {"model.safetensors", "curves.png"} <= set(found.commits[-1][1])
    assert "nothing is sent" in push_model(run, "acme/vsc-swap-delta")
    assert_no_token(hub)


def test_the_command_tells_first_and_pushes_with_yes(hub, dataset, command, tmp_path):
    told = command("dataset", dataset, REPO)
    assert told[0].endswith("Nothing was sent: add --yes to push.\n"), told
    assert not hub.repos
    done = command("dataset", dataset, REPO, "--yes")
    assert f"; v{DATA_VERSION} is " in done[0], done
    assert any(name.startswith("wheel/vsc_dataset-") for name in files_of(hub))
    again = command("dataset", dataset, REPO, "--yes")
    assert "nothing has changed, nothing is sent" in again[0]
    assert len(hub.repos[KEY].commits) == 2
    failed = [command("metric", METRIC_PATH, "others/vsc_error", "--yes")]
    hub.cut = "/commit/"
    failed += [command("metric", METRIC_PATH, "acme/vsc_error", "--yes")]
    for _, error in failed:
        assert error.startswith("push_to_hub: ")
        assert "\n" not in error
    assert clients.TOKEN not in str([told, done, again, failed])
    assert_no_token(hub)


def assert_no_token(hub):
    """The token is in nothing that was pushed."""
    for repo in hub.repos.values():
        for _, tree in repo.commits:
            assert not [path for path, file in tree.items() if clients.TOKEN.encode() in file.data]


def test_a_published_folder_is_verified_with_its_card(dataset, tmp_path):
    folder = tmp_path / "downloaded"
    for name, content in assemble("dataset", dataset, REPO, tmp_path).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(read_content(content))
    with small_configs():
        assert parquet.folder_faults(folder, list(SMALL)) == []
        (folder / "README.md").write_bytes(b"---\n---\n" + (folder / "README.md").read_bytes())
        (fault,) = parquet.folder_faults(folder, list(SMALL))
    assert "README.md is not the card of this folder" in fault
