"""A login leads back into the console, and nowhere else."""

import pytest

from gateway_service.console.paths import login_path, page_of, return_path


@pytest.mark.parametrize(
    "asked",
    [
        "/console",
        "/console/failed/causes/5d41402abc4b2a76b9719d911017c592?cursor=abc",
        "/console/notifications?status=unknown&created_after=2030-01-31T08%3A00",
    ],
)
def test_a_page_of_ours_is_gone_back_to(asked: str) -> None:
    assert return_path(asked) == asked


@pytest.mark.parametrize(
    "asked",
    [
        None,
        "",
        "https://example.org/console",
        "//example.org/console",
        "/console//example.org",
        "/\\example.org",
        "/console/\\example.org",
        "/console/../api/v1/users",
        "/console/%2e%2e/docs",
        "/console/.%2E/docs",
        "/consoles",
        "/console@example.org",
        "/docs",
        "javascript:alert(1)",
        "/console/x\r\nSet-Cookie: a=b",
        '/console/"><script>',
        "/console/login?next=/console/login",
        "/console/logout",
        "/console/live",
        "/console/" + "x" * 3_000,
    ],
)
def test_everywhere_else_is_not(asked: str | None) -> None:
    assert return_path(asked) == "/console"


def test_the_login_keeps_where_one_was_in_one_field() -> None:
    assert login_path("/console/failed?a=1&b=2") == "/console/login?next=%2Fconsole%2Ffailed%3Fa%3D1%26b%3D2"
    assert login_path("//example.org") == "/console/login"


@pytest.mark.parametrize(
    ("sent_to", "page"),
    [
        ("/console/jobs/7/pause", "/console/jobs/7"),
        ("/console/failed/causes/ab/reprocess", "/console/failed/causes/ab"),
        ("/console/logout", "/console"),
        ("/console/login", "/console/login"),
        ("/console/jobs/7", "/console/jobs/7"),
    ],
)
def test_what_answers_a_form_leads_back_to_the_page_of_the_form(sent_to: str, page: str) -> None:
    assert page_of(sent_to) == page
