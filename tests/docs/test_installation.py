"""What config/deploy installs can be made and installed: the wheel, and the image.

The wheel is built once, as config/deploy/README.md says, and judged by twine. Then it is installed
into an empty environment and plays `dlr demo` there. No container engine is needed: the steps of
the Containerfile are read from it and done in an empty folder that stands for the image's root.
Once it could not be built, because the wheel wants files that no COPY brought, and its own line did
not start it, because no API token could come from the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml

from dispatcher.settings.settings import read_settings
from receiver.settings.settings import may_listen
from tests.docs.documents import ROOT
from tests.end_to_end.processes import LIMIT

DEPLOY = ROOT / "config" / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]


def done(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints, which must not fail."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT * 8,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


# --- the wheel ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what `python3 -m build` makes. What it builds with is here already."""
    assert "\npython3 -m build\n" in (DEPLOY / "README.md").read_text()
    folder = tmp_path_factory.mktemp("dist")
    done(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, folder=ROOT)
    return folder


def test_the_wheel_can_be_published(dist: Path) -> None:
    """twine finds no fault in the wheel and the source archive, of the version in pyproject."""
    assert sorted(path.name for path in dist.iterdir()) == [
        f"dlr_relay-{VERSION}-py3-none-any.whl",
        f"dlr_relay-{VERSION}.tar.gz",
    ]
    done(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir(), folder=dist)


def test_the_wheel_runs_in_an_empty_environment(dist: Path, tmp_path: Path) -> None:
    """The demo runs from it; it has the guides and the scenarios that lie outside the packages."""
    environment, folder = tmp_path / "environment", tmp_path / "empty"
    folder.mkdir()
    done(sys.executable, "-m", "venv", "--without-pip", environment, folder=folder)
    (wheel,) = dist.glob("*.whl")
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    done(*pip, "install", wheel, folder=folder)

    dlr = environment / "bin" / "dlr"
    assert done(dlr, "--version", folder=folder).strip() == f"dlr, version {VERSION}"
    assert "acknowledged" in done(dlr, "demo", folder=folder)
    looked = (
        "from dispatcher.web import gallery, guides;"
        "print(sum(guides.guide(each.name) is None for each in guides.GUIDES),"
        " len(gallery.gallery()))"
    )
    missing, scenarios = done(python, "-c", looked, folder=folder).split()
    assert missing == "0"
    assert int(scenarios) > 10


UNPUBLISHED = re.compile(r"pip3? install[^\n`]*(?<!/)\bdlr[-_]relay\b(?!-)")
PLACES = ("README.md", ".github", ".ci", "receiver", "dispatcher", "config", "pyproject.toml")


def texts() -> Iterator[tuple[Path, str]]:
    """All that somebody reads: documents, settings, the deploy kit and the program's own words."""
    for place in PLACES:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and file.suffix not in (".pyc", ".png", ".svg", ".woff2"):
                yield file, file.read_text("utf-8", "replace")


def test_nothing_installs_what_is_not_published() -> None:
    """dlr is on no package index: whoever typed `pip install dlr-relay` got an error, or worse,
    what a stranger had published by that name."""
    assert UNPUBLISHED.search("pip install 'dlr-relay[tls]'")
    assert not UNPUBLISHED.search("pip install dist/dlr_relay-*.whl")
    assert [str(file) for file, text in texts() if UNPUBLISHED.search(text)] == []


def test_the_program_names_the_requirements_of_pyproject() -> None:
    """What a command asks the user to install is what the extras install."""
    named = {
        requirement
        for file, text in texts()
        if file.suffix == ".py"
        for requirement in re.findall(r"pip install '([^']+)'", text)
    }

    assert named
    assert named <= {each for extra in PROJECT["optional-dependencies"].values() for each in extra}


# --- the image ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a Containerfile."""

    word: str
    text: str


def stages(containerfile: str) -> list[list[Step]]:
    """The instructions of each stage, which begins with FROM."""
    lines = [line for line in containerfile.splitlines() if line and not line.startswith("#")]
    found: list[list[Step]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, text = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append(Step(word, text))
    return found


def shown_line(program: str) -> list[str]:
    """The words of the line of the Containerfile's comment that begins with `program`."""
    text = (DEPLOY / "Containerfile").read_text()
    (line,) = re.findall(rf"^#   ({re.escape(program)} .*)$", text, re.MULTILINE)
    return shlex.split(line)


def the(steps: list[Step], word: str) -> str:
    (text,) = [step.text for step in steps if step.word == word]
    return text


@dataclass(frozen=True, slots=True)
class Image:
    """The image, with `root` as its root folder, as far as its steps have built it."""

    root: Path
    last: list[Step]

    def environment(self, **more: str) -> dict[str, str]:
        """Of ENV, and of the container."""
        words = shlex.split(the(self.last, "ENV").replace("$PATH", os.environ["PATH"]))
        pairs = dict(word.split("=", 1) for word in words)
        return {**pairs, "PATH": self.inside(pairs["PATH"]), **more}

    def inside(self, text: str) -> str:
        """`text` with the folders of the image where they are here."""
        return re.sub(r"(?<![\w.])/(src|opt/dlr|var/lib/dlr)\b", rf"{self.root}/\1", text)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Its steps are done one by one; what they do to the system is told by other tests."""
    first, last = stages((DEPLOY / "Containerfile").read_text())
    built = Image(tmp_path_factory.mktemp("root"), last)
    folder = built.root
    python = built.root / "base"  # the base image has python
    python.mkdir()
    (python / "python").symlink_to(sys.executable)
    environment = {**os.environ, "PATH": f"{python}:{os.environ['PATH']}"}
    for step in first:
        match step.word:
            case "WORKDIR":
                folder = Path(built.inside(step.text))
                folder.mkdir(parents=True)
            case "COPY":
                *sources, target = step.text.split()
                for source in sources:
                    copy(ROOT / source, folder / target)
            case "RUN":
                (built.root / "opt").mkdir(exist_ok=True)
                done("sh", "-c", built.inside(step.text), folder=folder, environment=environment)
            case _:
                assert step.word == "FROM"
    Path(built.inside(the(last, "WORKDIR"))).mkdir(parents=True)
    return built


def copy(source: Path, target: Path) -> None:
    """As COPY does: what is in a folder comes into the target."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


async def test_the_image_starts_with_its_own_line(image: Image) -> None:
    """With the variables of `podman run` in its comment, and nothing else, the server starts, asks
    for the token, is healthy by HEALTHCHECK, and ends by SIGTERM; then it is not healthy."""
    words = shown_line("podman run")
    token = secrets.token_hex(32)
    given = [words[at + 1] for at, word in enumerate(words) if word == "-e"]
    more = {name: text or token for name, _, text in (each.partition("=") for each in given)}
    assert token in more.values()
    environment = image.environment(**more, DLR_SERVER_PORT=str(a_free_port()))
    begin = json.loads(the(image.last, "ENTRYPOINT")) + json.loads(the(image.last, "CMD"))
    dlr = shutil.which(begin[0], path=environment["PATH"].split(":")[0])
    assert dlr
    health = json.loads(the(image.last, "HEALTHCHECK").partition(" CMD ")[2])
    check = (image.inside("/opt/dlr/bin/") + health[0], *health[1:])

    server = await asyncio.create_subprocess_exec(
        dlr,
        *begin[1:],
        cwd=image.inside(the(image.last, "WORKDIR")),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        url = await listening(server)
        healthy = await asyncio.to_thread(subprocess.run, check, env=environment, check=False)
        async with aiohttp.ClientSession(url) as client:
            answers = [
                (await client.get("/api/reports", headers=headers)).status
                for headers in ({}, {"Authorization": f"Bearer {token}"})
            ]
    finally:
        server.terminate()
        async with asyncio.timeout(LIMIT):
            _, code = await server.communicate(), await server.wait()
    gone = await asyncio.to_thread(
        subprocess.run, check, env=environment, check=False, stderr=subprocess.DEVNULL
    )
    assert (healthy.returncode, answers, code) == (0, [401, 200], 0)
    assert gone.returncode != 0


async def listening(server: asyncio.subprocess.Process) -> str:
    """The URL that a server tells when it is ready."""
    assert server.stdout is not None
    async with asyncio.timeout(LIMIT):
        while line := (await server.stdout.readline()).decode():
            if found := re.search(r"http://0\.0\.0\.0:(\d+)", line):
                return f"http://127.0.0.1:{found[1]}"
    raise AssertionError("it ended before it listened")


def a_free_port() -> int:
    """The health check has to know it before the server has taken it."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def test_what_the_image_is() -> None:
    """Its user is not root and owns the folder of the database, which is a volume. The line that
    starts it publishes its port to this machine alone, and gives it time to stop."""
    text = (DEPLOY / "Containerfile").read_text()
    _, last = stages(text)
    made = the(last, "RUN").split()
    folder = the(last, "VOLUME")
    run, build = shown_line("podman run"), shown_line("podman build")

    assert made[0] == "useradd"
    assert made[made.index("--uid") + 1] == the(last, "USER") != "0"
    assert made[made.index("--home-dir") + 1] == folder == the(last, "WORKDIR")
    assert [step.word for step in last].index("RUN") < [s.word for s in last].index("VOLUME")
    port = the(last, "EXPOSE")
    assert run[run.index("-p") + 1] == f"127.0.0.1:{port}:{port}"
    assert run[run.index("-v") + 1].endswith(f":{folder}")
    assert run[-1] == build[build.index("-t") + 1]
    assert int(run[run.index("--stop-timeout") + 1]) > 20  # server.stop_timeout
    # In podman's own format an image has no health check.
    assert build[build.index("--format") + 1] == "docker"


def test_what_is_copied_is_not_ignored() -> None:
    """.dockerignore lets through what the Containerfile copies, and nothing else."""
    let = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    first, _ = stages((DEPLOY / "Containerfile").read_text())

    assert let == {
        source for step in first if step.word == "COPY" for source in step.text.split()[:-1]
    }


def test_the_settings_of_compose_with_one_container(tmp_path: Path) -> None:
    """compose.sqlite.yaml has an endpoint and a token, so that dlr may listen; all by variables."""
    services = yaml.safe_load((DEPLOY / "compose.sqlite.yaml").read_text())["services"]
    given = {
        name: re.sub(r"\$\{[^}]*?(?::-([^}]*))?(?::\?[^}]*)?\}", r"\1", text) or "0123456789abcdef"
        for name, text in services["dlr"]["environment"].items()
    }
    _, last = stages((DEPLOY / "Containerfile").read_text())
    of_image = dict(re.findall(r"(DLR_\w+)=(\S+)", the(last, "ENV")))
    (tmp_path / "none.toml").touch()

    settings = read_settings(tmp_path / "none.toml", {**of_image, **given})

    assert [(each.name, each.url[:8]) for each in settings.endpoint] == [("acme", "https://")]
    assert [(each.name, each.scope) for each in settings.api.token] == [("ops", "operate")]
    assert may_listen(settings.server, settings.api) is None
    assert services["dlr"]["volumes"] == [f"dlr:{the(last, 'VOLUME')}"]
