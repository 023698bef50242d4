"""The push stand-in as an application: a parts list."""

from fastapi import FastAPI

from carillon.pages.site import page_routes
from carillon.push_standin.api import PushStandin, standin_routes
from carillon.push_standin.oauth import AccessTokens, token_route
from carillon.push_standin.service_account import read_service_account
from carillon.push_standin.settings import PushStandinSettings
from shared.process.clock import SystemClock


def create_app(settings: PushStandinSettings) -> FastAPI:
    """FCM's API for the account in `settings.fcm_credentials_file`, and a page that shows what came."""
    account = read_service_account(settings.fcm_credentials_file.read_text())
    tokens = AccessTokens()
    standin = PushStandin(
        project=account.project_id, capacity=settings.push_standin_capacity, now=SystemClock().now
    )
    app = FastAPI(title="Carillon push stand-in", openapi_url=None)
    app.include_router(token_route(account, tokens))
    app.include_router(standin_routes(standin, tokens))
    app.include_router(page_routes("push"))
    return app
