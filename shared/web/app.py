"""The shell that every service's routes stand in."""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI

from shared.process.service_tokens import ServiceTokens
from shared.process.settings import ProcessSettings, ServiceAuthSettings
from shared.web.admission import Admission, AdmissionMiddleware
from shared.web.body import MAX_BODY_BYTES, READ_TIMEOUT_S, BodyMiddleware
from shared.web.correlation import CorrelationMiddleware
from shared.web.docs import docs_router
from shared.web.health import Readiness, health_router
from shared.web.methods import HeadMiddleware
from shared.web.observation import ObservationMiddleware
from shared.web.openapi import describe
from shared.web.problems import add_problem_handlers

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_app(
    *,
    settings: ProcessSettings,
    title: str,
    version: str,
    lifespan: Lifespan,
    readiness: Readiness,
    internal_only: bool,
    form_paths: Collection[str] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
    body_timeout_s: float = READ_TIMEOUT_S,
    admission: Admission | None = None,
) -> FastAPI:
    """An app with problems, correlation ids, body limits, /health, /ready and /metrics; add routers to it.

    `internal_only`: no /docs and no /openapi.json. `form_paths`: routes that take a form in place of JSON
    (see BodyMiddleware). `body_timeout_s`: how long a body may take to come. `admission`: how much is taken
    in hand at once; without it, everything. Where the settings have a service secret,
    `app.state.service_tokens` issues and checks service tokens in the service's name.

    `app.state.before_stopping` is a list of functions that are called when the process was told to stop and
    before it waits for the answers that are under way: an answer that would last ends there.
    """
    app = FastAPI(
        title=title,
        version=version,
        lifespan=lifespan,
        openapi_url=None if internal_only else "/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    before_stopping: list[Callable[[], None]] = []
    app.state.before_stopping = before_stopping
    if isinstance(settings, ServiceAuthSettings):
        app.state.service_tokens = ServiceTokens(settings.service_secret, settings.service_name)
    # The last that is added is the outermost.
    app.add_middleware(
        BodyMiddleware, max_bytes=max_body_bytes, read_timeout_s=body_timeout_s, form_paths=form_paths
    )
    app.add_middleware(HeadMiddleware)
    app.add_middleware(ObservationMiddleware)
    app.add_middleware(CorrelationMiddleware)
    if admission is not None:
        app.add_middleware(AdmissionMiddleware, admission=admission, max_body_bytes=max_body_bytes)
    add_problem_handlers(app)
    app.include_router(health_router(service=settings.service_name, version=version, readiness=readiness))
    if not internal_only:
        app.include_router(docs_router(title=title))
    describe(app, may_refuse=admission is not None)
    return app
