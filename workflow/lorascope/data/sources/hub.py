"""What the Hugging Face hub is asked, and what its refusals mean."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lorascope.errors import LorascopeError

COMMIT = re.compile(r"^[0-9a-f]{40}$")
SECONDS = 10
LOG_IN = "log in (`hf auth login`)"
# What fails with or without lorascope's doing: the line says what to do about it.
STATUS = {
    401: f"the token is not accepted (401); {LOG_IN}",
    403: f"access is not granted (403); ask for it on the data set's page, or {LOG_IN}",
    404: "there is no such data set or revision (404); check `path` and `revision`",
    429: f"too many requests (429); wait some minutes, or {LOG_IN}",
}
PINNED = "set `revision` to a full commit hash, which needs no network to plan"


def commit_of(path: str, revision: str | None) -> str:
    """Return the commit that a branch or tag of a data set is now, or its default branch for None.

    Raises:
        LorascopeError: the hub cannot be reached, or does not tell.
    """
    if revision is not None and COMMIT.match(revision):
        return revision
    from huggingface_hub import HfApi

    with hub_errors(path, revision):
        return HfApi().dataset_info(path, revision=revision, timeout=SECONDS).sha


@contextmanager
def hub_errors(path: str, revision: str | None) -> Iterator[None]:
    """Turn what the hub's client raises into one line that says what to do."""
    try:
        yield
    except (*hub_exceptions(), ValueError) as error:
        raise LorascopeError(f"{path}: {_reason(error, revision)}") from None


def hub_exceptions() -> tuple[type[Exception], ...]:
    """Return what asking the hub may raise."""
    from huggingface_hub import errors

    # Of the HTTP library, whichever this version of the client has.
    library = sys.modules[errors.HTTPError.__module__.partition(".")[0]]
    return OSError, errors.HTTPError, getattr(library, "InvalidURL", OSError)


def _reason(error: Exception, revision: str | None) -> str:
    from huggingface_hub import errors

    branch = "the default branch" if revision is None else f"'{revision}'"
    told = {
        errors.OfflineModeIsEnabled: (
            f"HF_HUB_OFFLINE forbids to ask which commit {branch} is; unset it, or {PINNED}"
        ),
        errors.RevisionNotFoundError: f"the hub has no branch, tag or commit {branch}; check `revision`",
        errors.GatedRepoError: f"access is restricted; ask for it on the data set's page, and {LOG_IN}",
        errors.RepositoryNotFoundError: (
            f"the hub has no such data set, or it is private; check `path`, or {LOG_IN}"
        ),
        errors.DisabledRepoError: "the hub has disabled this data set; choose another",
        errors.HFValidationError: (
            f"no name of a data set on the hub, nor a folder; check `path` ({_line(error)})"
        ),
    }
    for kind, words in told.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, errors.HfHubHTTPError):
        return _of_status(error.response.status_code, error)
    return f"the hub does not tell which commit {branch} is ({_unreached(error)}); connect, or {PINNED}"


def _of_status(status: int, error: Exception) -> str:
    if status >= 500:
        return f"the hub has a problem of its own ({status}); try again later, or {PINNED}"
    return STATUS.get(status, f"the hub answers: {_line(error)}")


def _unreached(error: Exception) -> str:
    from huggingface_hub import constants

    if any("Timeout" in kind.__name__ for kind in type(error).__mro__):
        return f"no answer from {constants.ENDPOINT} within {SECONDS} s"
    return f"no connection to {constants.ENDPOINT}: {_line(error)}"


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
