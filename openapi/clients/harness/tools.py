"""Running commands, and installing what they need: once, and again only when what was asked for changes."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
DOCUMENT = ROOT / "openapi" / "openapi.json"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
WORK = TARGET / "clients"

# A command that takes longer hangs.
LONGEST = 600


class Failed(Exception):
    """A step failed; the message holds its command and what it printed."""


def run(command: Iterable[object], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Runs a command and gives what it printed."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(words)}\ntook longer than {LONGEST} s") from error
    except OSError as error:
        raise Failed(f"{' '.join(words)}\n{error}") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(words)}\n{done.stdout}\nexit code {done.returncode}")
    return done.stdout


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def digest(*files: Path) -> str:
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return "\n".join(sums)


def need(program: str, package: str) -> None:
    """Installs a package of the system unless its program is there."""
    if shutil.which(program) is None:
        apt(package)


def apt(*packages: str) -> None:
    if shutil.which("apt-get") is None:
        raise Failed(f"this needs what Debian calls {', '.join(packages)}: install it")
    run(["apt-get", "update", "-q"])
    run(["apt-get", "install", "-qy", "--no-install-recommends", *packages], env={"DEBIAN_FRONTEND": "noninteractive"})


def venv() -> Path:
    """Folder of the programs of a virtual environment with all that `requirements.txt` pins."""
    folder = WORK / "venv"
    requirements = HERE / "requirements.txt"
    stamp = folder / "stamp"
    wanted = f"{sys.version}\n{digest(requirements)}"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            run([sys.executable, "-m", "venv", folder])
        except Failed:
            # Debian keeps it in a package of its own.
            apt("python3-venv")
            run([sys.executable, "-m", "venv", "--clear", folder])
        run([folder / "bin" / "pip", "install", "--quiet", "--no-deps", "--requirement", requirements])
        stamp.write_text(wanted)
    return folder / "bin"


def npm() -> Path:
    """Folder with the packages that `npm/package-lock.json` pins, in `node_modules`."""
    need("npm", "npm")
    folder = WORK / "npm"
    files = [HERE / "npm" / name for name in ("package.json", "package-lock.json", ".npmrc", "tsconfig.json")]
    stamp = folder / "stamp"
    wanted = digest(*files)
    if not stamp.exists() or stamp.read_text() != wanted:
        fresh(folder)
        for file in files:
            shutil.copy(file, folder)
        run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder)
        stamp.write_text(wanted)
    return folder


def node(folder: Path) -> Path:
    """The Node.js among those packages: generators need a newer one than distributions have."""
    own = sorted(folder.glob("node_modules/node-*/bin/node"))
    return own[0] if own else Path("node")


def generator_jar() -> Path:
    """OpenAPI Generator, and a Java that runs it."""
    need("java", "default-jre-headless")
    [jar] = venv().parent.glob("lib/python3*/site-packages/openapi_generator_cli/openapi-generator.jar")
    return jar
