"""Groups of commands, such as `dlr endpoints`, that list when no command of theirs is named."""

from __future__ import annotations

from typing import Any

import click


class ListingGroup(click.Group):
    """`dlr endpoints` is `dlr endpoints list`.

    Options may stand before the command's name as well as after it: they go to the command. So the
    group has the options of its command `list`, and its function does nothing.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        more.setdefault("no_args_is_help", False)
        more.setdefault("subcommand_metavar", "[COMMAND] [ARGS]...")
        super().__init__(*args, **more)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of a command line."""
        if not ctx.resilient_parsing:  # for completion, the words stay as they are
            args = self._command_first(ctx, args)
        return super().parse_args(ctx, args)

    def _command_first(self, ctx: click.Context, args: list[str]) -> list[str]:
        given, rest, _ = self.make_parser(ctx).parse_args(list(args))
        asks_help = self.get_help_option(ctx)
        if asks_help is not None and asks_help.name in given:
            return args
        name, *after = rest or ["list"]
        return [name, *args[: len(args) - len(rest)], *after]
