"""config/dlr.schema.json is what editors check a settings file with.

Both take config/dlr.toml, and neither takes what the other must refuse.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click.testing
import pytest
from jsonschema_rs import Draft202012Validator, ValidationError

from dispatcher.cli import cli
from dispatcher.settings.settings import read_settings
from receiver.settings.configuration import ConfigurationError
from tests.docs.documents import blocks
from tests.docs.test_blocks import read
from tests.docs.test_config_file import FILE, everything_on
from tests.docs.test_deploy import checked, tool

SCHEMA = FILE.with_name("dlr.schema.json")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))


def test_the_file_is_what_the_command_prints() -> None:
    """If not: `dlr config schema > config/dlr.schema.json`."""
    printed = click.testing.CliRunner().invoke(cli, ["config", "schema"])

    assert printed.exit_code == 0
    assert printed.output == SCHEMA.read_text("utf-8")


def test_the_settings_file_names_it_in_its_first_line() -> None:
    """As taplo and Even Better TOML look for it, and it lies there."""
    found = re.match(r"#:schema \./(\S+)\n", FILE.read_text("utf-8"))

    assert found is not None
    assert FILE.parent / found[1] == SCHEMA


def test_it_is_a_schema() -> None:
    """check-jsonschema finds no fault in it, by the schema of schemas."""
    check = tool("check-jsonschema", "check-jsonschema from PyPI: pip install -e .[test]")

    assert "ok" in checked(check, "--check-metaschema", SCHEMA)
    assert "ok" in checked(check, "--schemafile", SCHEMA, FILE)


def test_it_takes_the_settings_file(validator: Draft202012Validator) -> None:
    """As it is shipped, and with all that is switched off switched on."""
    validator.validate(tomllib.loads(FILE.read_text("utf-8")))
    validator.validate(tomllib.loads(everything_on()))


def test_it_explains_every_setting() -> None:
    """With the words of config/dlr.toml."""
    schema = json.loads(SCHEMA.read_text("utf-8"))

    assert [place for place, said in settings_in(schema) if "description" not in said] == []


def settings_in(schema: dict[str, Any], place: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Each setting, with its place. Those that a comment of config/dlr.toml shows as examples have
    no comment of their own."""
    found = []
    for name, said in schema["properties"].items():
        inner = f"{place}.{name}" if place else name
        table = said.get("items", said)
        if "properties" in table:
            found += settings_in(table, inner)
        elif place not in ("endpoint.security", "endpoint.tls", "source.reconcile.tls"):
            found.append((inner, said))
    return found


WRONG = (
    ("[server]\nprot = 1\n", "prot"),
    ("[server]\nport = 99999\n", "99999"),
    ('[server]\nport = "8080"\n', "8080"),
    ('[server]\nbody_limit = "ten"\n', "ten"),
    ('[server]\nstop_timeout = "20 s"\n', "20 s"),
    ('[log]\nformat = "xml"\n', "xml"),
    ('[[endpoint]]\nname = "acme"\n', "url"),
    ('[[endpoint]]\nname = "a"\nurl = "http://a.example"\nwindow = 0\n', "0 is less"),
    ('[endpoint]\nname = "acme"\n', "array"),
    ("[[source]]\nname = 's'\n[source.hmac]\n", "keys"),
)


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_what_the_program_refuses_it_refuses(
    tmp_path: Path, validator: Draft202012Validator, text: str, told: str
) -> None:
    """A name, a type, a bound, a choice, a table, and what is missing."""
    file = tmp_path / "dlr.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError):
        read_settings(file, {})

    with pytest.raises(ValidationError, match=re.escape(told)):
        validator.validate(tomllib.loads(text))


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_it_takes_each_block_of_the_guides(
    tmp_path: Path, validator: Draft202012Validator, block: Any
) -> None:
    """What the guides show and the program reads is no fault in an editor."""
    if "duration =" in block.text:
        return  # a scenario
    read(block.text, tmp_path)
    validator.validate(tomllib.loads((tmp_path / "block.toml").read_text("utf-8")))
