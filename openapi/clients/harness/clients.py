"""The clients: how each is generated, checked and run."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from . import server, tools
from .tools import DOCUMENT, HERE, ROOT, WORK, Failed, fresh, run

# What OpenAPI Generator warns of whatever the document says: Python at every array of strings, and Java where a body has
# an example, which its documentation leaves out.
HARMLESS = ("Failed to get the schema name: null", "Ignoring complex example on request body")


def play(command: list[object], name: str, program: Path, *, cwd: Path, env: dict[str, str] | None = None) -> None:
    """Runs a scenario against a server and a receiver of its own."""
    with server.receiver() as receiver, server.server(program) as (url, token):
        scenario = {"SERVER_URL": url, "ADMIN_TOKEN": token, "RECEIVER_URL": receiver, "CLIENT": name}
        run(command, cwd=cwd, env={**(env or {}), **scenario})


def generate(name: str, output: Path) -> None:
    """Runs OpenAPI Generator as the client's `options.yaml` says; a warning is a failure."""
    jar = tools.generator_jar()
    command = ["java", "-jar", jar, "generate", "-i", DOCUMENT, "-c", HERE / name / "options.yaml", "-o", output]
    printed = run([*command, "--global-property", "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"])
    wrong = [line for line in printed.splitlines() if "WARN" in line or "ERROR" in line]
    wrong = [line for line in wrong if not line.endswith(HARMLESS)]
    if wrong:
        raise Failed("OpenAPI Generator warned:\n" + "\n".join(wrong))


def openapi_python_client(name: str, program: Path) -> None:
    bin = tools.venv()
    folder = fresh(WORK / name)
    command = [bin / "openapi-python-client", "generate", "--path", DOCUMENT]
    # It formats with ruff, which it looks for in PATH.
    path = {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"}
    package = folder / "data_pusher_client"
    run([*command, "--meta", "none", "--output-path", package, "--fail-on-warning"], env=path)
    shutil.copy(HERE / name / "scenario.py", folder)
    run([bin / "mypy", "--config-file", HERE / name / "mypy.ini", "data_pusher_client", "scenario.py"], cwd=folder)
    play([bin / "python", "scenario.py"], name, program, cwd=folder)


def python(name: str, program: Path) -> None:
    bin = tools.venv()
    folder = fresh(WORK / name)
    generate(name, folder)
    shutil.copy(HERE / name / "scenario.py", folder)
    # Strict about what uses the client; the client itself is checked but not made for it.
    run([bin / "mypy", "--strict", "--follow-imports", "silent", "scenario.py"], cwd=folder)
    play([bin / "python", "scenario.py"], name, program, cwd=folder)


def typescript(name: str, program: Path, make: Callable[[Path, Path], None]) -> None:
    """Generates with `make` below the installed packages, so that imports find them; checks, compiles and runs."""
    packages = tools.npm()
    folder = fresh(packages / name)
    make(packages, folder)
    shutil.copy(HERE / name / "scenario.ts", folder)
    (folder / "tsconfig.json").write_text('{"extends": "../tsconfig.json", "include": ["**/*.ts"]}\n')
    node = tools.node(packages)
    run([node, packages / "node_modules/typescript/bin/tsc", "--project", folder, "--outDir", folder / "out"])
    play([node, folder / "out/scenario.js"], name, program, cwd=folder)


def typescript_fetch(name: str, program: Path) -> None:
    typescript(name, program, lambda _, folder: generate(name, folder / "client"))


def openapi_fetch(name: str, program: Path) -> None:
    def make(packages: Path, folder: Path) -> None:
        command = [tools.node(packages), packages / "node_modules/openapi-typescript/bin/cli.js", DOCUMENT]
        run([*command, "--output", folder / "schema.d.ts"], cwd=folder)

    typescript(name, program, make)


def hey_api(name: str, program: Path) -> None:
    def make(packages: Path, folder: Path) -> None:
        shutil.copy(HERE / name / "openapi-ts.config.ts", packages)
        command = [tools.node(packages), packages / "node_modules/@hey-api/openapi-ts/bin/run.js"]
        run([*command, "--input", DOCUMENT, "--output", folder / "client"], cwd=packages)

    typescript(name, program, make)


def go(name: str, program: Path) -> None:
    tools.need("go", "golang-go")
    folder = fresh(WORK / name)
    generate(name, folder / "datapusher")
    shutil.copy(HERE / name / "scenario.go", folder)
    (folder / "go.mod").write_text("module scenario\n\ngo 1.19\n")
    # The client needs the standard library only, so nothing is to be fetched.
    env = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    run(["go", "vet", "./..."], cwd=folder, env=env)
    run(["go", "build", "-o", "scenario", "."], cwd=folder, env=env)
    play([folder / "scenario"], name, program, cwd=folder)


def java(name: str, program: Path) -> None:
    tools.need("javac", "default-jdk-headless")
    annotations = Path("/usr/share/java/geronimo-annotation-1.3-spec.jar")
    if not annotations.exists():
        tools.apt("libgeronimo-annotation-1.3-spec-java")
    folder = fresh(WORK / name)
    generate(name, folder)
    # The generator's own jar holds Jackson, which is all that the client needs besides those annotations.
    path = f"{tools.generator_jar()}{os.pathsep}{annotations}"
    sources = sorted(str(file) for file in (folder / "src/main/java").rglob("*.java"))
    run(["javac", "-nowarn", "-d", folder / "classes", "-cp", path, *sources])
    path = f"{folder / 'classes'}{os.pathsep}{path}"
    run(["javac", "-Xlint:all", "-Werror", "-Xlint:-path", "-d", folder, "-cp", path, HERE / name / "Scenario.java"])
    play(["java", "-cp", f"{folder}{os.pathsep}{path}", "Scenario"], name, program, cwd=folder)


def rust(name: str, program: Path) -> None:
    target = {"CARGO_TARGET_DIR": str(WORK / name)}
    manifest = ["--manifest-path", HERE / name / "Cargo.toml"]
    run(["cargo", "fmt", "--check", *manifest])
    run(["cargo", "build", "--locked", "--quiet", *manifest], env=target)
    play([WORK / name / "debug" / "scenario"], name, program, cwd=ROOT)


# By the names that `run` takes.
ALL: dict[str, Callable[[str, Path], None]] = {
    "openapi-python-client": openapi_python_client,
    "python": python,
    "typescript-fetch": typescript_fetch,
    "openapi-fetch": openapi_fetch,
    "hey-api": hey_api,
    "go": go,
    "java": java,
    "rust": rust,
}
