"""Push a bundle to its repository on the hub: one commit of what has changed, then a tag."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    hf_hub_download,
)
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of any client
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from scripts.core.hub_ids import check_token
from scripts.publishing.bundles import MARKER, Bundle, assemble, git_hash
from scripts.publishing.cards import endpoint
from scripts.publishing.parquet import CARD

TEMPLATE = {".gitattributes", "README.md", "index.html", "style.css"}
"""What the hub writes itself when a repository is created; the last two into static Spaces."""


def describe(bundle: Bundle) -> str:
    """Say what a push sends, a line for each file."""
    sizes = {
        path: content.stat().st_size if isinstance(content, Path) else len(content)
        for path, content in bundle.files.items()
    }
    lines = [f"{bundle.repo_type} {bundle.repo} on {endpoint()}:"]
    lines += [f"{size:>16,}  {path}" for path, size in sizes.items()]
    return "\n".join([*lines, f"{len(sizes)} files, {sum(sizes.values()):,} bytes; {bundle.tag}"])


def push(bundle: Bundle, private: bool = False, overwrite_card: bool = False) -> str:
    """Send what has changed: all files or none, in one commit, and again after an interruption.

    The tag follows in requests of its own, for the hub moves none: one that stood is deleted, then
    made anew. In between, or after a cut there until the next push, readers of the tag find the old
    state or no tag; those of the branch find all that is new.

    Returns:
      What was done, in a line.
    Raises:
      ValueError: one line: no token, no right, no network, a name that is taken, a repository that
        is public and shall be private, a card that was edited on the hub (unless it shall be
        written over), or somebody else's push in between.
    """
    check_token()
    api, kind = HfApi(), bundle.repo_type
    with _explain_hub_errors(bundle.repo):
        before = _open(api, bundle, private)
        stale = _stale(api, bundle, before, overwrite_card)
        # One commit, where `upload_folder` may make several: readers see the old or the new.
        head = api.create_commit(
            bundle.repo,
            [
                *(CommitOperationDelete(path) for path in stale),
                *(CommitOperationAdd(path, content) for path, content in bundle.files.items()),
            ],
            commit_message=f"Version {bundle.tag.removeprefix('v')}",
            repo_type=kind,
            parent_commit=before,
        ).oid
        _move_tag(api, bundle, head)
    url = f"{endpoint()}/{'' if kind == 'model' else kind + 's/'}{bundle.repo}"
    gone = f", deleted: {', '.join(stale)}" if stale else ""
    done = f"{len(bundle.files)} files stand{gone}"
    if head == before:
        done = "nothing has changed, nothing is sent"
    return f"{url}: {done}; {bundle.tag} is {head}"


def push_model(folder: Path, repo: str, private: bool = False) -> str:
    """Publish a finished run: checkpoint, card, results, pictures; see `assemble` and `push`."""
    with TemporaryDirectory() as scratch:
        return push(assemble("model", folder, repo, Path(scratch)), private)


def _open(api: HfApi, bundle: Bundle, private: bool) -> str | None:
    """Create the repository where there is none, and return the commit that stands."""
    try:
        info = api.repo_info(bundle.repo, repo_type=bundle.repo_type)
    except RepositoryNotFoundError:
        api.create_repo(
            bundle.repo, repo_type=bundle.repo_type, private=private or None, space_sdk=bundle.sdk
        )
        info = api.repo_info(bundle.repo, repo_type=bundle.repo_type)
    if private and not info.private:
        raise ValueError(
            f"{bundle.repo} is public already: make it private in its settings, or push without "
            "--private"
        )
    return info.sha


def _stale(api: HfApi, bundle: Bundle, revision: str | None, overwrite_card: bool) -> list[str]:
    """Find the files that the hub's template or the last push wrote and this one does not."""
    repo, repo_type = bundle.repo, bundle.repo_type
    paths = api.list_repo_files(repo, repo_type=repo_type, revision=revision)
    written, kind = TEMPLATE, bundle.kind
    if MARKER in paths:
        path = hf_hub_download(repo, MARKER, repo_type=repo_type, revision=revision)
        last = json.loads(Path(path).read_text("utf-8"))
        written, kind = set(last.get("files", [])), last["kind"]
        cards = {last.get("card"), git_hash(bundle.files[CARD])}
        if CARD in paths and None not in cards and not overwrite_card:
            infos = api.get_paths_info(repo, CARD, repo_type=repo_type, revision=revision)
            if not {file.blob_id for file in infos if isinstance(file, RepoFile)} <= cards:
                raise ValueError(
                    f"{CARD} of {repo} was edited on the hub: copy what you want to keep, then "
                    "add --overwrite-card"
                )
    elif not TEMPLATE.issuperset(paths):
        raise ValueError(f"{bundle.repo} is taken by something else: choose another name")
    if kind != bundle.kind:
        raise ValueError(f"{bundle.repo} holds a {kind}: choose another name")
    return [p for p in paths if p in written and p not in {".gitattributes", *bundle.files}]


def _move_tag(api: HfApi, bundle: Bundle, head: str) -> None:
    """Let the tag name the head."""
    refs = api.list_repo_refs(bundle.repo, repo_type=bundle.repo_type)
    target = next((ref.target_commit for ref in refs.tags if ref.name == bundle.tag), None)
    if target == head:
        return
    if target is not None:
        api.delete_tag(bundle.repo, tag=bundle.tag, repo_type=bundle.repo_type)
    api.create_tag(bundle.repo, tag=bundle.tag, revision=head, repo_type=bundle.repo_type)


@contextmanager
def _explain_hub_errors(repo: str) -> Iterator[None]:
    """Raise what goes wrong on the hub or in the network as a ValueError of one line."""
    try:
        yield
    except (HTTPError, OfflineModeIsEnabled, RuntimeError) as error:
        # huggingface_hub wraps what happens to a single file in a RuntimeError.
        cause = error.__cause__ if isinstance(error, RuntimeError) else error
        if not isinstance(cause, HTTPError | OfflineModeIsEnabled):
            raise
        raise ValueError(_format_error(cause, repo)) from None


def _format_error(error: BaseException, repo: str) -> str:
    """Say in one line what went wrong and what helps, without anything that the request carried."""
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set: unset it to push"
    if not isinstance(error, HfHubHTTPError):
        return (
            f"{endpoint()} cannot be reached ({type(error).__name__}): check the "
            "network and push again; until then main is the old state or the new one, whole"
        )
    status, owner = error.response.status_code, repo.partition("/")[0]
    messages = {
        401: "the token is not accepted: make a new one that may write and set HF_TOKEN",
        403: f"the token may not write to {repo}: use one with the right to write for {owner}",
        412: f"{repo} has been pushed to in between: push again",
    }
    reason = " ".join((error.server_message or type(error).__name__).split())
    return messages.get(status, f"the hub answers {status} ({reason}): correct that and push again")
