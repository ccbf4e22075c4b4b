"""Tokens -> a stand-in for the hub, in memory, over HTTP: `python -m tests.hub.server --port 8000`.

It answers what huggingface_hub, transformers, datasets, evaluate and pip ask for when they push and
load, and nothing else: no Xet, no multipart uploads, no redirects, no gates.
"""

import argparse
import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".parquet", ".safetensors", ".png", ".whl")
"""Endings of files that are sent as large objects, by their hash."""


class User(NamedTuple):
    """Whom a token belongs to."""

    name: str
    orgs: tuple[str, ...] = ()
    role: str = "write"


class File(NamedTuple):
    """A file in a commit: what it is called by, and its bytes."""

    oid: str
    data: bytes
    large: bool


@dataclass
class Repo:
    """Commits, oldest first, as (sha, {path: file}); names of revisions."""

    private: bool
    commits: list[tuple[str, dict[str, File]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, tree: dict[str, File]) -> str:
        """Add a commit and return its hash."""
        parts = [self.commits[-1][0] if self.commits else "", *(f"{p} {tree[p].oid}" for p in tree)]
        self.commits.append((hashlib.sha1("\n".join(parts).encode()).hexdigest(), tree))
        return self.commits[-1][0]


class Refused(Exception):  # noqa: N818
    """An answer that is no success."""


class Hub(ThreadingHTTPServer):
    """The server.

    Attributes:
      tokens: who may come in.
      repos: by kind ("models", "datasets", "spaces") and id.
      objects: large files, by SHA-256.
      requests: "METHOD /path" of each request, in order.
      received: bytes of their bodies.
      cut: a pattern; while it is set, the connection of each request whose "METHOD /path" it
        matches is closed in the middle of the body.
    """

    daemon_threads = True

    def __init__(self, tokens: Mapping[str, User], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.tokens = tokens
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.received = 0
        self.cut: str | None = None
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """What clients take as HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running(tokens: Mapping[str, User]) -> Iterator[Hub]:
    """A hub that answers in a thread while the block runs."""
    with Hub(tokens) as hub:
        threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}).start()
        try:
            yield hub
        finally:
            hub.shutdown()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        request = f"{self.command} {url.path}"
        length = int(self.headers.get("Content-Length") or 0)
        self.server.requests.append(request)
        if self.server.cut and re.search(self.server.cut, request):
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        self.body = self.rfile.read(length)
        self.server.received += length
        try:
            with self.server.lock:
                self._route(request)
        except Refused as refused:
            status, code, message = refused.args
            found = {"X-Error-Code": code, "X-Error-Message": message}
            self._send(status, json.dumps({"error": message}).encode(), found)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def _route(self, request: str) -> None:
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, request):
                parts = {key: unquote(value or "") for key, value in match.groupdict().items()}
                found = getattr(self, method)(**parts)
                if found is not None:
                    self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"})
                return
        _refuse(404, f"{request} is nothing that this stand-in knows")

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # Who asks, and what they may do

    def _user(self) -> User | None:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer":
            return None
        if token not in self.server.tokens:
            _refuse(401, "Invalid credentials in Authorization header")
        return self.server.tokens[token]

    def _writer(self, namespace: str) -> None:
        user = self._user()
        if user is None:
            _refuse(401, "Invalid username or password.")
        if user.role != "write" or namespace not in (user.name, *user.orgs):
            _refuse(403, f"You don't have the rights to write into the namespace {namespace!r}")

    def _repo(self, kind: str, id: str, write: bool = False) -> Repo:
        user, repo = self._user(), self.server.repos.get((kind or "models", id))
        namespace = id.partition("/")[0]
        seen = user is not None and namespace in (user.name, *user.orgs)
        if repo is None or (repo.private and not seen):
            _refuse(404 if user else 401, "Repository not found", "RepoNotFound")
        if write:
            self._writer(namespace)
        return repo

    def _tree(self, repo: Repo, revision: str) -> tuple[str, dict[str, File]]:
        sha = repo.tags.get(revision, repo.commits[-1][0] if revision == "main" else revision)
        found = dict(repo.commits).get(sha)
        if found is None:
            _refuse(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha, found

    # What they ask

    def _whoami(self) -> Any:
        user = self._user()
        if user is None:
            _refuse(401, "Invalid username or password.")
        orgs = [{"name": org} for org in user.orgs]
        auth = {"accessToken": {"role": user.role}}
        return {"type": "user", "name": user.name, "orgs": orgs, "auth": auth}

    def _create(self) -> Any:
        asked = json.loads(self.body)
        user = self._user()
        namespace = asked.get("organization") or (user.name if user else "")
        self._writer(namespace)
        kind, id = asked.get("type", "model") + "s", f"{namespace}/{asked['name']}"
        url = f"{self.server.url}/{'' if kind == 'models' else kind + '/'}{id}"
        if (kind, id) in self.server.repos:
            taken = {"error": "You already created this repo", "url": url}
            self._send(409, json.dumps(taken).encode(), {})
            return None
        repo = self.server.repos[kind, id] = Repo(asked.get("visibility") == "private")
        rules = "".join(f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LARGE).encode()
        repo.commit({".gitattributes": _small(rules)})
        return {"url": url}

    def _validate(self) -> Any:
        return {"errors": [], "warnings": []}

    def _info(self, kind: str, id: str, revision: str) -> Any:
        repo = self._repo(kind, id)
        sha, tree = self._tree(repo, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(tree)]
        return {"id": id, "sha": sha, "private": repo.private, "siblings": siblings, "tags": []}

    def _preupload(self, kind: str, id: str, revision: str) -> Any:
        _, tree = self._tree(self._repo(kind, id, write=True), revision)
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
                "oid": tree[file["path"]].oid if file["path"] in tree else None,
            }
            for file in json.loads(self.body)["files"]
        ]
        return {"files": files}

    def _batch(self, kind: str, id: str) -> Any:
        self._repo(kind, id, write=True)
        objects = []
        for asked in json.loads(self.body)["objects"]:
            if asked["oid"] not in self.server.objects:
                place = f"{self.server.url}/objects/{asked['oid']}"
                asked["actions"] = {"upload": {"href": place}, "verify": {"href": place}}
            objects.append(asked)
        return {"transfer": "basic", "objects": objects}

    def _put(self, oid: str) -> Any:
        if hashlib.sha256(self.body).hexdigest() != oid:
            _refuse(400, "The content has another hash")
        self.server.objects[oid] = self.body
        return {}

    def _verify(self, oid: str) -> Any:
        if len(self.server.objects.get(oid, b"")) != json.loads(self.body)["size"]:
            _refuse(404, "The object is not here")
        return {}

    def _commit(self, kind: str, id: str, revision: str) -> Any:
        repo = self._repo(kind, id, write=True)
        head, tree = self._tree(repo, revision)
        tree = dict(tree)
        for line in self.body.splitlines():
            key, value = json.loads(line).values()
            if key == "header" and value.get("parentCommit", head) != head:
                _refuse(412, "A commit has happened since")
            elif key == "file":
                tree[value["path"]] = _small(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                tree[value["path"]] = File(value["oid"], self.server.objects[value["oid"]], True)
            elif key == "deletedFile":
                del tree[value["path"]]
        sha = repo.commit(tree)
        return {"commitUrl": f"{self.server.url}/{id}/commit/{sha}", "commitOid": sha}

    def _list(self, kind: str, id: str, revision: str, folder: str) -> Any:
        _, tree = self._tree(self._repo(kind, id), revision)
        prefix = folder.strip("/") + "/" if folder.strip("/") else ""
        deep = self.query.get("recursive", "").lower() in ("1", "true")
        return _entries(tree, prefix, deep)

    def _paths(self, kind: str, id: str, revision: str) -> Any:
        _, tree = self._tree(self._repo(kind, id), revision)
        form = self.body.decode()
        paths = json.loads(form)["paths"] if form.startswith("{") else parse_qs(form)["paths"]
        return [entry for entry in _entries(tree, "", True) if entry["path"] in paths]

    def _refs(self, kind: str, id: str) -> Any:
        repo = self._repo(kind, id)
        heads = {"main": repo.commits[-1][0]}
        return {
            "branches": [_ref("heads", name, sha) for name, sha in heads.items()],
            "tags": [_ref("tags", name, sha) for name, sha in repo.tags.items()],
            "converts": [],
        }

    def _tag(self, kind: str, id: str, revision: str) -> Any:
        repo, name = self._repo(kind, id, write=True), json.loads(self.body)["tag"]
        if name in repo.tags:
            _refuse(409, f"Tag {name} exists")
        repo.tags[name] = self._tree(repo, revision)[0]
        return {}

    def _untag(self, kind: str, id: str, revision: str) -> Any:
        self._repo(kind, id, write=True).tags.pop(revision)
        return {}

    def _resolve(self, kind: str, id: str, revision: str, path: str) -> None:
        sha, tree = self._tree(self._repo(kind, id), revision)
        if path not in tree:
            _refuse(404, "Entry not found", "EntryNotFound")
        file = tree[path]
        headers = {"ETag": f'"{file.oid}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if file.large:
            headers |= {"X-Linked-Size": str(len(file.data)), "X-Linked-ETag": f'"{file.oid}"'}
        status, data = 200, file.data
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop = int(match[1]), min(int(match[2] or len(data)) + 1, len(data))
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            status, data = 206, data[start:stop]
        self._send(status, data, headers)


def _refuse(status: int, message: str, code: str = "") -> NoReturn:
    raise Refused(status, code, message)


def _small(data: bytes) -> File:
    return File(hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), data, False)


def _ref(kind: str, name: str, sha: str) -> dict[str, str]:
    return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}


def _entries(tree: Mapping[str, File], prefix: str, deep: bool) -> list[dict[str, Any]]:
    """The files below a prefix, or, not deep, its own files and folders."""
    found: dict[str, dict[str, Any]] = {}
    for path, file in sorted(tree.items()):
        parts = path.removeprefix(prefix).split("/")
        if not path.startswith(prefix):
            continue
        for i in range(1, len(parts)) if deep else range(1, min(len(parts), 2)):
            folder = prefix + "/".join(parts[:i])
            found[folder] = {"type": "directory", "path": folder, "size": 0, "oid": "0" * 40}
        if deep or len(parts) == 1:
            found[path] = {"type": "file", "path": path, "size": len(file.data), "oid": file.oid}
            if file.large:
                size = len(file.data)
                found[path]["lfs"] = {"oid": file.oid, "size": size, "pointerSize": 130}
    return list(found.values())


API = "/api/(?P<kind>models|datasets|spaces)/(?P<id>[^/]+/[^/]+)"
PAGE = "/(?:(?P<kind>datasets|spaces)/)?(?P<id>[^/]+/[^/]+)"
REV = "/(?P<revision>[^/]+)"
ROUTES = [
    ("GET /api/whoami-v2", "_whoami"),
    ("POST /api/repos/create", "_create"),
    ("POST /api/validate-yaml", "_validate"),
    (f"GET {API}(?:/revision{REV})?", "_info"),
    (f"POST {API}/preupload{REV}", "_preupload"),
    (rf"POST {PAGE}\.git/info/lfs/objects/batch", "_batch"),
    ("PUT /objects/(?P<oid>[0-9a-f]{64})", "_put"),
    ("POST /objects/(?P<oid>[0-9a-f]{64})", "_verify"),
    (f"POST {API}/commit{REV}", "_commit"),
    (f"GET {API}/tree{REV}(?P<folder>/.*)?", "_list"),
    (f"POST {API}/paths-info{REV}", "_paths"),
    (f"GET {API}/refs", "_refs"),
    (f"POST {API}/tag{REV}", "_tag"),
    (f"DELETE {API}/tag{REV}", "_untag"),
    (f"(?:GET|HEAD) {PAGE}/resolve{REV}/(?P<path>.+)", "_resolve"),
]
"""A request -> the method that answers it."""


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--token", default="hf_local", help="the one that may write")
    parser.add_argument("--org", default="vsc", help="the organisation that it may write into")
    arguments = parser.parse_args()
    with Hub({arguments.token: User("tester", (arguments.org,))}, arguments.port) as hub:
        print(f"export HF_ENDPOINT={hub.url} HF_HUB_DISABLE_XET=1", flush=True)
        try:
            hub.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
