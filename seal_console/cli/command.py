"""Commands and groups with their common parts: options, examples and exit codes in the help, suggestions."""

from __future__ import annotations

import shlex
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.invocation import common_options
from store.errors import ExitCode
from store.wording import nearest_name, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


EXIT_MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed",
    ExitCode.WRONG_USE: "wrong use",
    ExitCode.NOTHING_TO_DO: "nothing to do",
    ExitCode.ALL_REFUSED: "all candidates refused by gates",
    ExitCode.LOCKED: "workspace locked",
    ExitCode.ALARM: "an alarm was raised or is active",
    ExitCode.TIME_UP: "the time for the run was up",
    ExitCode.INTERRUPTED: "interrupted",
}
_OR_CHECK = "or a check of guardrails or retention failed"
_HELP_WIDTH = 110
_ALWAYS_POSSIBLE = (ExitCode.DONE, ExitCode.FAILED, ExitCode.WRONG_USE, ExitCode.INTERRUPTED)


_FORMER_OPTIONS = {"--ways": "--methods", "--lines": "--lineages"}


class MovedCommandError(click.UsageError):
    """A command that has a new name; `line` is the whole command line with it."""

    def __init__(self, name: str, now: str, arguments: Sequence[str], ctx: click.Context) -> None:
        super().__init__(f"Unknown command '{name}'; it is now '{now}'.", ctx)
        self.line = shlex.join([*now.split(), *arguments])


class SealCommand(click.Command):
    """A command; `examples` are whole command lines, `exits` the exit codes beyond those that are always possible.

    `refused` says when the command ends with exit code 4, if it has a meaning of its own for it.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        exits: Sequence[ExitCode] = (),
        refused: str = EXIT_MEANINGS[ExitCode.ALL_REFUSED],
        **attributes: Any,
    ) -> None:
        super().__init__(*args, **attributes)
        self.examples = tuple(examples)
        self.exits = tuple(sorted({*_ALWAYS_POSSIBLE, *exits}))
        self.exit_meanings = {**EXIT_MEANINGS, ExitCode.ALL_REFUSED: refused}
        self.params += common_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; a former name is refused with the present one."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            now = _FORMER_OPTIONS.get(error.option_name)
            if now is None or all(now not in option.opts for option in self.params):
                raise
            raise click.UsageError(f"{error.option_name} is now called {now}.", ctx) from error

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Add the examples and the exit codes."""
        _write_examples(formatter, self.examples)
        with formatter.section("Exit codes"):
            formatter.write_text(" · ".join(f"{int(code)} {self.exit_meanings[code]}" for code in self.exits))
        super().format_epilog(ctx, formatter)


class SealGroup(click.Group):
    """A group of commands; an unknown name is refused with its new place if it is in `moved`, else the nearest name."""

    command_class = SealCommand
    group_class = type

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        moved: Mapping[str, str] = MappingProxyType({}),
        **attributes: Any,
    ) -> None:
        context = {"max_content_width": _HELP_WIDTH}
        super().__init__(*args, **{"no_args_is_help": False, "context_settings": context, **attributes})
        self.examples = tuple(examples)
        self.moved = moved
        self.params += common_options()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which the commands were added: that of their use."""
        del ctx
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse a bare group with the names of its commands."""
        only_options = all(word.startswith("-") and word != "--help" for word in args)
        if only_options and not self.invoke_without_command and not ctx.resilient_parsing:
            names = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"{ctx.command_path} needs one of its commands: {names}.", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand. Raises UsageError, with a hint, if the name is unknown."""
        if not args or self.get_command(ctx, args[0]) is not None or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        name, known = args[0], self.list_commands(ctx)
        if name in self.moved:
            raise MovedCommandError(name, f"seal-console {self.moved[name]}", args[1:], ctx)
        below = {inner: f"{outer} {inner}" for outer in known for inner in self._commands_of(ctx, outer)}
        nearest = nearest_name(name, [*known, *below])
        meant = f"did you mean '{below[nearest]}'?" if nearest in below and nearest not in known else None
        raise click.UsageError(f"Unknown command '{name}'; {meant or suggestion(name, known)}", ctx)

    def _commands_of(self, ctx: click.Context, outer: str) -> list[str]:
        """Return the names of the commands in a group of this one; [] if it is a command itself."""
        command = self.get_command(ctx, outer)
        return command.list_commands(ctx) if isinstance(command, click.Group) else []

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Add the examples, and to the outermost group's help the exit codes."""
        _write_examples(formatter, self.examples)
        if ctx.parent is None:
            with formatter.section("Exit codes"):
                meanings = {
                    **EXIT_MEANINGS,
                    ExitCode.ALL_REFUSED: f"{EXIT_MEANINGS[ExitCode.ALL_REFUSED]}, {_OR_CHECK}",
                }
                formatter.write_dl([(str(int(code)), meaning) for code, meaning in meanings.items()])
        super().format_epilog(ctx, formatter)


def _write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def several_of(known: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """Return an option's callback that splits at commas and refuses unknown names with a hint."""

    def convert(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            raise click.BadParameter(f"unknown name '{unknown}'; {suggestion(unknown, known)}", context, parameter)
        if not names:
            raise click.BadParameter(f"name at least one of {', '.join(known)}.", context, parameter)
        return names

    return convert
