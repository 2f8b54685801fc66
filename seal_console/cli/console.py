"""Opens the operator console on a workspace."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from engine.settings.reading import load_settings
from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import Invocation, pass_invocation
from seal_console.cli.option_types import ONE_LINE
from seal_console.console import gc_tuning as garbage
from store.lock import current_user
from store.workspace import is_writable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.workspace import Workspace


def on_a_terminal() -> bool:
    """Whether there is a terminal to draw on."""
    if os.environ.get("TEXTUAL_DRIVER"):  # textual-serve draws in a browser
        return True
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def open_console(
    workspace: Workspace, *, read_only: bool, actor: str | None, first_screen: str = "now", in_browser: bool = False
) -> None:
    """Run the console until the operator leaves. Raises WrongUseError for settings that cannot be read."""
    garbage.hold_back()
    from seal_console.console.app import ConsoleApp  # noqa: PLC0415 - Textual is loaded only to draw
    from seal_console.console.settings_check import console_problems  # noqa: PLC0415
    from seal_console.engine_control import start_engine  # noqa: PLC0415

    settings = load_settings(workspace.settings_file, console_problems)
    read_only = read_only or not is_writable(workspace)
    app = ConsoleApp(
        workspace, settings, actor=actor or current_user(), read_only=read_only, start_engine=start_engine,
        first_screen=first_screen, in_browser=in_browser,
    )  # fmt: skip
    with _drawing_on_the_terminal():
        app.run()
    if app.failure is not None:
        raise app.failure


@contextmanager
def _drawing_on_the_terminal() -> Iterator[None]:
    """Let Textual draw on stdout if stderr is not the terminal, as after `2>log`: it draws on Python's first stderr."""
    stream = sys.__stderr__
    if stream is None or not stream.isatty():
        sys.__stderr__ = sys.__stdout__  # type: ignore[misc]
    try:
        yield
    finally:
        sys.__stderr__ = stream  # type: ignore[misc]


@click.command(
    "web",
    cls=SealCommand,
    short_help="Serve the console in a browser.",
    examples=("seal-console web", "seal-console -w shop web --port 8090 --read-only --no-token"),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The port to listen on.")
@click.option("--read-only", is_flag=True, help="Visitors can look but change nothing.")
@click.option("--no-token", is_flag=True, help="Let in whoever reaches the address; only with --read-only.")
@click.option(
    "--visitors", type=click.IntRange(1, 1000), default=8, show_default=True, help="Most consoles open at once."
)
@click.option("--as", "actor", metavar="NAME", type=ONE_LINE, help="Who decides (default: the user of this process).")
@pass_invocation
def web(
    invocation: Invocation, *, host: str, port: int, read_only: bool, no_token: bool, visitors: int, actor: str | None
) -> None:
    """Serve the console in a browser, by default on this machine only.

    The address that is printed has a random token; whoever has it can do what you can. Exports go into exports/ of the
    workspace only. The connection is not encrypted: to reach it from other machines, use an SSH tunnel.
    """
    from seal_console.console.settings_check import console_problems  # noqa: PLC0415 - loads Textual
    from seal_console.web_access import LOOPBACK, new_token  # noqa: PLC0415
    from seal_console.web_server import console_command, make_server  # noqa: PLC0415

    if no_token and not read_only:
        raise click.UsageError("--no-token needs --read-only: without a token, anyone could decide as you.")
    workspace = invocation.workspace()
    load_settings(workspace.settings_file, console_problems)
    command = console_command(workspace.root, read_only=read_only, actor=actor)
    server = make_server(command, host, port, token=None if no_token else new_token(), most_visitors=visitors)
    if host not in LOOPBACK:
        who = "anyone who reaches it can look" if no_token else "the token can be read on the way"
        invocation.output.narrate(f"Warning: {host}:{port} is not encrypted; {who}.", "yellow")
    invocation.output.say(f"The console is at {server.entrance}  ctrl+c stops it.")
    server.serve()
