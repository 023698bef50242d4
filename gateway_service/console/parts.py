"""Where pages find the domain: the very objects that answer the API."""

from typing import cast

from fastapi import Request

from gateway_service.domain.failures import Failures
from gateway_service.domain.reading import Reading
from gateway_service.domain.reprocess_jobs import ReprocessJobs
from gateway_service.domain.reprocessing import Reprocessing
from gateway_service.domain.resolving import Resolving


def failures_of(request: Request) -> Failures:
    """What failed."""
    return cast(Failures, request.app.state.failures)


def reprocessing_of(request: Request) -> Reprocessing:
    """What is done about it."""
    return cast(Reprocessing, request.app.state.reprocessing)


def jobs_of(request: Request) -> ReprocessJobs:
    """What sends many again."""
    return cast(ReprocessJobs, request.app.state.reprocess_jobs)


def notifications_of(request: Request) -> Reading:
    """What was sent, or is to be."""
    return cast(Reading, request.app.state.reading)


def resolving_of(request: Request) -> Resolving:
    """What settles a doubt."""
    return cast(Resolving, request.app.state.resolving)
