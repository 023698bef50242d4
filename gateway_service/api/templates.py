"""Templates: who may do what is decided here, the rest in the template service."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status

from gateway_service.api.access import require
from gateway_service.api.forwarding import forward
from shared.clients.peer import Peer
from shared.clients.templates import TemplateClient
from shared.contracts.http.auth import Scope
from shared.contracts.http.base import PageQuery
from shared.contracts.http.notifications import TemplateCode
from shared.contracts.http.templates import (
    NewTemplate,
    NewTemplateVersion,
    Preview,
    PreviewRequest,
    Template,
    TemplateFilter,
    TemplatePage,
    TemplateVersionPage,
    VersionChoice,
    VersionNumber,
)
from shared.web.openapi import problem_responses

router = APIRouter(prefix="/templates", tags=["templates"], responses=problem_responses(503))
_INTERNAL = "/internal/v1/templates"
_WRITING_TIMEOUT_S = 10.0
"""A large template is compiled and checked before it is stored."""

_may_read = [Depends(require(Scope.TEMPLATES_READ))]
_may_write = [Depends(require(Scope.TEMPLATES_WRITE))]
Code = Annotated[TemplateCode, Path(description="The template's code.", examples=["order_shipped"])]
Number = Annotated[VersionNumber, Path(description="The number of a version.")]


def _template_service(request: Request) -> Peer:
    return cast(TemplateClient, request.app.state.templates).peer


TemplateService = Annotated[Peer, Depends(_template_service)]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=Template,
    dependencies=_may_write,
    summary="Add a template",
    responses=problem_responses(409),
)
async def create_template(new: NewTemplate, service: TemplateService) -> Response:
    """Makes version 1 as a draft: publish it to send it. The syntax is Jinja2's, without `include`,
    `import`, `extends` and `block`, and with a limit on the work a message may take."""
    answer = await forward(service, "POST", _INTERNAL, body=new, timeout_s=_WRITING_TIMEOUT_S)
    answer.headers["Location"] = f"/api/v1/templates/{new.code}"
    return answer


@router.get("", response_model=TemplatePage, dependencies=_may_read, summary="List templates")
async def list_templates(wanted: Annotated[TemplateFilter, Query()], service: TemplateService) -> Response:
    """Newest first, without their texts."""
    query = wanted.model_dump(mode="json", exclude_none=True)
    return await forward(service, "GET", _INTERNAL, query=query)


@router.get(
    "/{code}",
    response_model=Template,
    dependencies=_may_read,
    summary="Read a template",
    responses=problem_responses(404),
)
async def read_template(
    code: Code, choice: Annotated[VersionChoice, Query()], service: TemplateService
) -> Response:
    """With `version`, that one. With `language`, what would be sent in it (`fr-CA`, else `fr`, else the
    default language), or its newest draft where nothing is published. With neither, what is published for
    the default language, or the newest version."""
    query = choice.model_dump(mode="json", exclude_none=True)
    return await forward(service, "GET", f"{_INTERNAL}/{code}", query=query)


@router.put(
    "/{code}",
    response_model=Template,
    dependencies=_may_write,
    summary="Add a version",
    responses=problem_responses(404),
)
async def add_version(code: Code, new: NewTemplateVersion, service: TemplateService) -> Response:
    """A draft with the next number. What is published stays as it is until this is published."""
    # Not tried again by itself: each time makes a version.
    return await forward(
        service, "PUT", f"{_INTERNAL}/{code}", body=new, timeout_s=_WRITING_TIMEOUT_S, again=False
    )


@router.get(
    "/{code}/versions",
    response_model=TemplateVersionPage,
    dependencies=_may_read,
    summary="List versions",
    responses=problem_responses(404),
)
async def list_versions(
    code: Code, wanted: Annotated[PageQuery, Query()], service: TemplateService
) -> Response:
    """Newest first, in all languages."""
    query = wanted.model_dump(mode="json", exclude_none=True)
    return await forward(service, "GET", f"{_INTERNAL}/{code}/versions", query=query)


@router.post(
    "/{code}/versions/{number}/publish",
    response_model=Template,
    dependencies=_may_write,
    summary="Publish a version",
    responses=problem_responses(404),
)
async def publish_version(code: Code, number: Number, service: TemplateService) -> Response:
    """It is sent from now on in its language, within a second everywhere. An older version is a rollback.
    Notifications that were released before keep the version they were released with."""
    return await forward(service, "POST", f"{_INTERNAL}/{code}/versions/{number}/publish")


@router.delete(
    "/{code}",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    dependencies=_may_write,
    summary="Remove a template",
    responses=problem_responses(404),
)
async def remove_template(code: Code, service: TemplateService) -> Response:
    """No more is accepted for it; what was released before is still sent."""
    return await forward(service, "DELETE", f"{_INTERNAL}/{code}")


@router.post(
    "/{code}/preview",
    response_model=Preview,
    dependencies=_may_read,
    summary="Preview a template",
    responses=problem_responses(404),
)
async def preview_template(code: Code, wanted: PreviewRequest, service: TemplateService) -> Response:
    """What would be sent with these variables; 422 names each that is missing or does not fit."""
    return await forward(
        service, "POST", f"{_INTERNAL}/{code}/preview", body=wanted, timeout_s=_WRITING_TIMEOUT_S
    )
