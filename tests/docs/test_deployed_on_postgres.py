"""What config/deploy has for PostgreSQL. The commands and settings of compose.postgres.yaml run
without containers, behind a real nginx with nginx.postgres.conf, on a real PostgreSQL.

A receiver is killed (SIGKILL) under load. nginx sends what it had not answered to the other one, so
that the platform sees 200 only. Whatever was answered 200 is stored once and pushed. A 503 reaches
the platform with its Retry-After, whether dlr said it or nginx, because no receiver is left. A
receiver that runs goes on when a newer version has changed the schema, as in a rolling upgrade.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from dispatcher.settings.settings import read_settings
from tests.docs.test_deploy import DEPLOY, a_certificate, checked, nginx_conf, tool
from tests.end_to_end.processes import Running, customer, dlr, eventually, running
from tests.postgres import a_database, in_autocommit
from tests.receiver.payloads import a_json_body, an_item

COMPOSE = yaml.safe_load((DEPLOY / "compose.postgres.yaml").read_text("utf-8"))
MANIFESTS = [*yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8"))]
CALLBACKS = 60
"""Of each of the senders. Each brings two reports."""

SENDERS = 4
RECEIVERS = ("receiver-1", "receiver-2")
OURS = (*RECEIVERS, "dispatcher-1", "dispatcher-2")


def environment_of(service: str, **given: str) -> dict[str, Any]:
    """What compose hands to a container, with these variables around it."""
    variable = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}")
    return {
        name: variable.sub(lambda found: given.get(found[1]) or found[2], str(text))
        for name, text in COMPOSE["services"][service]["environment"].items()
    }


GIVEN = {"DLR_API_TOKEN_OPS_SECRET": "o" * 64, "DLR_DATABASE_PASSWORD": "hidden-password"}


def test_each_listens_where_nginx_and_the_health_check_look() -> None:
    """nginx.postgres.conf has the addresses of compose.postgres.yaml, and the port on which all of
    them listen is that of the image's health check. The password is in no URL."""
    conf = (DEPLOY / "nginx.postgres.conf").read_text("utf-8")
    services = COMPOSE["services"]
    addresses = {name: each["networks"]["dlr"]["ipv4_address"] for name, each in services.items()}
    assert len(set(addresses.values())) == len(addresses)
    proxied = re.findall(r"server ([\d.]+):(\d+)", conf)
    assert {(addresses[name], "8080") for name in OURS} == set(proxied)

    for name in OURS:
        settings = read_settings(None, environment_of(name, **GIVEN))
        words = services[name]["command"]
        assert settings.server.port == 8080
        assert words == (["receive"] if name in RECEIVERS else ["dispatch", "--port", "8080"])
        assert settings.server.trusted_proxies == 1
        assert settings.server.proxy_networks == (f"{addresses['nginx']}/32",)
        assert settings.store.database == "postgresql://dlr@postgres/dlr"
        assert settings.api.token[0].scope == "operate"
    assert services["postgres"]["environment"]["POSTGRES_DB"] == "dlr"


def test_kubernetes_takes_the_manifests() -> None:
    """The oldest version that they are for, and the newest. No field is unknown to either."""
    for version in (("--kubernetes-version", "1.29"), ()):
        told = checked(
            *(sys.executable, "-m", "kubernetes_validate", "--strict", *version),
            DEPLOY / "kubernetes.yaml",
        )
        assert told.count("passed for resource") == len(MANIFESTS)


def test_the_manifests_go_together() -> None:
    """Selectors find the pods, the Ingress finds its service, and the pods' settings are settings.
    Services give each pod variables such as DLR_RECEIVE_PORT, which dlr would refuse: they are
    switched off."""
    pods = {each["metadata"]["name"]: each["spec"]["template"] for each in _of("Deployment")}
    assert {*pods} == {"dlr-receive", "dlr-dispatch"}
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        for each in _of(kind):
            selector = each["spec"]["selector"]
            wanted = selector if kind == "Service" else selector["matchLabels"]
            found = [name for name, pod in pods.items() if _has(pod, wanted)]
            assert found == [each["metadata"]["name"]]
    (ingress,) = _of("Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert [
        (path["path"], path["backend"]["service"]["name"]) for path in rule["http"]["paths"]
    ] == [("/notify", "dlr-receive")]

    (config,) = _of("ConfigMap")
    settings = read_settings(None, {**config["data"], "DLR_API_TOKEN_OPS_SECRET": "o" * 64})
    assert settings.store.database.startswith("postgresql://")
    for name, pod in pods.items():
        assert pod["spec"]["enableServiceLinks"] is False
        (container,) = pod["spec"]["containers"]
        command = "receiver-1" if name == "dlr-receive" else "dispatcher-1"
        assert container["args"] == COMPOSE["services"][command]["command"]
        secrets = {each["name"] for each in container["env"]}
        assert {*config["data"], *secrets, "DLR_ENDPOINT_NAMES"} == {
            *COMPOSE["services"][command]["environment"]
        }
        before = container.get("lifecycle", {}).get("preStop", {"exec": {"command": ["", "0"]}})
        stop = settings.server.stop_timeout.total_seconds() + int(before["exec"]["command"][1])
        assert pod["spec"]["terminationGracePeriodSeconds"] > stop


def _of(kind: str) -> list[dict[str, Any]]:
    return [each for each in MANIFESTS if each["kind"] == kind]


def _has(pod: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    found: dict[str, str] = pod["metadata"]["labels"]
    return labels.items() <= found.items()


async def test_a_receiver_is_killed_behind_nginx(tmp_path: Path, postgres_server: str) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = stack.enter_context(a_database(postgres_server))
        acme = await enter(customer())
        around = {
            "DLR_STORE_DATABASE": database,
            "DLR_SERVER_PROXY_NETWORKS": "127.0.0.1/32",
        }
        given = {**GIVEN, "ACME_URL": acme.url}
        of = {name: {**environment_of(name, **given), **around} for name in OURS}
        started = {
            name: await enter(running(tmp_path, *COMPOSE["services"][name]["command"], **of[name]))
            for name in (*RECEIVERS, "dispatcher-1")
        }
        public, private = await enter(_nginx(tmp_path, started))
        client = await enter(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)))
        senders = [asyncio.create_task(_send(client, public, sender)) for sender in range(SENDERS)]
        await acme.came.reach(1)
        await started["receiver-1"].kill()
        sent = Counter(name for each in await asyncio.gather(*senders) for name in each)

        async def all_pushed() -> bool | None:
            got: set[str] = {name for push in acme.acknowledged for name in push.message_ids}
            return got.issuperset(sent) or None

        await eventually(all_pushed, "all pushed")
        assert await _stored(client, private) == sent
        await _outside_there_is_only_notify(client, public)

        await _goes_on_beside_a_newer_version(client, public, tmp_path, database, of["receiver-1"])
        _make_read_only(database)
        assert await _refused(client, public) == "10"
        await started["receiver-2"].kill()
        assert await _refused(client, public) == "5"


async def _send(client: aiohttp.ClientSession, url: str, sender: int) -> list[str]:
    """Post callbacks, which must all be answered 200. Returns the messageIds."""
    sent = []
    for number in range(CALLBACKS):
        names = [f"{sender}-{number}-{nth}" for nth in range(2)]
        assert await _post(client, url, *names) == (200, None)
        sent += names
    return sent


async def _post(client: aiohttp.ClientSession, url: str, *names: str) -> tuple[int, str | None]:
    body = a_json_body(*(an_item(messageId=name) for name in names))
    async with client.post(f"{url}/notify", data=body) as response:
        return response.status, response.headers.get("Retry-After")


async def _refused(client: aiohttp.ClientSession, url: str) -> str | None:
    """The Retry-After of a callback that is answered 503."""
    status, after = await _post(client, url, "refused")
    assert status == 503
    return after


async def _stored(client: aiohttp.ClientSession, url: str) -> Counter[str]:
    """How often each messageId is stored, as the API tells it."""
    found: Counter[str] = Counter()
    path = "/api/reports?limit=1000"
    headers = {"Authorization": f"Bearer {GIVEN['DLR_API_TOKEN_OPS_SECRET']}"}
    async with client.get(url + path, headers=headers) as response:
        page: dict[str, Any] = await response.json()
        assert response.status == 200, page
    assert page["next"] is None
    found.update(each["report"]["messageId"] for each in page["reports"])
    return found


async def _outside_there_is_only_notify(client: aiohttp.ClientSession, url: str) -> None:
    for path in ("/", "/api/reports", "/metrics", "/readyz"):
        async with client.get(url + path) as response:
            assert response.status == 404, path


async def _goes_on_beside_a_newer_version(
    client: aiohttp.ClientSession,
    url: str,
    folder: Path,
    database: str,
    environment: Mapping[str, Any],
) -> None:
    """What a newer version has done to the schema stops nobody who runs. Who starts refuses it."""
    with in_autocommit(database) as connection:
        connection.execute("UPDATE schema_version SET number = number + 1")
    assert await _post(client, url, "beside a newer version") == (200, None)
    ended = await dlr(folder, "receive", "--port", "0", **environment)
    assert (ended.code, "this program knows" in ended.err) == (2, True)


def _make_read_only(database: str) -> None:
    """As a standby is: each write fails at once."""
    with in_autocommit(database) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@asynccontextmanager
async def _nginx(folder: Path, started: Mapping[str, Running]) -> AsyncIterator[tuple[str, str]]:
    """A running nginx with nginx.postgres.conf, in front of these processes: its URL for the world,
    and that for those inside."""
    nginx = tool("nginx", "apt-get install nginx-light")
    a_certificate(folder)
    text = (DEPLOY / "nginx.postgres.conf").read_text("utf-8")
    for name, service in COMPOSE["services"].items():
        at = started[name].url.removeprefix("http://") if name in started else "127.0.0.1:1"
        text = text.replace(f"{service['networks']['dlr']['ipv4_address']}:8080", at)
    public, private = free_ports(2)
    text = text.replace("listen 443", f"listen 127.0.0.1:{public}")
    text = text.replace("listen 8443", f"listen 127.0.0.1:{private}")
    conf = nginx_conf(text.replace("/etc/nginx/tls", str(folder)), folder)
    process = await asyncio.create_subprocess_exec(
        nginx, "-p", folder, "-c", conf, "-g", "daemon off;"
    )
    try:
        await eventually(lambda: accepts(public), "nginx listens")
        yield f"https://127.0.0.1:{public}", f"https://127.0.0.1:{private}"
    finally:
        process.terminate()
        await process.wait()


async def accepts(port: int) -> bool | None:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None
    writer.close()
    return True


def free_ports(number: int) -> Sequence[int]:
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [each.getsockname()[1] for each in opened]
    finally:
        for each in opened:
            each.close()
