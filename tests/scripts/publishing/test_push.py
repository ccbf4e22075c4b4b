"""Pushing: all or nothing, again without harm, and every refusal in one clear line."""

import re
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants

from scripts.publishing.bundles import Bundle, assemble, marker
from scripts.publishing.hub import push, push_model
from tests.commands import Result, run_command
from tests.fake_hub import clients
from tests.fake_hub.server import running
from vsc_dataset import DATA_VERSION, METRIC_PATH

# huggingface_hub sends large files in a way that its own HTTP client no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "acme/vsc"
KEY = ("datasets", REPO)
URL = "{repo_id}/resolve/{revision}/{filename}"


@pytest.fixture(name="hub")
def fixture_hub(monkeypatch):
    """A stand-in that this process takes for the hub, and a token that may write."""
    with running(clients.USERS) as hub:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.url}/{URL}")
        monkeypatch.setenv("HF_TOKEN", clients.TOKEN)
        yield hub


def bundle(kind: str = "dataset", repo: str = REPO, **more: bytes) -> Bundle:
    """A little of everything: a card, a small file, two large ones."""
    files = {
        "README.md": b"---\nlicense: cc0-1.0\n---\n",
        "a.parquet": b"a" * 10_000,
        "b.parquet": b"b" * 10_000,
    } | more
    return Bundle(kind, repo, {**files, "vsc.json": marker(kind, files)}, "v1.0.0")


def files_of(hub, key=KEY) -> dict[str, bytes]:
    files = {path: file.data for path, file in hub.repos[key].commits[-1][1].items()}
    del files[".gitattributes"]
    return files


def writes(hub) -> list[str]:
    """What has been sent so far."""
    return [r for r in hub.requests if r.startswith("PUT") or "/commit/" in r or "/create" in r]


def upload(name: str, data: bytes) -> None:
    """What somebody does by hand."""
    HfApi().upload_file(path_or_fileobj=data, path_in_repo=name, repo_id=REPO, repo_type="dataset")


def refused(found: Bundle, words: str, **more: bool) -> str:
    """The one line with which a push ends."""
    with pytest.raises(ValueError, match=words) as failed:
        push(found, **more)
    assert "\n" not in str(failed.value)
    return str(failed.value)


def test_what_is_pushed_arrives_in_one_commit_with_a_tag(hub):
    said = push(bundle())
    assert files_of(hub) == bundle().files
    repo = hub.repos[KEY]
    assert len(repo.commits) == 2  # creation is the first
    assert repo.tags == {"v1.0.0": repo.commits[-1][0]}
    assert said.endswith(f"/datasets/acme/vsc: 4 files stand; v1.0.0 is {repo.commits[-1][0]}")


def test_a_second_push_of_the_same_sends_nothing(hub):
    push(bundle())
    before = writes(hub)
    assert "nothing has changed, nothing is sent" in push(bundle())
    assert writes(hub) == before


def test_only_what_has_changed_is_sent_and_what_is_gone_is_deleted(hub):
    push(bundle(c=b"c"))
    before = writes(hub)
    changed = bundle(**{"b.parquet": b"B" * 9_000})
    assert "4 files stand, deleted: c;" in push(changed)
    assert len(writes(hub)) == len(before) + 2  # one large file and the commit
    assert files_of(hub) == changed.files
    assert hub.repos[KEY].tags["v1.0.0"] == hub.repos[KEY].commits[-1][0]


@pytest.mark.parametrize("cut", ["/commit/", "PUT /objects/", "/create", "/tag/", "POST .*/tag/"])
def test_a_push_that_is_cut_off_changes_nothing_and_can_be_repeated(hub, monkeypatch, cut):
    first, second = bundle(), bundle(**{"b.parquet": b"B" * 50_000, "new.parquet": b"n" * 50_000})
    if cut != "/create":
        push(first)
    before = hub.repos[KEY].commits[-1] if KEY in hub.repos else None
    hub.cut = cut
    # The library waits longer and longer before it tries a large file again.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    assert hub.url in refused(second, "cannot be reached .* push again")
    if "/tag/" not in cut:  # then all is there but the tag
        assert (hub.repos[KEY].commits[-1] if KEY in hub.repos else None) == before
    hub.cut, sent = None, len(hub.requests)
    push(second)
    assert files_of(hub) == second.files
    assert hub.repos[KEY].tags == {"v1.0.0": hub.repos[KEY].commits[-1][0]}
    if cut == "/commit/":  # large files that had arrived are not sent again
        assert not [request for request in hub.requests[sent:] if request.startswith("PUT")]


@pytest.mark.parametrize(
    "token, repo, words",
    [
        ("", REPO, "no token: set HF_TOKEN, or log in with `hf auth login`"),
        ("hf_unknown", REPO, "the token is not accepted: make a new one"),
        ("hf_geheim\N{LATIN SMALL LETTER U WITH DIAERESIS}ber", REPO, "outside ASCII"),
        (clients.READER, REPO, "may not write to acme/vsc: use one with the right to write for"),
        (clients.TOKEN, "others/vsc", "may not write to others/vsc"),
    ],
)
def test_no_right_is_one_line_without_the_token(hub, monkeypatch, token, repo, words):
    monkeypatch.setenv("HF_TOKEN", token)
    said = refused(bundle(repo=repo), words)
    assert not token or token not in said
    assert not hub.repos


def test_a_name_that_something_else_has_is_left_alone(hub):
    HfApi().create_repo(REPO, repo_type="dataset")
    upload("data.csv", b"1")
    refused(bundle(), "acme/vsc is taken by something else: choose another")
    assert files_of(hub) == {"data.csv": b"1"}


def test_a_push_during_another_is_not_undone(hub, monkeypatch):
    push(bundle())
    move = HfApi.create_commit

    def late(api, *args, **settings):
        monkeypatch.setattr(HfApi, "create_commit", move)
        push(bundle(other=b"o"))
        return move(api, *args, **settings)

    monkeypatch.setattr(HfApi, "create_commit", late)
    refused(bundle(**{"README.md": b"late"}), "has been pushed to in between: push again")
    assert files_of(hub)["other"] == b"o"


def test_a_metric_replaces_the_hub_s_template_and_no_demo(hub, tmp_path):
    found = assemble("metric", Path(METRIC_PATH), "acme/vsc_error", tmp_path)
    hub.cut = "/commit/"
    refused(found, "cannot be reached")  # the repository is there, and holds the template alone
    hub.cut = None
    push(found)
    assert files_of(hub, ("spaces", "acme/vsc_error")) == {
        name: content if isinstance(content, bytes) else content.read_bytes()
        for name, content in found.files.items()
    }
    refused(bundle("space", "acme/vsc_error"), "acme/vsc_error holds a metric: choose another")


def test_what_no_push_has_made_is_kept(hub):
    push(bundle())
    upload("notes.txt", b"mine")
    push(bundle(**{"a.parquet": b"A" * 9_000}))
    assert files_of(hub)["notes.txt"] == b"mine"


def test_a_card_that_was_edited_on_the_hub_is_written_over_on_request_alone(hub):
    push(bundle())
    upload("README.md", b"---\nlicense: mit\n---\nby hand")
    later = bundle(**{"README.md": b"---\nlicense: cc0-1.0\n---\nmore"})
    refused(later, "README.md of acme/vsc was edited on the hub: .* add --overwrite-card")
    assert files_of(hub)["README.md"].endswith(b"by hand")
    push(later, overwrite_card=True)
    assert files_of(hub)["README.md"].endswith(b"more")
    push(bundle())  # a card of the last push is not an edited one


def test_private_is_private_from_the_start_and_never_pretended(hub):
    push(bundle(), private=True)
    assert hub.repos[KEY].private
    hub.repos[KEY].private = False
    refused(bundle(), "is public already: make it private in its settings", private=True)


@pytest.mark.parametrize("offline", [False, True])
def test_without_network_a_push_is_one_line_and_nothing_else_needs_one(monkeypatch, offline):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(constants, "ENDPOINT", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", clients.TOKEN)
    told = command("metric", METRIC_PATH, "acme/vsc_error")
    assert told.stdout.startswith("space acme/vsc_error on http://127.0.0.1:9:\n")
    assert re.search(r"\n +[\d,]+  vsc_error\.py\n", told.stdout)
    assert told.stdout.endswith("; v0.1.0\nNothing was sent: add --yes to push.\n")
    failed = command("metric", METRIC_PATH, "acme/vsc_error", "--yes")
    reason = "HF_HUB_OFFLINE is set" if offline else r"cannot be reached \(ConnectError\)"
    assert re.fullmatch(f"push_to_hub: .*{reason}.*\n", failed.stderr)
    assert "secret" not in str([told, failed])


def test_a_run_is_pushed_by_one_call(hub, run):
    said = push_model(run, "acme/vsc-swap-delta", private=True)
    assert said.startswith(f"{hub.url}/acme/vsc-swap-delta: ")
    found = hub.repos["models", "acme/vsc-swap-delta"]
    assert found.private
    assert {"model.safetensors", "curves.png"} <= set(found.commits[-1][1])
    assert "nothing is sent" in push_model(run, "acme/vsc-swap-delta")
    assert_no_token(hub)


def command(*flags: object) -> Result:
    return run_command("push_to_hub", *flags)


def test_the_command_tells_first_and_pushes_with_yes(hub, dataset):
    told = command("dataset", dataset, REPO)
    assert told.stdout.endswith("Nothing was sent: add --yes to push.\n"), told
    assert not hub.repos
    done = command("dataset", dataset, REPO, "--yes")
    assert f"; v{DATA_VERSION} is " in done.stdout, done
    assert any(name.startswith("wheel/vsc_dataset-") for name in files_of(hub))
    again = command("dataset", dataset, REPO, "--yes")
    assert "nothing has changed, nothing is sent" in again.stdout
    assert len(hub.repos[KEY].commits) == 2
    failed = [command("metric", METRIC_PATH, "others/vsc_error", "--yes")]
    hub.cut = "/commit/"
    failed += [command("metric", METRIC_PATH, "acme/vsc_error", "--yes")]
    for result in failed:
        assert re.fullmatch("push_to_hub: .*\n", result.stderr)
    assert clients.TOKEN not in str([told, done, again, failed])
    assert_no_token(hub)


def assert_no_token(hub):
    """The token is in nothing that was pushed."""
    for repo in hub.repos.values():
        for _, tree in repo.commits:
            assert not [path for path, file in tree.items() if clients.TOKEN.encode() in file.data]
