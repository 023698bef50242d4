"""Who may call `/internal/v1`: services with a token that is meant for this one."""

from collections.abc import Awaitable, Callable

from fastapi import Request

from shared.process.service_tokens import InvalidServiceToken, ServiceTokens
from shared.web.problems import unauthorized


def require_service(audience: str) -> Callable[[Request], Awaitable[str]]:
    """A dependency for the internal routers of the service named `audience`: gives the caller's name, and
    answers 401 to everybody else. `build_app` provides the key."""

    async def calling_service(request: Request) -> str:
        tokens: ServiceTokens = request.app.state.service_tokens
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("A service token is needed.")
        try:
            return tokens.verify(token.strip(), audience=audience)
        except InvalidServiceToken as error:
            raise unauthorized("The service token is not valid.") from error

    return calling_service
