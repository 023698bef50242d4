"""How a function becomes a command: shared options spread out, what is wrong with them said in a sentence."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import get_type_hints

import typer

from carillon.failed.screen import Screen
from carillon.failed.session import WRONG_USE
from carillon.setup_error import SetupError


def register(app: typer.Typer, command: Callable[..., None], *, name: str | None = None) -> None:
    """As a command of `app`; what is wrong with its options is said in a sentence."""
    spreading = _spread(command)

    @wraps(spreading)
    def ending(**given: object) -> None:
        try:
            spreading(**given)
        except SetupError as error:
            Screen().say(str(error))
            raise typer.Exit(WRONG_USE) from error

    app.command(name)(ending)


def _spread(command: Callable[..., None]) -> Callable[..., None]:
    """Takes the fields of each parameter that is one of our dataclasses as options of the command's own."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if not (isinstance(kind, type) and is_dataclass(kind)):
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[name] = kind
        of_fields = get_type_hints(kind, include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=of_fields[field.name],
            )
            for field in fields(kind)
        ]

    def spreading(**given: object) -> None:
        gathered = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(**given, **gathered)

    spreading.__name__, spreading.__doc__ = command.__name__, command.__doc__
    spreading.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return spreading
