"""The binary on a free port with a database of its own, and a receiver that fails the first attempt when asked to."""

import contextlib
import json
import os
import queue
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .tools import ROOT, TARGET, Failed, run

# Far longer than a start or an end takes.
PATIENCE = 30


def binary() -> Path:
    """The binary to test, built if none is named."""
    named = os.environ.get("DATA_PUSHER_BINARY")
    if named:
        return Path(named).resolve()
    run(["cargo", "build", "--locked", "--quiet", "--bin", "data-pusher"], cwd=ROOT)
    return TARGET / "debug" / "data-pusher"


class Receiver(BaseHTTPRequestHandler):
    """`/ok` takes everything; `/fails-first` answers 500 the first time that it sees an event."""

    protocol_version = "HTTP/1.1"
    seen: set[tuple[str, str]] = set()
    lock = threading.Lock()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        event = (self.path, self.headers["webhook-id"])
        with self.lock:
            fails = self.path.startswith("/fails-first") and event not in self.seen
            self.seen.add(event)
        body = b"down" if fails else b"ok"
        self.send_response(500 if fails else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the server's log of attempts says it all."""


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    """A receiver on loopback; gives its URL."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    # Connections that the server keeps alive must not keep it.
    listener.daemon_threads = True
    listener.block_on_close = False
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_address[1]}"
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


@contextlib.contextmanager
def server(program: Path) -> Iterator[tuple[str, str]]:
    """The binary, asking for an admin token; gives its URL and that token."""
    with tempfile.TemporaryDirectory() as folder:
        token = secrets.token_urlsafe(32)
        command = [program, "serve", "--listen", "127.0.0.1:0", "--database", f"{folder}/clients.db"]
        command += ["--allow-network", "127.0.0.0/8", "--log-format", "json", "--shutdown-grace", "1s"]
        # Nobody's own settings, and the token not on the command line.
        env = {name: value for name, value in os.environ.items() if not name.startswith("DATA_PUSHER_")}
        env["DATA_PUSHER_ADMIN_TOKEN"] = token
        child = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        log: list[str] = []
        addresses: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_follow, args=(child, log, addresses))
        reader.start()
        try:
            address = None
            with contextlib.suppress(queue.Empty):
                address = addresses.get(timeout=PATIENCE)
            if address is None:
                raise Failed(f"the server did not start:\n{''.join(log)}")
            try:
                yield f"http://{address}", token
            except Failed as error:
                raise Failed(f"{error}\nserver log:\n{''.join(log[-20:])}") from error
        finally:
            child.terminate()
            try:
                child.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            reader.join()


def _follow(child: "subprocess.Popen[str]", log: list[str], addresses: "queue.Queue[str | None]") -> None:
    for line in child.stdout or ():
        log.append(line)
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict) and record.get("message") == "listening":
                addresses.put(record["address"])
    addresses.put(None)
