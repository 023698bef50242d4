"""How a template looks with given variables: rendered by the very code that the workers use."""

import asyncio

from shared.contracts.channels import CONTENT_FORMATS
from shared.contracts.http.templates import Preview, Template
from shared.contracts.templates import TemplateVersion
from shared.delivery.plain_text import text_of
from shared.delivery.rendering import Renderer, RenderError, check_variables


class PreviewRefused(Exception):
    """The variables do not fit, or cannot be rendered: (field, message) of each problem."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("the template cannot be rendered with these variables")
        self.problems = problems


async def preview(renderer: Renderer, template: Template, variables: dict[str, object]) -> Preview:
    """What would be sent. Rendered in a thread, since an expensive template takes some 0.3 s.
    Raises PreviewRefused."""
    return await asyncio.to_thread(_preview, renderer, template, variables)


def _preview(renderer: Renderer, template: Template, variables: dict[str, object]) -> Preview:
    version = TemplateVersion(
        code=template.code,
        channel=template.notification_type,
        version=template.version,
        language=template.language,
        subject=template.subject,
        body=template.body,
        text_body=template.text_body,
        required_variables=template.required_variables,
        variables_schema=template.variables_schema,
    )
    problems = check_variables(version, variables)
    if problems:
        raise PreviewRefused(problems)
    try:
        rendered = renderer.render(version, variables)
    except RenderError as error:
        raise PreviewRefused([("variables", error.message)]) from error
    is_html = CONTENT_FORMATS[version.channel].body_is_html
    text = rendered.text_body
    if text is None:
        text = text_of(rendered.body) if is_html else rendered.body
    return Preview(
        subject=rendered.subject,
        html=rendered.body if is_html else None,
        text=text,
        language=version.language,
        version=version.version,
    )
