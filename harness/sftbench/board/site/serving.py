"""Serving the folder of a board, or of several, to a browser on this machine: its files, the records beside it, and
nothing else."""

from __future__ import annotations

from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sftbench.board.site.overview import is_overview
from sftbench.errors import UsageError

LOOPBACK = "127.0.0.1"
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}


class SiteServer(ThreadingHTTPServer):
    """Serves `PARENT/NAME/` for a folder of these names, and the JSON files of `results/` beside `PARENT`.

    A folder of several boards with an overview is `PARENT` itself. In a bundle the records lie in `PARENT/records/`;
    their JSON files are served as well.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.resolve()
        self.top = self.folder.parent if is_overview(self.folder) else self.folder.parent.parent
        self.home = "/" + self.folder.relative_to(self.top).as_posix() + "/"
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def address(self) -> str:
        """Where a browser finds the board."""
        return f"http://{LOOPBACK}:{self.server_port}{self.home}"

    def file_of(self, path: str) -> Path | None:
        """The file for a path of an address; None for what is not served."""
        asked = unquote(urlsplit(path).path)
        wanted = (self.top / asked.lstrip("/")).resolve()
        if asked.endswith("/"):
            wanted = wanted / "index.html"
        records = (self.top / "results", self.folder.parent / "records")
        is_record = wanted.suffix == ".json" and any(map(wanted.is_relative_to, records))
        served = wanted.is_relative_to(self.folder) or is_record
        return wanted if served and wanted.is_file() else None


class _Handler(SimpleHTTPRequestHandler):
    server: SiteServer

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        # A page elsewhere whose name was pointed at this address must not read the board through it.
        if (self.headers.get("Host") or "").rpartition(":")[0] not in (LOOPBACK, "localhost"):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        if self.path == "/":
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", self.server.home)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        try:
            file = self.server.file_of(self.path)
            content = file.read_bytes() if file else None
        except (OSError, ValueError):
            content = file = None
        if file is None or content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{_TYPES.get(file.suffix, 'text/plain')}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads a line per file."""


def server(folder: Path, port: int) -> SiteServer:
    """A server that listens. Raises `UsageError` for a folder without a site and a port that cannot be had."""
    if not (folder / "index.html").is_file():
        raise UsageError(f"no site in '{folder}'; 'bench board build RESULTS --out {folder}' makes one")
    try:
        return SiteServer(folder, port)
    except (OSError, OverflowError) as problem:
        raise UsageError(f"cannot listen on port {port} of {LOOPBACK}: {problem}") from None
