"""What the domain refuses, as the problems that are answered."""

from collections.abc import Callable

from fastapi import FastAPI, Request, Response

from shared.web.problems import (
    ApiProblem,
    conflict,
    forbidden,
    not_found,
    problem_response,
    unavailable,
    unprocessable,
)
from user_service.domain.accounts import NotAuthenticated
from user_service.domain.api_keys import ApiKeyUnknown, ScopesBeyondOwner
from user_service.domain.devices import MAX_DEVICES, DeviceUnknown, TooManyDevices
from user_service.domain.passwords import TooManyLogins
from user_service.domain.preferences import MAX_CATEGORIES, TooManyCategories
from user_service.domain.users import EmailNeeded, LastAdmin, UserUnknown
from user_service.storage.users import Taken

_TAKEN = {
    "email": conflict("There is an account with this email already.", kind="email_taken"),
    "external_id": conflict("Somebody else has this external_id already.", kind="external_id_taken"),
}


def _taken(error: Exception) -> ApiProblem:
    assert isinstance(error, Taken)  # noqa: S101 - the table below says so
    return _TAKEN[error.field]


def _beyond_owner(error: Exception) -> ApiProblem:
    return forbidden(f"These scopes are not yours to give: {error}.")


_PROBLEMS: dict[type[Exception], Callable[[Exception], ApiProblem]] = {
    UserUnknown: lambda _: not_found("There is no such user."),
    DeviceUnknown: lambda _: not_found("There is no such device."),
    ApiKeyUnknown: lambda _: not_found("There is no such API key."),
    NotAuthenticated: lambda _: ApiProblem(
        status=401, kind="invalid_credentials", detail="These credentials are not valid."
    ),
    TooManyLogins: lambda _: unavailable("Too many logins at once. Ask again."),
    EmailNeeded: lambda _: unprocessable("email", "An account needs an email to log in with."),
    LastAdmin: lambda _: conflict(
        "This is the last administrator: make another one first.", kind="last_admin"
    ),
    TooManyCategories: lambda _: unprocessable("categories", f"At most {MAX_CATEGORIES} categories."),
    TooManyDevices: lambda _: conflict(f"A user has at most {MAX_DEVICES} devices.", kind="too_many_devices"),
    ScopesBeyondOwner: _beyond_owner,
    Taken: _taken,
}


def answer_refusals(app: FastAPI) -> None:
    """Answer each refusal as its problem."""
    for refusal in _PROBLEMS:
        app.add_exception_handler(refusal, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    return problem_response(_PROBLEMS[type(error)](error), path=request.url.path)
