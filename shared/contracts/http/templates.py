"""Templates, their versions and previews."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.channels import CONTENT_FORMATS, Channel
from shared.contracts.http.base import LanguageTag, Name, Page, PageQuery, StrictModel
from shared.contracts.http.notifications import TemplateCode, Variables, check_nested

MAX_VERSION = 2**31 - 1
Subject = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=512 * 1024)]
VersionNumber = Annotated[int, Field(ge=1, le=MAX_VERSION)]


class TemplateStatus(StrEnum):
    """Of a version: `published` is what is sent; `archived` was published once, or is not to be any more."""

    DRAFT = "draft"
    PUBLISHED = "published"
    ARCHIVED = "archived"


class TemplateText(StrictModel):
    """What a version says, in Jinja2 syntax, for one language."""

    language: LanguageTag = Field(examples=["en"])
    subject: Subject | None = Field(
        default=None,
        description="The subject of a mail, the title of a push message; one line of plain text.",
        examples=["Your order has shipped"],
    )
    body: Text = Field(
        description="HTML for email, in which values are escaped; plain text for push.",
        examples=["<p>Hello {{ name }}, your order has shipped.</p>"],
    )
    text_body: Text | None = Field(
        default=None, description="The plain-text part of a mail; made from the body where it is not given."
    )
    variables_schema: Annotated[dict[str, JsonValue], AfterValidator(check_nested)] | None = Field(
        default=None,
        description="JSON Schema 2020-12 for the variables; `format` is not enforced.",
        examples=[{"type": "object", "properties": {"name": {"type": "string"}}}],
    )


class NewTemplate(TemplateText):
    """POST /templates: makes the template, and version 1 of it as a draft."""

    code: TemplateCode = Field(examples=["order_shipped"])
    name: Name = Field(examples=["Order shipped"])
    notification_type: Channel

    @model_validator(mode="after")
    def _fit_channel(self) -> Self:
        problem = misfit(self, self.notification_type)
        if problem is not None:
            field, message = problem
            raise PydanticCustomError("channel", "{message}", {"message": message, "field": field})
        return self


class NewTemplateVersion(TemplateText):
    """PUT /templates/{code}: makes a further version as a draft. `name` renames the template."""

    name: Name | None = None


class Template(StrictModel):
    """A template as one of its versions. `required_variables` are those it uses without a default."""

    code: str = Field(examples=["order_shipped"])
    name: str = Field(examples=["Order shipped"])
    notification_type: Channel
    version: int
    language: str = Field(examples=["en"])
    status: TemplateStatus
    subject: str | None = Field(examples=["Your order has shipped"])
    body: str = Field(examples=["<p>Hello {{ name }}, your order has shipped.</p>"])
    text_body: str | None
    variables_schema: dict[str, Any] | None = Field(examples=[{"type": "object"}])
    required_variables: tuple[str, ...] = Field(examples=[["name"]])
    created_at: datetime
    published_at: datetime | None = Field(description="When the version was last published.")


class TemplateSummary(StrictModel):
    """A template in a list. `version`, `language` and `status` are of the version that GET
    /templates/{code} answers; `published_languages` are those in which it can be sent."""

    code: str = Field(examples=["order_shipped"])
    name: str = Field(examples=["Order shipped"])
    notification_type: Channel
    version: int
    language: str = Field(examples=["en"])
    status: TemplateStatus
    published_languages: tuple[str, ...] = Field(examples=[["en"]])
    created_at: datetime
    updated_at: datetime


TemplatePage = Page[TemplateSummary]
TemplateVersionPage = Page[Template]


class TemplateFilter(PageQuery):
    """GET /templates."""

    notification_type: Channel | None = None


class VersionChoice(StrictModel):
    """Which version is meant. Without both: what is published for the default language, else the newest
    version. `language` alone: what would be sent in it, else its newest draft."""

    language: LanguageTag | None = None
    version: VersionNumber | None = None


class PreviewRequest(VersionChoice):
    """POST /templates/{code}/preview."""

    variables: Variables = Field(default={}, examples=[{"name": "Ann"}])


class Preview(StrictModel):
    """What would be sent. `html` is null for a channel without it."""

    subject: str | None = Field(examples=["Your order has shipped"])
    html: str | None = Field(examples=["<p>Hello Ann, your order has shipped.</p>"])
    text: str = Field(examples=["Hello Ann, your order has shipped."])
    language: str = Field(examples=["en"])
    version: int


def misfit(text: TemplateText, channel: Channel) -> tuple[str, str] | None:
    """(field, message) of what in `text` the channel has no use for, or lacks."""
    content = CONTENT_FORMATS[channel]
    if content.subject_required and text.subject is None:
        return "subject", f"a template for {channel.value} needs one"
    if text.text_body is not None and not content.body_is_html:
        return "text_body", f"a template for {channel.value} is plain text already"
    return None
