"""A stand-in for the Hugging Face hub on loopback: it answers what the real client asks of data sets.

Large files are redirected to another server, as the hub does, so that a token must stay behind.
"""

import hashlib
import io
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import datasets

import published
from lorascope.data.hub.pins import PIN_FILE
from lorascope.files import write_json

API = re.compile(r"/api/datasets/([^/]+/[^/]+)(?:/revision/([^/]+))?$")
RESOLVE = re.compile(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
CDN = re.compile(r"/cdn/([0-9a-f]{64})$")


@dataclass(frozen=True)
class Asked:
    """One request: method, path, bytes wanted, and whether a token came with it."""

    method: str
    path: str
    range: str
    token: str
    host: str


@dataclass
class Fault:
    """What happens to the next requests whose path matches.

    Attributes:
        pattern: searched for in "METHOD path".
        times: to how many requests.
        status, code, headers: the answer; no status leaves the answer as it is.
        seconds: waited first.
        ranges: whether it answers with a part only where one is asked for.
        cut: the body ends after so many bytes, as where a connection breaks.
    """

    pattern: str = ""
    times: int = 1
    status: int = 0
    code: str = ""
    headers: dict = field(default_factory=dict)
    seconds: float = 0
    ranges: bool = True
    cut: int | None = None


@dataclass
class Repository:
    """Commits of a data set, and what its branches are."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)


class Hub:
    """The server; a context, so that it ends with the test."""

    def __init__(self):
        self.repositories: dict[str, Repository] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.gated: set[str] = set()
        self.token = ""
        self._servers = [_Server(self), _Server(self)]
        self.endpoint, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def publish(self, name: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Make a commit, and make it the branch; return it."""
        repository = self.repositories.setdefault(name, Repository())
        about = json.dumps([name, len(repository.commits), {path: _sha256(b) for path, b in files.items()}])
        commit = hashlib.sha1(about.encode()).hexdigest()
        repository.commits[commit] = dict(files)
        repository.branches[branch] = commit
        return commit

    def fail(self, pattern: str = "", **about) -> None:
        """Let something happen to the next requests that match."""
        self.faults.append(Fault(pattern, **about))

    def paths(self, pattern: str = "") -> list[str]:
        """Return "METHOD path" of the requests that match."""
        told = [f"{asked.method} {asked.path}" for asked in self.asked]
        return [words for words in told if re.search(pattern, words)]

    def large(self, digest: str) -> bytes | None:
        """Return the large file of a digest."""
        commits = (files for each in self.repositories.values() for files in each.commits.values())
        return next((b for files in commits for b in files.values() if _sha256(b) == digest), None)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(path: str) -> bool:
    return path.endswith(".parquet")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def do_GET(self):
        self._answer()

    def do_HEAD(self):
        self._answer()

    def _answer(self):
        path = urlsplit(self.path).path
        header = self.headers.get
        asked = Asked(
            self.command, path, header("Range", ""), header("Authorization", ""), header("Host", "")
        )
        self.hub.asked.append(asked)
        fault = self._fault(f"{self.command} {path}")
        self.cut, self.ranges = None, True
        if fault:
            if fault.seconds:
                time.sleep(fault.seconds)
            self.cut, self.ranges = fault.cut, fault.ranges
            if fault.status:
                error = {"X-Error-Code": fault.code} if fault.code else {}
                return self._send(fault.status, b"", {**error, **fault.headers})
        if found := API.fullmatch(path):
            return self._tell(*found.groups())
        if found := RESOLVE.fullmatch(path):
            return self._resolve(*found.groups())
        if (found := CDN.fullmatch(path)) and (content := self.hub.large(found[1])) is not None:
            return self._part(content, {"ETag": f'"{found[1]}"'})
        return self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _fault(self, words: str) -> Fault | None:
        for fault in self.hub.faults:
            if fault.times and re.search(fault.pattern, words):
                fault.times -= 1
                return fault
        return None

    def _commit(self, name: str, revision: str | None) -> str | None:
        """Return the commit; where there is none, answer so."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
            return None
        revision = unquote(revision or "main")
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
            return None
        return commit

    def _tell(self, name: str, revision: str | None):
        if commit := self._commit(name, revision):
            files = self.hub.repositories[name].commits[commit]
            siblings = [_sibling(path, content) for path, content in sorted(files.items())]
            told = {"id": name, "sha": commit, "siblings": siblings, "private": False, "tags": []}
            self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, path: str):
        if not (commit := self._commit(name, revision)):
            return None
        if name in self.hub.gated and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        content = self.hub.repositories[name].commits[commit].get(unquote(path))
        if content is None:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        about = {"X-Repo-Commit": commit}
        if not is_large(path):
            return self._part(content, {**about, "ETag": f'"{_blob(content)}"'})
        digest = _sha256(content)
        about |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        return self._send(302, b"", {**about, "Location": f"{self.hub.cdn}/cdn/{digest}"})

    def _part(self, content: bytes, headers: dict):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not (wanted and self.ranges):
            return self._send(200, content, headers)
        start, stop = int(wanted[1]), int(wanted[2] or len(content) - 1) + 1
        about = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}
        return self._send(206, content[start:stop], {**headers, **about})

    def _send(self, status: int, body: bytes, headers: dict):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.cut is not None and len(body) > self.cut:
            self.wfile.write(body[: self.cut])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def _sibling(path: str, content: bytes) -> dict:
    told = {"rfilename": path, "size": len(content), "blobId": _blob(content)}
    if is_large(path):
        told["lfs"] = {"sha256": _sha256(content), "size": len(content), "pointerSize": 130}
    return told


def parquet(dataset: datasets.Dataset) -> bytes:
    """Return a data set as one parquet file."""
    stream = io.BytesIO()
    dataset.to_parquet(stream)
    return stream.getvalue()


def shards(dataset: datasets.Dataset, count: int, split: str = "train") -> dict[str, bytes]:
    """Return a data set in files as `push_to_hub` writes them."""
    return {
        f"data/{split}-{part:05d}-of-{count:05d}.parquet": parquet(
            dataset.shard(count, part, contiguous=True)
        )
        for part in range(count)
    }


def published_files(n_adapters: int = 40, count: int = 3, seed: int = 0, **about) -> dict[str, bytes]:
    """Return a data set in the published schema, with narrow matrices, as its repository holds it."""
    weights = published.make_weights(n_adapters, published.NARROW, seed=seed, **about)
    dataset = published.make_dataset(weights)
    rest = {"README.md": b"# Adapters\n", ".gitattributes": b"*.parquet filter=lfs\n"}
    return {**shards(dataset, count), **rest}


def write_pin(folder: Path, commit: str, **about) -> None:
    """Write the pin of a data set in the published schema, as planning would."""
    told = {"path": "owner/name", "revision": "main", "split": "train", "commit": commit}
    told |= {"pinned": "2026-01-01T00:00:00+00:00", "endpoint": "https://one"}
    told |= {"files": [{"path": "data/all.parquet", "size": 1, "digest": "0" * 64, "is_large": True}]}
    told |= {"columns": {name: str(values.type) for name, values in published.make_metadata(1).items()}}
    told |= {"matrices": {name: list(shape) for name, shape in published.columns().items()}}
    write_json(folder / PIN_FILE, told | about)
