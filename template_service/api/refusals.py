"""What the domain refuses, as the problems that are answered."""

from collections.abc import Callable

from fastapi import FastAPI, Request, Response

from shared.web.problems import (
    ApiProblem,
    FieldError,
    conflict,
    not_found,
    problem_response,
    unprocessable,
)
from template_service.domain.checking import TextRefused
from template_service.domain.previews import PreviewRefused
from template_service.domain.templates import TemplateUnknown, TypeFixed
from template_service.storage.templates import CodeTaken


def _text_refused(error: Exception) -> ApiProblem:
    assert isinstance(error, TextRefused)  # noqa: S101 - the table below says so
    return unprocessable(error.field, error.message, kind="template_invalid")


def _preview_refused(error: Exception) -> ApiProblem:
    assert isinstance(error, PreviewRefused)  # noqa: S101 - the table below says so
    errors = [FieldError(field, message) for field, message in error.problems]
    return ApiProblem(
        status=422, detail="The template cannot be rendered with these variables.", errors=errors
    )


_PROBLEMS: dict[type[Exception], Callable[[Exception], ApiProblem]] = {
    TemplateUnknown: lambda _: not_found("There is no such template, or no such version of it."),
    CodeTaken: lambda _: conflict("There is a template with this code already.", kind="code_taken"),
    TypeFixed: lambda _: conflict(
        "This code was used for another notification_type before, and keeps it.", kind="type_fixed"
    ),
    TextRefused: _text_refused,
    PreviewRefused: _preview_refused,
}


def answer_refusals(app: FastAPI) -> None:
    """Answer each refusal as its problem."""
    for refusal in _PROBLEMS:
        app.add_exception_handler(refusal, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    return problem_response(_PROBLEMS[type(error)](error), path=request.url.path)
