"""A hub of one's own on the loopback: what the Hugging Face hub's client asks over HTTP, and how that can fail."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """What a repository has, and who may see it."""

    files: dict[str, bytes] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    listed: list[str] | None = None
    token: str | None = None
    is_gated: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)
    is_private: bool = False


@dataclass
class Hub:
    """The server's state, which tests set and read.

    Attributes:
        repositories: id -> what it has.
        asked: "METHOD path" of each request, in its order.
        bytes_sent: path -> how many bytes of files went out.
        failures: part of "METHOD path" -> (status, headers) of the next answers, each given once.
        breaks: part of a path -> after how many bytes its next download ends.
        tokens: what came as authorization, of each request.
        stored: what was uploaded as a large file, by its hash.
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bytes_sent: dict[str, int] = field(default_factory=dict)
    failures: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    breaks: dict[str, int] = field(default_factory=dict)
    tokens: list[str | None] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)

    def fetched(self) -> set[str]:
        """The files whose contents were asked for, wherever they were sent from."""
        return {one.rpartition("/")[2] for one in self.asked if one.startswith("GET /") and "/api/" not in one}


class Answer(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  # the library's names

    # -- answers -----------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.tokens.append(self.headers.get("Authorization"))
        for part, waiting in self.hub.failures.items():
            if part in f"{self.command} {path}" and waiting:
                status, headers = waiting.pop(0)
                return self._send(status, b"", headers)
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            return self._api(parts[1:])
        if parts[0] in ("cdn", "lfs"):
            return self._large(*parts)
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._batch()
        return self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))

    def _api(self, parts: list[str]) -> None:
        if parts == ["whoami-v2"]:
            return self._json({"name": "some-owner", "type": "user"})
        if parts[:2] == ["repos", "create"]:
            said = json.loads(self.body)
            name = f"{said.get('organization') or 'some-owner'}/{said['name']}"
            if name in self.hub.repositories:
                return self._json({"url": f"{self.hub.url}/{name}"}, 409)
            self.hub.repositories[name] = Repository(is_private=bool(said.get("private")))
            return self._json({"url": f"{self.hub.url}/{name}"})
        if parts == ["validate-yaml"]:
            return self._json({"errors": [], "warnings": []})
        name, rest = "/".join(parts[1:3]), parts[3:]
        found = self._visible(name)
        if found is None:
            return None
        if rest[:1] == ["preupload"]:
            files = json.loads(self.body)["files"]
            large = (".safetensors", ".bin", ".h5", ".msgpack")
            told = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(large) else "regular",
                    "shouldIgnore": False,
                }
                for one in files
            ]
            return self._json({"files": told})
        if rest[:1] == ["branch"]:
            found.commits[rest[1]] = COMMIT
            return self._json({})
        if rest[:1] == ["commit"]:
            return self._commit(name, found)
        commit = self._commit_of(found, rest[1] if rest else "main")
        if commit is None:
            return None
        if rest[:1] == ["tree"]:
            inside = "/".join(rest[2:])
            return self._json(
                [
                    {"type": "file", "path": one, "size": len(content), "oid": "0" * 40}
                    for one, content in found.files.items()
                    if one.startswith(inside)
                ]
            )
        names = list(found.files) if found.listed is None else found.listed
        siblings = [{"rfilename": one} for one in names]
        return self._json({"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        found = self._visible(name)
        if found is None:
            return None
        commit = self._commit_of(found, revision)
        if commit is None:
            return None
        if file not in found.files:
            return self._refuse(404, "EntryNotFound")
        content = found.files[file]
        told = {"X-Repo-Commit": commit}
        sha = hashlib.sha256(content).hexdigest()
        if file.endswith((".safetensors", ".bin", ".h5", ".msgpack")):
            told |= {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{sha}"'}
            return self._send(302, b"", {**told, "Location": f"{self.hub.url}/cdn/{name}/{file}"})
        return self._send(200, content, {**told, "ETag": f'"{sha[:40]}"'})

    def _large(self, kind: str, *parts: str) -> None:
        if self.command == "PUT":
            self.hub.stored[parts[0]] = self.body
            return self._send(200, b"", {"ETag": '"x"'})
        content = self.hub.repositories["/".join(parts[:2])].files["/".join(parts[2:])]
        path, start, status, told = f"/{kind}/{'/'.join(parts)}", 0, 200, {"ETag": '"of-the-cdn"'}
        if asked := self.headers.get("Range"):
            self.hub.ranges.append(asked)
            start, status = int(asked.removeprefix("bytes=").split("-")[0]), 206
            told["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        whole = content[start:]
        end = next((self.hub.breaks.pop(part) for part in [*self.hub.breaks] if part in path), len(whole))
        self.send_response(status)
        for header, value in {**told, "Content-Length": str(len(whole))}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(whole[:end])
        self.hub.bytes_sent[path] = self.hub.bytes_sent.get(path, 0) + len(whole[:end])
        self.close_connection = end < len(whole)
        return None

    def _batch(self) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}
            for one in json.loads(self.body)["objects"]
        ]
        return self._json({"objects": objects, "transfer": "basic"})

    def _commit(self, name: str, found: Repository) -> None:
        for line in self.body.decode().strip().split("\n"):
            said = json.loads(line)
            value = said["value"]
            if said["key"] == "header":
                found.messages.append(value | {"query": urlsplit(self.path).query})
            elif said["key"] == "file":
                found.files[value["path"]] = base64.b64decode(value["content"])
            elif said["key"] == "deletedFile":
                del found.files[value["path"]]
            elif said["key"] == "lfsFile":
                found.files[value["path"]] = self.hub.stored[value["oid"]]
        told = {"commitUrl": f"{self.hub.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT, "success": True}
        if "create_pr=1" in self.path:
            told["pullRequestUrl"] = f"{self.hub.url}/{name}/discussions/1"
        return self._json(told)

    # -- pieces ------------------------------------------------------------------------------------------------------

    def _visible(self, name: str) -> Repository | None:
        found = self.hub.repositories.get(name)
        given = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if found is None:
            self._refuse(404 if given else 401, "RepoNotFound")
        elif found.is_gated:
            self._refuse(403, "GatedRepo")
        elif found.token and not given:
            self._refuse(401, "RepoNotFound")
        elif found.token and given != found.token:
            self._refuse(401, None, "Invalid credentials in Authorization header")
        else:
            return found
        return None

    def _commit_of(self, found: Repository, revision: str) -> str | None:
        commit = found.commits.get(revision, revision if revision in found.commits.values() else None)
        if commit is None:
            self._refuse(404, "RevisionNotFound")
        return commit

    def _refuse(self, status: int, code: str | None, message: str = "") -> None:
        # Servers echo what they were sent, some of them.
        told = {"X-Error-Message": f"{message or code}, you sent {self.headers.get('Authorization')}"}
        if message:
            told["X-Error-Message"] = message
        if code:
            told["X-Error-Code"] = code
        self._send(status, b"", told)

    def _json(self, content: Any, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def serve() -> tuple[Hub, ThreadingHTTPServer]:
    """Start a hub in a thread; `shutdown` and `server_close` of the second end it."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Answer,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return hub, server
