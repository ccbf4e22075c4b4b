"""Say in one line what goes wrong on the hub or on the way to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of any client
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
)

from scripts.publishing.cards import endpoint


class UnreachableError(ValueError):
    """The hub cannot be asked: no network, or none wanted."""


@contextmanager
def one_line(repo: str) -> Iterator[None]:
    """Raise what goes wrong on the hub or on the way as a ValueError of one line."""
    try:
        yield
    except (HTTPError, OfflineModeIsEnabled, RuntimeError) as error:
        # huggingface_hub wraps what happens to a single file in a RuntimeError.
        cause = error.__cause__ if isinstance(error, RuntimeError) else error
        if not isinstance(cause, HTTPError | OfflineModeIsEnabled):
            raise
        kind = ValueError if isinstance(cause, HfHubHTTPError) else UnreachableError
        raise kind(format_error(cause, repo)) from None


def format_error(error: BaseException, repo: str) -> str:
    """Say in one line what went wrong and what helps, without anything that the request carried."""
    owner = repo.partition("/")[0]
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
    return known.get(status, f"the hub answers {status} ({reason}): correct that and push again")
