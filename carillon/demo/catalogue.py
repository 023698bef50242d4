"""The templates that come with the project, put together from the files in `templates/`.

Each has a folder: `template.json` says what it is and which variables it takes, `email.html` and `email.txt`
how its mail is built, and a file for each language what it says, as a mail and as a push message. Frame and
parts are common to all. The square brackets are filled in here, the curly ones by Carillon for each person.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
from pydantic import BaseModel, ConfigDict, JsonValue

from carillon.setup_error import SetupError
from shared.contracts.channels import Channel

FOLDER = Path(__file__).parent / "templates"
LANGUAGES = ("en", "de", "fr", "es")
"""English comes first: it is Carillon's default language, which stands in for all others."""

MARK = "One of the templates of `carillon demo`, which keeps it up to date."
"""Stands in each schema as its `$comment`: somebody's own template is never taken for one of these."""


class _About(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    category: str
    priority: int
    variables_schema: dict[str, JsonValue]


@dataclass(frozen=True, kw_only=True)
class TemplateText:
    """What a template says in one language."""

    subject: str
    body: str
    text_body: str | None


@dataclass(frozen=True, kw_only=True)
class DemoTemplate:
    """A template for one channel, in all languages. The mail and the push message of one `event` take the
    same variables."""

    code: str
    event: str
    name: str
    channel: Channel
    category: str
    priority: int
    variables_schema: Mapping[str, JsonValue]
    texts: Mapping[str, TemplateText]


def read_templates(folder: Path = FOLDER) -> tuple[DemoTemplate, ...]:
    """All of them, the mail and the push message of each event. Raises SetupError for a file with a fault."""
    try:
        events = sorted(path.parent for path in folder.glob("*/template.json"))
        return tuple(template for event in events for template in _of_event(event))
    except (OSError, ValueError, jinja2.TemplateError) as error:
        raise SetupError(f"The templates in {folder} cannot be used: {error}.") from error


def _of_event(event: Path) -> tuple[DemoTemplate, DemoTemplate]:
    about = _About.model_validate_json((event / "template.json").read_bytes())
    builder = jinja2.Environment(
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        loader=jinja2.FileSystemLoader([event, event.parent]),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
    )
    mails: dict[str, TemplateText] = {}
    pushes: dict[str, TemplateText] = {}
    for language in LANGUAGES:
        words = _words(event / f"{language}.toml")
        known = {"language": language, "frame": _words(event.parent / f"{language}.toml"), "text": words}
        mails[language] = TemplateText(
            subject=words["subject"],
            body=builder.get_template("email.html").render(known),
            text_body=builder.get_template("email.txt").render(known),
        )
        pushes[language] = TemplateText(subject=words["push_title"], body=words["push_body"], text_body=None)
    name, code = about.name, event.name
    return (
        _template(code, about, Channel.EMAIL, mails, code=code, name=name),
        _template(code, about, Channel.PUSH, pushes, code=f"{code}_push", name=f"{name} (push)"),
    )


def _template(
    event: str, about: _About, channel: Channel, texts: Mapping[str, TemplateText], *, code: str, name: str
) -> DemoTemplate:
    return DemoTemplate(
        code=code,
        event=event,
        name=name,
        channel=channel,
        category=about.category,
        priority=about.priority,
        variables_schema={"$comment": MARK, **about.variables_schema},
        texts=texts,
    )


def _words(path: Path) -> dict[str, str]:
    words = tomllib.loads(path.read_text("utf-8"))
    if wrong := [name for name, value in words.items() if not isinstance(value, str)]:
        raise ValueError(f"{path}: {', '.join(wrong)} is no text")
    return words
