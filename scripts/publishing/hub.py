"""Push a bundle to its repository on the hub: one commit of what has changed, then a tag."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_session,
    get_token,
)
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of any client
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    hf_raise_for_status,
)

from scripts.core.hub_ids import check_token
from scripts.publishing.bundles import MARKER, Bundle, assemble, git_hash, read_content
from scripts.publishing.cards import endpoint
from scripts.publishing.parquet import CARD, file_sha256

GIT_FILES = (".gitattributes",)
"""The hub's own file, which no bundle has."""

TEMPLATE = {"README.md", "index.html", "style.css"}
"""What the hub writes itself when a repository is created; the last two into static Spaces."""


class UnreachableError(ValueError):
    """The hub cannot be reached: no network, or none wanted."""


@dataclass(frozen=True)
class Plan:
    """What a push does.

    Attributes:
      state: of the repository, in words.
      head: the commit that stands now; None where there is no repository.
      new, changed, unchanged: paths in the repository.
      gone: paths that the last push wrote and this one does not; they are deleted.
      foreign: paths that no push wrote; they stay.
    """

    state: str
    head: str | None
    new: Sequence[str]
    changed: Sequence[str] = ()
    unchanged: Sequence[str] = ()
    gone: Sequence[str] = ()
    foreign: Sequence[str] = ()

    @property
    def sent(self) -> list[str]:
        """What has to be uploaded."""
        return [*self.new, *self.changed]


def make_plan(bundle: Bundle, private: bool = False, overwrite_card: bool = False) -> Plan:
    """Compare a bundle with what stands on the hub.

    Args:
      bundle: what the repository shall hold.
      private: refuse a repository that is public.
      overwrite_card: write over a README.md that somebody has edited on the hub.
    Raises:
      UnreachableError: the hub cannot be reached.
      ValueError: the name is taken by something else, the repository is public and shall be
        private, its card was edited, or the token cannot be sent.
    """
    check_token()
    api = HfApi()
    with _one_line(bundle.repo):
        try:
            info = api.repo_info(bundle.repo, repo_type=bundle.repo_type)
        except RepositoryNotFoundError:
            return unchecked_plan(bundle, "to be created")
        hashes = _list_hashes(api, bundle, info.sha)
        last = _last_push(api, bundle, info.sha) if MARKER in hashes else {}
    _check_repository(bundle, hashes, last, overwrite_card)
    if private and not info.private:
        raise ValueError(
            f"{bundle.repo} is public already: make it private in its settings, or push without "
            "--private"
        )
    written = set(last.get("files", [])) if MARKER in hashes else set(hashes)
    there = [path for path in bundle.files if path in hashes]
    changed = [path for path in there if not _is_same(bundle.files[path], hashes[path])]
    extra = [path for path in hashes if path not in bundle.files]
    return Plan(
        state=f"now at {info.sha}",
        head=info.sha,
        new=[path for path in bundle.files if path not in hashes],
        changed=changed,
        unchanged=[path for path in there if path not in changed],
        gone=[path for path in extra if path in written],
        foreign=[path for path in extra if path not in written],
    )


def unchecked_plan(bundle: Bundle, state: str) -> Plan:
    """Make the plan where there is no repository, or none that could be looked at."""
    return Plan(state, None, list(bundle.files))


def check_models(bundle: Bundle, names: Sequence[str]) -> None:
    """Raise a ValueError for a model that a demo names and the hub does not have."""
    for name in names:
        with _one_line(bundle.repo):
            exists = HfApi().repo_exists(name)
        if not exists:
            raise ValueError(
                f"--checkpoints {name}: {endpoint()} has no such model that this token can see: "
                "push it first"
            )


def _list_hashes(api: HfApi, bundle: Bundle, revision: str | None) -> dict[str, str]:
    """List the files of a repository: a large one's SHA-256, a small one's hash of a git blob."""
    entries = api.list_repo_tree(
        bundle.repo, recursive=True, revision=revision, repo_type=bundle.repo_type
    )
    return {
        entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id
        for entry in entries
        if isinstance(entry, RepoFile) and entry.path not in GIT_FILES
    }


def _is_same(content: Path | bytes, listed: str) -> bool:
    """Return whether a file is the one that the hub lists under this hash, of either kind."""
    if len(listed) < 64:
        return listed == git_hash(content)
    if isinstance(content, bytes):
        return listed == hashlib.sha256(content).hexdigest()
    return listed == file_sha256(content)


def _last_push(api: HfApi, bundle: Bundle, revision: str | None) -> dict[str, Any]:
    """Read the marker of a repository; nothing where somebody has edited it."""
    kind = "" if bundle.repo_type == "model" else f"{bundle.repo_type}s/"
    url = f"{api.endpoint}/{kind}{bundle.repo}/resolve/{revision}/{MARKER}"
    response = get_session().get(url, headers=build_hf_headers())
    hf_raise_for_status(response)
    try:
        marker = json.loads(response.content)
    except ValueError:
        return {}
    return marker if isinstance(marker, dict) else {}


def _check_repository(
    bundle: Bundle, hashes: Mapping[str, str], last: Mapping[str, Any], overwrite_card: bool
) -> None:
    """Raise a ValueError where a push would write over what it should not."""
    if MARKER not in hashes:
        if set(hashes) - TEMPLATE:
            raise ValueError(f"{bundle.repo} is taken by something else: choose another name")
        return
    kind, wanted = last.get("kind"), json.loads(read_content(bundle.files[MARKER])).get("kind")
    if kind != wanted:
        raise ValueError(f"{bundle.repo} holds a {kind}: choose another name")
    pushed = (last.get("card"), git_hash(bundle.files[CARD]))
    if CARD in hashes and hashes[CARD] not in pushed and not overwrite_card:
        raise ValueError(
            f"{CARD} of {bundle.repo} was edited on the hub: copy what you want to keep, then "
            "add --overwrite-card"
        )


def describe(bundle: Bundle, plan: Plan) -> str:
    """Say what a push would do, a line for each file."""
    sizes = {
        path: content.stat().st_size if isinstance(content, Path) else len(content)
        for path, content in bundle.files.items()
    }
    lines = [f"{bundle.repo_type} {bundle.repo} on {endpoint()}, {plan.state}:"]
    for word, paths in (("new", plan.new), ("changed", plan.changed), ("same", plan.unchanged)):
        lines += [f"  {word:8}{sizes[path]:>14,}  {path}" for path in paths]
    for word, paths in (("deleted", plan.gone), ("kept", plan.foreign)):
        lines += [f"  {word:8}{'':>14}  {path}" for path in paths]
    if plan.head is None and bundle.sdk == "static":
        lines += [f"  {'deleted':8}{'':>14}  what the hub puts into a new Space"]
    size = sum(sizes[path] for path in plan.sent)
    gone = f", {len(plan.gone)} to delete" if plan.gone else ""
    lines += [f"{len(plan.sent)} files, {size:,} bytes to send{gone}; tag {bundle.tag}"]
    return "\n".join(lines)


def push(bundle: Bundle, plan: Plan, private: bool = False) -> str:
    """Carry a plan out: all files or none, in one commit, and again after an interruption.

    The tag follows in requests of its own, for the hub moves none: one that stood is deleted, then
    made anew. In between, or after a cut there until the next push, readers of the tag find the old
    state or no tag; those of the branch find all that is new.

    Returns:
      What was done, in a line.
    Raises:
      ValueError: one line: no token, no right, no network, a name that is taken, or somebody
        else's push in between.
    """
    if get_token() is None:
        raise ValueError("no token: set HF_TOKEN, or log in with `hf auth login`")
    api, kind, head = HfApi(), bundle.repo_type, plan.head
    with _one_line(bundle.repo):
        if head is None:
            api.create_repo(
                bundle.repo, repo_type=kind, private=private or None, space_sdk=bundle.sdk
            )
            plan = make_plan(bundle, private)  # the hub may have put files of its own there
            head = plan.head
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationDelete(path) for path in plan.gone),
            *(CommitOperationAdd(path, bundle.files[path]) for path in plan.sent),
        ]
        if operations:
            # One commit, where `upload_folder` may make several: readers see the old or the new.
            head = api.create_commit(
                bundle.repo,
                operations,
                commit_message=f"Version {bundle.tag.removeprefix('v')}",
                repo_type=kind,
                parent_commit=head,
            ).oid
        _move_tag(api, bundle, head)
    url = f"{endpoint()}/{'' if kind == 'model' else kind + 's/'}{bundle.repo}"
    gone = f", {len(plan.gone)} deleted" if plan.gone else ""
    done = f"{len(plan.sent)} files sent{gone}"
    if not operations:
        done = "nothing has changed, nothing is sent"
    return f"{url}: {done}; {bundle.tag} is {head}"


def _move_tag(api: HfApi, bundle: Bundle, head: str | None) -> None:
    """Let the tag name the head."""
    refs = api.list_repo_refs(bundle.repo, repo_type=bundle.repo_type)
    target = next((ref.target_commit for ref in refs.tags if ref.name == bundle.tag), None)
    if target == head:
        return
    if target is not None:
        api.delete_tag(bundle.repo, tag=bundle.tag, repo_type=bundle.repo_type)
    api.create_tag(bundle.repo, tag=bundle.tag, revision=head, repo_type=bundle.repo_type)


def push_model(folder: Path, repo: str, private: bool = False) -> str:
    """Publish a finished run: checkpoint, card, results, pictures.

    Returns:
      What was done, in a line.
    Raises:
      ValueError: as `assemble` and `push`.
    """
    with TemporaryDirectory() as scratch:
        bundle = assemble("model", folder, repo, Path(scratch))
        return push(bundle, make_plan(bundle, private), private)


@contextmanager
def _one_line(repo: str) -> Iterator[None]:
    """Raise what goes wrong on the hub or in the network as a ValueError of one line."""
    try:
        yield
    except (HTTPError, OfflineModeIsEnabled, RuntimeError) as error:
        # huggingface_hub wraps what happens to a single file in a RuntimeError.
        cause = error.__cause__ if isinstance(error, RuntimeError) else error
        if not isinstance(cause, HTTPError | OfflineModeIsEnabled):
            raise
        kind = ValueError if isinstance(cause, HfHubHTTPError) else UnreachableError
        raise kind(_format_error(cause, repo)) from None


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
        404: f"{repo} cannot be found any more: push again",
        409: f"the name {repo} is taken, and this token cannot see by what: choose another",
        412: f"{repo} has been pushed to in between: push again",
    }
    reason = " ".join((error.server_message or type(error).__name__).split())
    reason = reason.replace(constants.ENDPOINT, endpoint())
    return messages.get(status, f"the hub answers {status} ({reason}): correct that and push again")
