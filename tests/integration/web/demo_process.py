"""A service as it runs: `python -m tests.integration.web.demo_process`."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.responses import StreamingResponse

from shared.web.app import build_app
from shared.web.health import Readiness
from shared.web.server import run_service
from tests.unit.web.demo import DemoSettings, Thing


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Says when it ends."""
    yield
    print("lifespan ended", flush=True)


def create_app(settings: DemoSettings) -> FastAPI:
    """One route that takes a body, one that takes its time, and one whose answer lasts."""
    app = build_app(
        settings=settings,
        title="Demo",
        version="1",
        lifespan=lifespan,
        readiness=Readiness(),
        internal_only=True,
    )

    @app.post("/things")
    async def things(thing: Thing) -> str:
        return thing.name

    @app.get("/slow")
    async def slow() -> str:
        print("slow began", flush=True)
        await asyncio.sleep(1)
        return "done"

    told = asyncio.Event()
    app.state.before_stopping.append(told.set)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def words() -> AsyncIterator[str]:
            yield "hello\n"
            await told.wait()
            yield "farewell\n"

        return StreamingResponse(words())

    @app.get("/hang")
    async def hang() -> str:
        return str(re.match(r"(a+)+$", "a" * 60 + "b"))

    return app


if __name__ == "__main__":
    sys.exit(run_service(create_app, DemoSettings))
