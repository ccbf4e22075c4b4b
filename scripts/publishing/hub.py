"""A bundle -> a repository on the hub that holds it: one commit of what has changed, a tag."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    get_token,
)
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of any client
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from scripts.core.hub_ids import check_token
from scripts.publishing.bundles import MARKER, SIGNS, Bundle, assemble
from scripts.publishing.cards import endpoint

KEPT = (".gitattributes",)
"""The hub's own file, which no bundle has."""

TEMPLATE = {"README.md", "index.html", "style.css"}
"""What the hub writes itself when a repository is created; the last two into static Spaces."""


@dataclass(frozen=True)
class Plan:
    """What a push would do.

    Attributes:
      head: the commit that stands now; None where there is no repository.
      new, changed, unchanged, gone: paths in the repository; those that are gone are deleted.
    """

    head: str | None
    new: list[str]
    changed: list[str]
    unchanged: list[str]
    gone: list[str]

    @property
    def sent(self) -> list[str]:
        """What has to be uploaded."""
        return [*self.new, *self.changed]


def make_plan(bundle: Bundle, private: bool = False) -> Plan:
    """Compare a bundle with what stands on the hub.

    Raises:
      ValueError: the name is taken by something else, the repository is public and shall be
        private, the token cannot be sent, or the hub cannot be asked.
    """
    check_token()
    api = HfApi()
    with one_line(bundle):
        try:
            info = api.repo_info(bundle.repo, repo_type=bundle.repo_type)
        except RepositoryNotFoundError:
            return Plan(None, list(bundle.files), [], [], [])
        entries = api.list_repo_tree(
            bundle.repo, recursive=True, revision=info.sha, repo_type=bundle.repo_type
        )
        there = {
            entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id
            for entry in entries
            if isinstance(entry, RepoFile) and entry.path not in KEPT
        }
    if set(there) - TEMPLATE and MARKER not in there:
        raise ValueError(f"{bundle.repo} is taken by something else: choose another name")
    for sign, kind in SIGNS.items():
        if sign in there and sign not in bundle.files:
            raise ValueError(f"{bundle.repo} holds a {kind}: choose another name")
    if private and not info.private:
        raise ValueError(
            f"{bundle.repo} is public already: make it private in its settings, or push without "
            "--private"
        )
    changed = [p for p in bundle.files if p in there and there[p] not in _hashes(bundle.files[p])]
    return Plan(
        head=info.sha,
        new=[path for path in bundle.files if path not in there],
        changed=changed,
        unchanged=[path for path in bundle.files if path in there and path not in changed],
        gone=[path for path in there if path not in bundle.files],
    )


def _hashes(content: Path | bytes) -> tuple[str, str]:
    """What the hub calls a small file (a git blob) and a large one."""
    data = content.read_bytes() if isinstance(content, Path) else content
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
    return blob.hexdigest(), hashlib.sha256(data).hexdigest()


def size_of(content: Path | bytes) -> int:
    """Bytes of a file of a bundle."""
    return content.stat().st_size if isinstance(content, Path) else len(content)


def describe(bundle: Bundle, plan: Plan) -> str:
    """What a push would do, a line for each file."""
    place = f"{bundle.repo_type} {bundle.repo} on {endpoint()}"
    lines = [f"{place}, {'to be created' if plan.head is None else f'now at {plan.head}'}:"]
    for word, paths in (("new", plan.new), ("changed", plan.changed), ("same", plan.unchanged)):
        lines += [f"  {word:8}{size_of(bundle.files[p]):>14,}  {p}" for p in paths]
    lines += [f"  {'deleted':8}{'':>14}  {path}" for path in plan.gone]
    size = sum(size_of(bundle.files[path]) for path in plan.sent)
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
    with one_line(bundle):
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


def push_model(
    folder: Path,
    repo: str,
    private: bool = False,
    eval_results: bool = False,
    on_the_way: Path | None = None,
) -> str:
    """Publish a run: checkpoint, card, figures, curves.

    Args:
      folder: of the run.
      repo: "owner/name".
      private: for a repository that does not exist yet.
      eval_results, on_the_way: see `assemble`.
    Returns:
      What was done, in a line.
    Raises:
      ValueError: as `assemble` and `push`.
    """
    with TemporaryDirectory() as scratch:
        bundle = assemble("model", folder, repo, Path(scratch), eval_results, on_the_way=on_the_way)
        return push(bundle, make_plan(bundle, private), private)


@contextmanager
def one_line(bundle: Bundle) -> Iterator[None]:
    """Raise what goes wrong on the hub or on the way as a ValueError of one line."""
    try:
        yield
    except (HTTPError, OfflineModeIsEnabled, RuntimeError) as error:
        # huggingface_hub wraps what happens to a single file in a RuntimeError.
        cause = error.__cause__ if isinstance(error, RuntimeError) else error
        if not isinstance(cause, HTTPError | OfflineModeIsEnabled):
            raise
        raise ValueError(_words(cause, bundle)) from None


def _words(error: BaseException, bundle: Bundle) -> str:
    """Value, limit and way out, without anything that the request carried."""
    repo, owner = bundle.repo, bundle.repo.partition("/")[0]
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set: unset it to push"
    if not isinstance(error, HfHubHTTPError):
        return (
            f"{endpoint()} cannot be reached ({type(error).__name__}): check the "
            "network and push again; until then main is the old state or the new one, whole"
        )
    status = error.response.status_code
    known = {
        401: "the token is not accepted: make a new one that may write and set HF_TOKEN",
        403: f"the token may not write to {repo}: use one with the right to write for {owner}",
        404: f"{repo} cannot be found any more: push again",
        409: f"the name {repo} is taken, and this token cannot see by what: choose another",
        412: f"{repo} has been pushed to in between: push again",
    }
    reason = " ".join((error.server_message or type(error).__name__).split())
    reason = reason.replace(constants.ENDPOINT, endpoint())
    return known.get(status, f"the hub answers {status} ({reason}): push again, or mend that")
