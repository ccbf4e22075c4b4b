"""Serve a stand-in for the hub, in memory, over HTTP.

It answers what huggingface_hub, transformers, datasets, evaluate and pip ask for when they push and
load, and nothing else: no Xet, no multipart uploads, no redirects, no gates.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fake_hub.repos import LARGE, File, Refused, Repo, User, entries, refuse, small


class Hub(ThreadingHTTPServer):
    """The server: repositories by kind ("models", "datasets", "spaces") and id, objects by SHA-256.

    `requests` lists the "METHOD /path" of all requests. While `cut` is a pattern, the connection of
    each one that it matches is closed in the middle of its body.
    """

    daemon_threads = True

    def __init__(self, tokens: Mapping[str, User], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.tokens = tokens
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut: str | None = None
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running(tokens: Mapping[str, User], port: int = 0) -> Iterator[Hub]:
    """A hub that answers in a thread while the block runs."""
    with Hub(tokens, port) as hub:
        threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}).start()
        try:
            yield hub
        finally:
            hub.shutdown()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        url = urlsplit(self.path)
        request = f"{self.command} {url.path}"
        self.query = parse_qs(url.query)
        length = int(self.headers.get("Content-Length") or 0)
        self.server.requests.append(request)
        if self.server.cut and re.search(self.server.cut, request):
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        self.body = self.rfile.read(length)
        try:
            with self.server.lock:
                self._route(request)
        except Refused as refused:
            status, code, message = refused.args
            headers = {"X-Error-Code": code, "X-Error-Message": message}
            self._send({"error": message}, status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer

    def _route(self, request: str) -> None:
        for pattern, method, *writes in ROUTES:
            if match := re.fullmatch(pattern, request):
                parts = {key: unquote(value or "") for key, value in match.groupdict().items()}
                if "id" in parts:
                    kind, name = parts.pop("kind") or "models", parts.pop("id")
                    self.repo = self._find(kind, name, bool(writes))
                if "revision" in parts:
                    self.sha, self.tree = self.repo.at(parts.pop("revision") or "main")
                getattr(self, method)(**parts)
                return
        refuse(404, f"{request} is nothing that this stand-in knows")

    def _send(self, found: Any, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # Who sends it, and what they may do

    def _user(self) -> User | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.server.tokens:
            refuse(401, "Invalid credentials in Authorization header")
        return self.server.tokens.get(token)

    def _writer(self, namespace: str | None = None) -> User:
        user = self._user()
        if user is None:
            refuse(401, "Invalid username or password.")
        if namespace and not (user.role == "write" and user.inside(namespace)):
            refuse(403, f"You don't have the rights to write into the namespace {namespace!r}")
        return user

    def _find(self, kind: str, name: str, write: bool) -> Repo:
        user, repo = self._user(), self.server.repos.get((kind, name))
        namespace = name.partition("/")[0]
        if repo is None or (repo.private and not (user and user.inside(namespace))):
            refuse(404 if user else 401, "Repository not found", "RepoNotFound")
        if write:
            self._writer(namespace)
        return repo

    # What they ask

    def _whoami(self) -> None:
        user = self._writer()
        auth = {"accessToken": {"role": user.role}}
        self._send({"name": user.name, "orgs": [{"name": org} for org in user.orgs], "auth": auth})

    def _create(self) -> None:
        settings = json.loads(self.body)
        namespace = settings["organization"]
        self._writer(namespace)
        kind, name = settings.get("type", "model") + "s", f"{namespace}/{settings['name']}"
        url = f"{self.server.url}/{'' if kind == 'models' else kind + '/'}{name}"
        if (kind, name) in self.server.repos:
            self._send({"error": "You already created this repo", "url": url}, 409)
            return
        repo = self.server.repos[kind, name] = Repo(name, settings.get("visibility") == "private")
        rules = "".join(f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LARGE)
        files = {".gitattributes": small(rules.encode())}
        if settings.get("sdk") == "static":  # the hub's template
            files |= {name: small(b"hello") for name in ("README.md", "index.html", "style.css")}
        repo.commit(files)
        self._send({"url": url})

    def _validate(self) -> None:
        self._send({"errors": [], "warnings": []})

    def _info(self) -> None:
        found = {"id": self.repo.name, "sha": self.sha, "private": self.repo.private, "tags": []}
        self._send({**found, "siblings": [{"rfilename": path} for path in sorted(self.tree)]})

    def _preupload(self) -> None:
        files = json.loads(self.body)["files"]
        for file in files:
            known = self.tree.get(file["path"])
            file["uploadMode"] = "lfs" if file["path"].endswith(LARGE) else "regular"
            file |= {"shouldIgnore": False, "oid": known.oid if known else None}
        self._send({"files": files})

    def _batch(self) -> None:
        objects = json.loads(self.body)["objects"]
        for wanted in objects:
            if wanted["oid"] not in self.server.objects:
                href = {"href": f"{self.server.url}/objects/{wanted['oid']}"}
                wanted["actions"] = {"upload": href, "verify": href}
        self._send({"transfer": "basic", "objects": objects})

    def _put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            refuse(400, "The content has another hash")
        self.server.objects[oid] = self.body
        self._send({})

    def _verify(self, oid: str) -> None:
        self._send({}, 200 if oid in self.server.objects else 404)

    def _commit(self) -> None:
        tree = dict(self.tree)
        for line in self.body.splitlines():
            key, value = json.loads(line).values()
            if key == "header" and value.get("parentCommit", self.sha) != self.sha:
                refuse(412, "A commit has happened since")
            elif key == "file":
                tree[value["path"]] = small(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                tree[value["path"]] = File(value["oid"], self.server.objects[value["oid"]], True)
            elif key == "deletedFile":
                del tree[value["path"]]
        sha = self.repo.commit(tree)
        url = f"{self.server.url}/{self.repo.name}/commit/{sha}"
        self._send({"commitUrl": url, "commitOid": sha})

    def _list(self, folder: str) -> None:
        deep = self.query.get("recursive") in (["true"], ["True"])
        self._send(entries(self.tree, f"{folder}/".removeprefix("/"), deep))

    def _paths(self) -> None:
        paths = parse_qs(self.body.decode())["paths"]
        self._send([entry for entry in entries(self.tree, "", True) if entry["path"] in paths])

    def _refs(self) -> None:
        kinds = {"branches": {"main": self.repo.commits[-1][0]}, "tags": self.repo.tags}
        found = {
            kind: [{"name": name, "ref": name, "targetCommit": refs[name]} for name in refs]
            for kind, refs in kinds.items()
        }
        self._send({"converts": [], **found})

    def _tag(self) -> None:
        name = json.loads(self.body)["tag"]
        if self.repo.tags.setdefault(name, self.sha) != self.sha:
            refuse(409, f"Tag {name} exists")
        self._send({})

    def _untag(self, name: str) -> None:
        self._send({"deleted": self.repo.tags.pop(name)})

    def _resolve(self, path: str) -> None:
        if path not in self.tree:
            refuse(404, "Entry not found", "EntryNotFound")
        oid, data, large = self.tree[path]
        headers = {"ETag": f'"{oid}"', "X-Repo-Commit": self.sha, "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{oid}"'}
        status = 200
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop = int(span[1]), min(int(span[2] or len(data)) + 1, len(data))
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            status, data = 206, data[start:stop]
        self._send(data, status, headers)


API = "/api/(?P<kind>models|datasets|spaces)/(?P<id>[^/]+/[^/]+)"
PAGE = "/(?:(?P<kind>datasets|spaces)/)?(?P<id>[^/]+/[^/]+)"
REV = "/(?P<revision>[^/]+)"
OID = "/(?P<oid>[0-9a-f]{64})"
ROUTES: list[tuple[str, ...]] = [
    ("GET /api/whoami-v2", "_whoami"),
    ("POST /api/repos/create", "_create"),
    ("POST /api/validate-yaml", "_validate"),
    (f"GET {API}/refs", "_refs"),
    (f"GET {API}(?:/revision{REV})?", "_info"),
    (f"GET {API}/tree{REV}(?P<folder>/.*)?", "_list"),
    (f"POST {API}/paths-info{REV}", "_paths"),
    (f"POST {API}/preupload{REV}", "_preupload", "writes"),
    (rf"POST {PAGE}\.git/info/lfs/objects/batch", "_batch", "writes"),
    (f"PUT /objects{OID}", "_put"),
    (f"POST /objects{OID}", "_verify"),
    (f"POST {API}/commit{REV}", "_commit", "writes"),
    (f"POST {API}/tag{REV}", "_tag", "writes"),
    (f"DELETE {API}/tag/(?P<name>[^/]+)", "_untag", "writes"),
    (f"(?:GET|HEAD) {PAGE}/resolve{REV}/(?P<path>.+)", "_resolve"),
]
"""A request -> the method that answers it."""
