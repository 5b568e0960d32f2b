"""A Hugging Face Hub on this machine: repositories of small files, with the requests that huggingface_hub makes."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Commits = dict[str, dict[str, bytes]]


class Hub(ThreadingHTTPServer):
    """``repositories``: files by name, by commit, by repository; the last commit is ``main``.

    ``requests``: method and path of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Commits] = {}
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        """Of HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """Add files to a repository, and return the commit."""
        commits = self.repositories.setdefault(repository, {})
        whole = {**(list(commits.values())[-1] if commits else {}), **files}
        digest = hashlib.sha1(repr(sorted((k, hashlib.sha1(v).hexdigest()) for k, v in whole.items())).encode())
        commits[digest.hexdigest()] = whole
        return digest.hexdigest()

    def found(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit of a revision and its files."""
        commits = self.repositories.get(repository, {})
        if revision == "main" and commits:
            return list(commits.items())[-1]
        return (revision, commits[revision]) if revision in commits else None


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """No output."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        self.server.requests.append(f"POST {self.path}")
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = self.path.partition("?")[0].strip("/").split("/")
        if self.path == "/api/repos/create":
            asked = json.loads(sent)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.server.repositories.setdefault(name, {})
            self._json({"url": f"{self.server.address}/{name}", "name": name})
        elif self.path == "/api/validate-yaml":
            self._json({"warnings": [], "errors": []})
        elif parts[:2] == ["api", "models"] and parts[4:5] == ["preupload"]:
            files = json.loads(sent)["files"]
            self._json({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        elif parts[:2] == ["api", "models"] and parts[4:5] == ["commit"]:
            lines = [json.loads(line) for line in sent.splitlines() if line.strip()]
            files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            name = "/".join(parts[2:4])
            commit = self.server.commit(name, files)
            self._json({"commitUrl": f"{self.server.address}/{name}/commit/{commit}", "commitOid": commit})
        else:
            self._error(404, "EntryNotFound")

    def _answer(self, *, body: bool) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            name, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main"
            found = self.server.found(name, revision)
            if found is None:
                self._error(404, "RepoNotFound" if name not in self.server.repositories else "RevisionNotFound")
                return
            commit, files = found
            if parts[4:5] == ["tree"]:
                rows = [
                    {"type": "file", "path": key, "size": len(value), "oid": hashlib.sha1(value).hexdigest()}
                    for key, value in files.items()
                ]
                self._json(rows)
                return
            self._json({"id": name, "sha": commit, "siblings": [{"rfilename": key} for key in files]})
        elif parts[2:3] == ["resolve"]:
            found = self.server.found("/".join(parts[:2]), parts[3])
            content = None if found is None else found[1].get("/".join(parts[4:]))
            if found is None or content is None:
                self._error(404, "EntryNotFound")
                return
            self.send_response(200)
            self.send_header("X-Repo-Commit", found[0])
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)
        else:
            self._error(404, "EntryNotFound")

    def _json(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _error(self, code: int, kind: str) -> None:
        self.send_response(code)
        self.send_header("X-Error-Code", kind)
        self.send_header("X-Error-Message", kind)
        self.send_header("Content-Length", "0")
        self.end_headers()
