"""What the Hugging Face hub is asked, how long it is waited for, and what its refusals mean."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar

from lorascope.errors import LorascopeError

COMMIT = re.compile(r"^[0-9a-f]{40}$")
SECONDS = 10
# Before each further try.
WAITS = (1, 2, 4, 8)
LOG_IN = "log in (`hf auth login`)"
ACCEPT = f"accept the terms on the data set's page and {LOG_IN}"
CONNECT = "connect and run again; what is downloaded is kept"
# What fails with or without lorascope's doing: the line says what to do about it.
STATUS = {
    401: f"the token is not accepted (401); {LOG_IN}",
    403: f"access is not granted (403); {ACCEPT}",
    404: "there is no such data set or revision (404); check `path` and `revision`",
    429: f"too many requests (429); wait some minutes, or {LOG_IN}",
}
_RESET = re.compile(r"\bt=(\d+)")

Answer = TypeVar("Answer")


class HubFile(NamedTuple):
    """A file of a data set on the hub.

    Attributes:
        path: its path in the repository.
        size: bytes.
        digest: SHA-256 of a large file, id of the git blob of a small one.
        is_large: which of the two.
    """

    path: str
    size: int
    digest: str
    is_large: bool


class Listing(NamedTuple):
    """A commit of a data set and its files."""

    commit: str
    files: tuple[HubFile, ...]


def look_up(path: str, revision: str | None) -> Listing:
    """Return the commit that a revision of a data set is now (the default branch for None), and its files.

    Raises:
        LorascopeError: the hub cannot be reached, or does not tell.
    """
    from huggingface_hub import HfApi

    def ask():
        return HfApi().dataset_info(path, revision=revision, files_metadata=True, timeout=SECONDS)

    with hub_errors(path, revision):
        info = patiently(ask, path)
        files = tuple(map(_file, info.siblings or ()))
    return Listing(info.sha, files)


def _file(sibling) -> HubFile:
    if sibling.lfs:
        return HubFile(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256, True)
    return HubFile(sibling.rfilename, sibling.size, sibling.blob_id, False)


@contextmanager
def opened(path: str, commit: str, name: str, start: int, stop: int | None = None) -> Iterator:
    """Open a part of a file on the hub: bytes from ``start`` to before ``stop``, or to its end.

    Yields:
        The response, with status 200 instead of 206 where the answer is the whole file.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(path, name, repo_type="dataset", revision=commit)
    wanted = f"bytes={start}-{'' if stop is None else stop - 1}"
    headers = {**build_hf_headers(), "Range": wanted, "Accept-Encoding": "identity"}
    with get_session().stream("GET", url, headers=headers, timeout=SECONDS) as response:
        hf_raise_for_status(response)
        yield response


def read_range(path: str, commit: str, name: str, start: int, stop: int) -> bytes:
    """Read bytes ``start`` to before ``stop`` of a file on the hub.

    Raises:
        LorascopeError: it cannot be reached.
    """

    def ask() -> bytes:
        with opened(path, commit, name, start, stop) as response:
            content = response.read()
        return content if response.status_code == 206 else content[start:stop]

    with hub_errors(path, commit):
        return patiently(ask, path)


def patiently(ask: Callable[[], Answer], path: str) -> Answer:
    """Ask until the hub answers: again when it says, or after a problem of its own, a few times."""
    from huggingface_hub.errors import HfHubHTTPError

    for wait in WAITS:
        try:
            return ask()
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status != 429 and status < 500:
                raise
            told = _told_wait(error.response.headers)
            wait = wait if told is None else told
            log_line(f"{path}: the hub answers {status}; asking again in {wait:g} s")
        time.sleep(wait)
    return ask()


def log_line(line: str) -> None:
    """Print a line to the log, or to the terminal while a study is planned."""
    print(line, file=sys.stderr, flush=True)


def _told_wait(headers) -> float | None:
    """Return how many seconds the hub asks to wait, in either of its headers."""
    told = headers.get("Retry-After", "").strip()
    if told.isdigit():
        return int(told)
    if told:
        try:
            return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
        except ValueError:
            return None
    found = _RESET.search(headers.get("RateLimit", ""))
    return int(found[1]) if found else None


@contextmanager
def hub_errors(path: str, revision: str | None) -> Iterator[None]:
    """Turn what the hub's client raises into one line that says what to do."""
    try:
        yield
    except (*connection_errors(), ValueError) as error:
        if (
            isinstance(error, OSError)
            and error.errno
            and not isinstance(error, ConnectionError | TimeoutError)
        ):
            raise  # of this machine: the disk is full
        raise LorascopeError(f"{path}: {_reason(error, revision)}") from None


def connection_errors() -> tuple[type[Exception], ...]:
    """Return what asking the hub may raise."""
    from huggingface_hub import errors

    # Of the HTTP library, whichever this version of the client has.
    library = sys.modules[errors.HTTPError.__module__.partition(".")[0]]
    return OSError, errors.HTTPError, library.InvalidURL


def _reason(error: Exception, revision: str | None) -> str:
    from huggingface_hub import errors

    branch = "the default branch" if revision is None else f"'{revision}'"
    told = {
        errors.OfflineModeIsEnabled: "HF_HUB_OFFLINE forbids to ask the hub; unset it and run again",
        errors.RevisionNotFoundError: f"the hub has no branch, tag or commit {branch}; check `revision`",
        errors.GatedRepoError: f"access is restricted; {ACCEPT}",
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
    return f"the hub does not answer ({_unreached(error)}); {CONNECT}"


def _of_status(status: int, error: Exception) -> str:
    if status >= 500:
        return f"the hub has a problem of its own ({status}); run again later; what is downloaded is kept"
    return STATUS.get(status, f"the hub answers: {_line(error)}")


def _unreached(error: Exception) -> str:
    from huggingface_hub import constants

    if any("Timeout" in kind.__name__ for kind in type(error).__mro__):
        return f"no answer from {constants.ENDPOINT} within {SECONDS} s"
    return f"no connection to {constants.ENDPOINT}: {_line(error)}"


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
