"""Templates as the gateway and the workers fetch them (`/internal/v1`)."""

from typing import Any

import msgspec

from shared.contracts.channels import Channel


class TemplateVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a template: immutable once it is published.

    `required_variables`: names the template uses without a default. `variables_schema`: JSON Schema
    2020-12 for the variables, or None.

    GET /internal/v1/templates/{code}/release?language= answers the published version for a language
    (`fr-CA` -> `fr` -> the default language); GET /internal/v1/templates/{code}/versions/{n} a certain one.
    404 where there is none.
    """

    code: str
    channel: Channel
    version: int
    language: str
    subject: str | None
    body: str
    text_body: str | None
    required_variables: tuple[str, ...]
    variables_schema: dict[str, Any] | None
