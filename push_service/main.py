"""The push service: settings, adapters, app."""

from collections.abc import Sequence
from functools import partial

from fastapi import FastAPI

from push_service.channel import PushChannel
from push_service.providers.fcm import FcmProvider, read_service_account
from push_service.settings import PushSettings
from shared.broker.interface import Broker
from shared.contracts.channels import PushContent
from shared.delivery.app import create_channel_app
from shared.delivery.provider import Provider
from shared.process.clock import SystemClock


def create_app(
    settings: PushSettings,
    *,
    providers: Sequence[Provider[PushContent]] | None = None,
    broker: Broker | None = None,
) -> FastAPI:
    """The app; without `providers` it sends over the FCM of the settings."""
    return create_channel_app(
        settings=settings,
        adapter=PushChannel(),
        providers=providers or (fcm_provider(settings),),
        broker=broker,
    )


def fcm_provider(settings: PushSettings) -> FcmProvider:
    """The FCM provider as configured."""
    return FcmProvider(
        partial(read_service_account, settings.fcm_credentials_file),
        url=settings.fcm_url,
        clock=SystemClock(),
        connections=settings.fcm_connections,
        timeout_s=settings.fcm_timeout_s,
    )
