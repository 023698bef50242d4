"""Whether a text can be a template at all: asked before anything is written."""

import asyncio
from dataclasses import dataclass

from shared.contracts.channels import Channel
from shared.contracts.http.templates import TemplateText
from shared.delivery.rendering import TemplateSyntaxProblem, analyse
from shared.delivery.templating.schema import SchemaProblem, check_schema


@dataclass(frozen=True, kw_only=True)
class CheckedText:
    """What was found out about a text that can be rendered."""

    required_variables: tuple[str, ...]


class TextRefused(Exception):
    """It cannot: `field` and `message` say why, with the line."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


async def check_text(text: TemplateText, channel: Channel) -> CheckedText:
    """Parse and compile in a thread: a large template takes some 0.3 s. Raises TextRefused."""
    return await asyncio.to_thread(_check, text, channel)


def _check(text: TemplateText, channel: Channel) -> CheckedText:
    try:
        required = analyse(subject=text.subject, body=text.body, text_body=text.text_body, channel=channel)
    except TemplateSyntaxProblem as problem:
        raise TextRefused(problem.part, str(problem)) from problem
    if text.variables_schema is not None:
        try:
            check_schema(text.variables_schema)
        except SchemaProblem as problem:
            raise TextRefused("variables_schema", str(problem)) from problem
    return CheckedText(required_variables=required)
