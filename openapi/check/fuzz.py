"""Runs schemathesis against the real binary: with all its checks with the admin token and under --dev, and with those of
answers with a token of each role, for all accounts and for one.

The URLs that it makes up for destinations may lead anywhere, so everything runs in a network namespace that has nothing
but loopback. Where the kernel lets nobody make one, the operations that take a URL are left out instead.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
TAKING_URLS = "^(create|replace|update)Destination$"


def enter_namespace() -> bool:
    """Moves this process into a network namespace with loopback only; whether that is allowed here."""
    user, group = os.getuid(), os.getgid()
    clone_newuser, clone_newnet = 0x10000000, 0x40000000
    if sys.platform != "linux" or ctypes.CDLL(None).unshare(clone_newuser | clone_newnet) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    raise_loopback()
    return True


def raise_loopback() -> None:
    import fcntl
    import socket
    import struct

    set_flags, up_loopback_running = 0x8914, 0x49
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", up_loopback_running))


@contextmanager
def server(binary: Path, folder: Path, flags: list[str]) -> Iterator[str]:
    """The binary on a free port, with a file of its own, until the block ends; its base URL."""
    command = [binary, "serve", "--listen", "127.0.0.1:0", "--database", folder / "fuzz.db", "--log-format", "json", *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATA_PUSHER_")}
    log = folder / "log"
    with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr, env=environment) as process:
        try:
            yield f"http://{listening(process, log)}"
            if process.poll() is not None:
                raise SystemExit(f"the server ended with {process.returncode}:\n{log.read_text()}")
        finally:
            process.terminate()
            process.wait(timeout=60)


def listening(process: subprocess.Popen, log: Path) -> str:
    """Waits for the line of the log that says where it listens."""
    while process.poll() is None:
        for line in log.read_text().splitlines():
            if line.endswith("}") and json.loads(line)["message"] == "listening":
                return json.loads(line)["address"]
        time.sleep(0.02)
    raise SystemExit(f"the server does not listen:\n{log.read_text()}")


def seed(base: str, admin_token: str) -> dict[str, str]:
    """An account with a destination on loopback where nobody listens, and an event for it; ids for `hooks.py`."""

    def post(path: str, body: object, **headers: str) -> dict:
        headers |= {"Content-Type": "application/json", "Authorization": f"Bearer {admin_token}"}
        request = urllib.request.Request(base + path, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    account = post("/v1/accounts", {"email": "seed@example.com", "account_name": "Seed"})
    target = {"url": "http://127.0.0.1:9/", "http_method": "POST", "headers": {}}
    destination = post(f"/v1/accounts/{account['account_id']}/destinations", target)
    token = account["app_secret_token"]
    event = post("/server/incoming_data", {"order_id": 1042}, **{"CL-XTOKEN": token})
    viewer = post("/v1/tokens", {"name": "Seed", "role": "viewer"})
    return {
        "APP_TOKEN": token,
        "SEED_TOKEN_ID": viewer["token_id"],
        "SEED_ACCOUNT_ID": account["account_id"],
        "SEED_DESTINATION_ID": destination["destination_id"],
        "SEED_EVENT_ID": event["event_id"],
        "SEED_DELIVERY_ID": event["deliveries"][0]["delivery_id"],
    }


# A role, whether its token is for one account, and which share of the examples it gets: what it may send is fuzzed with
# the admin token already.
ROLES = [("viewer", False), ("viewer", True), ("operator", False), ("admin", True)]
SHARE = 5


def ask(base: str, token: str, path: str, body: object = None) -> dict:
    """The answer to a request with a token; it must be a success."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(base + path, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


# What changes by itself: attempts go on meanwhile.
RESTLESS = {"attempt_count", "error", "failing_since", "held_until", "last_used_at", "next_attempt_at", "next_send_at",
            "status_code", "updated_at", "deliveries", "last_attempt_at"}


def everything(base: str, owner: str) -> list:
    """All that the lists show, without what changes by itself."""
    accounts = ask(base, owner, "/v1/accounts?limit=200")["items"]
    paths = [f"/v1/accounts/{one['account_id']}/{what}" for one in accounts for what in ("destinations", "events")]
    lists = [accounts] + [ask(base, owner, f"{path}?limit=200")["items"] for path in paths]
    lists += [ask(base, owner, f"{path}?limit=200")["items"] for path in ("/v1/deliveries", "/v1/tokens")]
    return [[{name: value for name, value in item.items() if name not in RESTLESS} for item in items] for items in lists]


def fuzz_role(binary: Path, examples: int, role: str, of_one: bool, contained: bool) -> int:
    """One run with a token of a role, and whether a viewer has left everything as it was; an exit code."""
    flags = ["--allow-network", "127.0.0.0/8"]
    with tempfile.TemporaryDirectory() as folder, server(binary, Path(folder), flags) as base:
        owner = (Path(folder) / "fuzz.db.admin-token").read_text().strip()
        seeded = seed(base, owner)
        other = ask(base, owner, "/v1/accounts", {"email": "other@example.com", "account_name": "Other"})
        wanted = {"name": "fuzz", "role": role} | ({"account_id": seeded["SEED_ACCOUNT_ID"]} if of_one else {})
        token = ask(base, owner, "/v1/tokens", wanted)["token"]
        environment = os.environ | seeded | {"ADMIN_TOKEN": token, "PYTHONPATH": str(HERE), "ROLE": role}
        if of_one:
            environment["FOREIGN"] = json.dumps([other["account_id"], "other@example.com"])
        before = everything(base, owner)
        command = [Path(sys.executable).with_name("st"), "--config-file", HERE / "schemathesis.toml", "run"]
        command += [f"{base}/openapi.json", "--max-examples", str(max(2, examples // SHARE)), "--phases", "examples,fuzzing"]
        # Whether a valid request is taken depends on the role here; `role_is_kept` says how.
        command += ["--exclude-checks", "positive_data_acceptance,negative_data_rejection,ignored_auth,"
                    "missing_required_header,use_after_free,ensure_resource_availability", "--checks", "all"]
        # The token of an account, not that of a role, sends events.
        left_out = "^sendEvent$" if contained else f"^sendEvent$|{TAKING_URLS}"
        if of_one:
            # Its token would end with these.
            left_out += "|^(deleteAccount|revokeToken)$"
        command += ["--exclude-operation-id-regex", left_out]
        print(f"with the token of {'one account: ' if of_one else ''}{role}", flush=True)
        code = subprocess.run(command, env=environment, cwd=folder).returncode
        if role == "viewer" and everything(base, owner) != before:
            print("a viewer has changed something", file=sys.stderr)
            return 1
        return code


def fuzz(binary: Path, examples: int, dev: bool, contained: bool) -> int:
    """One run; schemathesis' exit code."""
    flags = ["--dev"] if dev else ["--allow-network", "127.0.0.0/8"]
    with tempfile.TemporaryDirectory() as folder, server(binary, Path(folder), flags) as base:
        # Under --dev an Authorization header is ignored, so what it holds does not matter.
        token = "none" if dev else (Path(folder) / "fuzz.db.admin-token").read_text().strip()
        environment = os.environ | {"ADMIN_TOKEN": token, "PYTHONPATH": str(HERE)} | seed(base, token)
        command = [Path(sys.executable).with_name("st"), "--config-file", HERE / "schemathesis.toml", "run"]
        command += [f"{base}/openapi.json", "--checks", "all", "--max-examples", str(examples)]
        if dev:
            # The document says how the API is guarded; under --dev nothing is.
            command += ["--exclude-checks", "ignored_auth,missing_required_header"]
            command += ["--generation-with-security-parameters", "false"]
        if not contained:
            command += ["--exclude-operation-id-regex", TAKING_URLS]
        return subprocess.run(command, env=environment, cwd=folder).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--examples", type=int, default=20, help="cases for each operation and phase")
    arguments = parser.parse_args()
    contained = enter_namespace()
    if not contained:
        print("no network namespace can be made here: operations that take a URL are left out", file=sys.stderr)
    binary = arguments.binary.resolve()
    codes = [fuzz(binary, arguments.examples, dev, contained) for dev in (False, True)]
    codes += [fuzz_role(binary, arguments.examples, role, of_one, contained) for role, of_one in ROLES]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
