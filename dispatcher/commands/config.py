"""`dlr config`: the settings file, checked or described."""

from __future__ import annotations

import json

import click

from dispatcher.commands.check import check
from dispatcher.settings.settings import Settings
from receiver.settings.schema import json_schema, words_in


@click.group()
def config() -> None:
    """Check the settings, or print their JSON Schema.

    Example: dlr config schema > dlr.schema.json
    """


config.add_command(check)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the settings file (draft 2020-12).

    Editors use it to complete and check what you type. taplo and the editor extension Even Better
    TOML read it where the file begins with this line: #:schema ./dlr.schema.json

    Example: dlr config schema > dlr.schema.json
    """
    from dispatcher.web.guides import text_of  # the pages have the file that explains each setting

    told = json_schema(Settings, words_in(text_of("config/dlr.toml")))
    click.echo(json.dumps(told, indent=2, ensure_ascii=False))
