"""Logging in by password, for whoever asks: limited per client address, and for failures per address and
account. The user service does the work."""

from fastapi import Request, Response

from gateway_service.api.access import AccessControl
from gateway_service.api.client_address import client_address
from gateway_service.api.forwarding import HASHING_TIMEOUT_S, INVALID_CREDENTIALS, forward
from shared.contracts.http.auth import Credentials
from shared.web.problems import ApiProblem

_NOT_STORED = {"Cache-Control": "no-store"}  # RFC 6749, section 5.1


async def log_in_by_password(access: AccessControl, request: Request, credentials: Credentials) -> Response:
    """The user service's answer, which is a `TokenAnswer`. Raises a problem: 401 `invalid_credentials`, 429,
    and 503 where it does not answer."""
    client = client_address(request, access.trusted_proxies)
    whose = (client, credentials.email.lower())
    allowance = await access.limits.spend(access.limits.token, client)
    allowance.require()
    (await access.limits.look(access.limits.token_failures, *whose)).require()
    try:
        answer = await forward(
            access.logins,
            "POST",
            "/internal/v1/auth/token",
            body=credentials,
            timeout_s=HASHING_TIMEOUT_S,
        )
    except ApiProblem as problem:
        if problem.kind == INVALID_CREDENTIALS:
            await access.limits.spend(access.limits.token_failures, *whose)
        problem.headers.update(allowance.headers)
        raise
    answer.headers.update({**allowance.headers, **_NOT_STORED})
    return answer
