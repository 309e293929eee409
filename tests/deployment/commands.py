"""Whether the `drumbeat` of this version knows a command as it is written somewhere."""

import typer
from typer.core import TyperGroup

from cli import app


class UnknownCommandError(Exception):
    pass


def check_command(words: list[str]) -> None:
    """`words` without `drumbeat` itself. Raises UnknownCommandError for a command or an option that does not exist."""
    command, rest = typer.main.get_command(app), list(words)
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            raise UnknownCommandError(f"drumbeat {' '.join(words)}: no command {rest[0]!r}")
        command = command.commands[rest.pop(0)]
    known = {"--help"} | {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    unknown = {word for word in rest if word.startswith("-")} - known
    if unknown or (isinstance(command, TyperGroup) and rest == []):
        raise UnknownCommandError(f"drumbeat {' '.join(words)}: {unknown or 'a group of commands'}")
