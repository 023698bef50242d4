"""What can be done with templates, and what is refused."""

import asyncio

import httpx
import pytest

from tests.builders import a_template


async def made(internal: httpx.AsyncClient, **changes: object) -> str:
    """The code of a new template."""
    answer = await internal.post("/templates", json=a_template(**changes))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


async def add_version(internal: httpx.AsyncClient, code: str, **changes: object) -> int:
    """The number of a new draft."""
    body = {"language": "en", "subject": "Again", "body": "<p>Again, {{ name }}</p>", **changes}
    answer = await internal.put(f"/templates/{code}", json=body)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


async def publish(internal: httpx.AsyncClient, code: str, version: int) -> None:
    """Publish it."""
    answer = await internal.post(f"/templates/{code}/versions/{version}/publish")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "published"


async def release(internal: httpx.AsyncClient, code: str, language: str | None = None) -> int | None:
    """The number of the version that would be sent."""
    query = {"language": language} if language else {}
    answer = await internal.get(f"/templates/{code}/release", params=query)
    return int(answer.json()["version"]) if answer.status_code == 200 else None


def wrong_field(answer: httpx.Response) -> str:
    """The field that a 422 names."""
    assert answer.status_code == 422, answer.text
    return str(answer.json()["errors"][0]["field"])


async def test_new_template_is_version_1_and_a_draft(internal: httpx.AsyncClient) -> None:
    body = a_template()
    answer = await internal.post("/templates", json=body)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/templates/{body['code']}"
    template = answer.json()
    assert (template["version"], template["status"], template["language"]) == (1, "draft", "en")
    assert template["required_variables"] == ["name", "order"]
    assert await release(internal, str(body["code"])) is None


async def test_code_is_given_once(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    again = await internal.post("/templates", json=a_template(code=code))
    assert again.status_code == 409
    assert again.json()["type"] == "urn:carillon:problem:code_taken"


async def test_same_code_at_once_makes_one_template(internal: httpx.AsyncClient) -> None:
    body = a_template()
    answers = await asyncio.gather(*(internal.post("/templates", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


async def test_versions_at_once_get_numbers_of_their_own(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    numbers = await asyncio.gather(*(add_version(internal, code) for _ in range(12)))
    assert sorted(numbers) == list(range(2, 14))


async def test_older_version_published_again_is_a_rollback(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    await publish(internal, code, 1)
    await publish(internal, code, await add_version(internal, code))
    assert await release(internal, code) == 2
    await publish(internal, code, 1)
    assert await release(internal, code) == 1
    versions = (await internal.get(f"/templates/{code}/versions")).json()["items"]
    assert [(item["version"], item["status"]) for item in versions] == [(2, "archived"), (1, "published")]


async def test_each_language_has_its_own_published_version(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    french = await add_version(internal, code, language="fr", subject="Commande", body="<p>{{ name }}</p>")
    await publish(internal, code, 1)
    await publish(internal, code, french)
    assert await release(internal, code, "en") == 1
    assert await release(internal, code, "fr") == french
    assert await release(internal, code, "fr-CA") == french
    assert await release(internal, code, "de") == 1
    assert await release(internal, code) == 1


async def test_publishing_at_once_leaves_one_published(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    numbers = [1, *[await add_version(internal, code) for _ in range(5)]]
    await asyncio.gather(*(publish(internal, code, number) for number in numbers))
    versions = (await internal.get(f"/templates/{code}/versions")).json()["items"]
    assert sum(item["status"] == "published" for item in versions) == 1


async def test_deleted_template_is_sent_no_more_but_stays_for_what_is_under_way(
    internal: httpx.AsyncClient,
) -> None:
    code = await made(internal)
    await publish(internal, code, 1)
    assert (await internal.delete(f"/templates/{code}")).status_code == 204
    assert await release(internal, code) is None
    assert (await internal.get(f"/templates/{code}")).status_code == 404
    assert (await internal.delete(f"/templates/{code}")).status_code == 404
    pinned = await internal.get(f"/templates/{code}/versions/1")
    assert pinned.status_code == 200
    assert pinned.json()["body"] == "<p>Hello {{ name }}</p>"


async def test_code_of_a_deleted_template_goes_on_counting(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    await publish(internal, code, 1)
    await internal.delete(f"/templates/{code}")
    again = await internal.post("/templates", json=a_template(code=code, body="<p>New</p>"))
    assert again.status_code == 201
    assert again.json()["version"] == 2
    assert (await internal.get(f"/templates/{code}/versions/1")).json()["body"] == "<p>Hello {{ name }}</p>"
    await internal.delete(f"/templates/{code}")
    other_type = a_template(code=code, notification_type="push", body="New")
    assert (await internal.post("/templates", json=other_type)).status_code == 409


async def test_draft_cannot_be_pinned(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    assert (await internal.get(f"/templates/{code}/versions/1")).status_code == 404


async def test_template_is_read_by_language_and_version(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    await publish(internal, code, 1)
    french = await add_version(internal, code, language="fr")

    async def read(**query: object) -> tuple[int, int | None]:
        answer = await internal.get(f"/templates/{code}", params={k: str(v) for k, v in query.items()})
        return answer.status_code, answer.json().get("version")

    assert await read() == (200, 1)
    assert await read(version=french) == (200, french)
    assert await read(language="fr", version=french) == (200, french)
    assert await read(language="en", version=french) == (404, None)
    assert await read(language="de") == (200, 1)
    assert await read(version=99) == (404, None)
    assert (await read(version=0))[0] == 422
    assert (await read(version=2**31))[0] == 422


async def test_list_is_newest_first_and_in_pages(internal: httpx.AsyncClient) -> None:
    codes = [await made(internal) for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while len(seen) < len(codes):
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await internal.get("/templates", params=query)).json()
        seen += [item["code"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen[: len(codes)] == codes[::-1]


async def test_list_names_what_is_published(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    await publish(internal, code, await add_version(internal, code, language="fr"))
    item = (await internal.get("/templates", params={"limit": "1"})).json()["items"][0]
    assert (item["code"], item["published_languages"]) == (code, ["fr"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"body": "<p>{{ name }</p>"}, "body"),
        ({"body": "{% include 'x' %}"}, "body"),
        ({"subject": "{% if %}"}, "subject"),
        ({"text_body": "{{ ''.__class__ }}"}, "text_body"),
        ({"variables_schema": {"type": "objekt"}}, "variables_schema"),
        ({"variables_schema": {"$ref": "https://example.com/schema"}}, "variables_schema"),
        ({"code": "Order Shipped"}, "code"),
        ({"code": "a" * 65}, "code"),
        ({"language": "english"}, "language"),
        ({"notification_type": "pigeon"}, "notification_type"),
        ({"body": ""}, "body"),
        ({"body": "a\x00b"}, "body"),
        ({"body": "x" * (512 * 1024 + 1)}, "body"),
        ({"subjekt": "x"}, "subjekt"),
    ],
)
async def test_bad_template_is_refused_by_field(
    internal: httpx.AsyncClient, changes: dict[str, object], field: str
) -> None:
    assert wrong_field(await internal.post("/templates", json=a_template(**changes))) == field


async def test_syntax_error_names_the_line(internal: httpx.AsyncClient) -> None:
    answer = await internal.post("/templates", json=a_template(body="<p>\n{{ name }}\n{% endif %}</p>"))
    assert "line 3" in answer.json()["errors"][0]["message"]


async def test_subject_is_needed_and_a_text_part_only_for_mail(internal: httpx.AsyncClient) -> None:
    answer = await internal.post("/templates", json=a_template(subject=None))
    assert (answer.status_code, wrong_field(answer)) == (422, "subject")
    push = a_template(notification_type="push", body="Hello", text_body="Hello")
    assert (await internal.post("/templates", json=push)).status_code == 422
    code = await made(internal)
    answer = await internal.put(f"/templates/{code}", json={"language": "en", "body": "x"})
    assert wrong_field(answer) == "subject"


async def test_preview_is_what_would_be_sent(internal: httpx.AsyncClient) -> None:
    code = await made(internal)
    answer = await internal.post(
        f"/templates/{code}/preview", json={"variables": {"name": "<Ann>", "order": "7\r\nBcc: x"}}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "subject": "Your order 7 Bcc: x",
        "html": "<p>Hello &lt;Ann&gt;</p>",
        "text": "Hello <Ann>\n",
        "language": "en",
        "version": 1,
    }


async def test_preview_of_push_is_plain_text(internal: httpx.AsyncClient) -> None:
    code = await made(internal, notification_type="push", subject="Hi", body="Hello {{ name }}")
    answer = await internal.post(f"/templates/{code}/preview", json={"variables": {"name": "<Ann>"}})
    assert (answer.json()["html"], answer.json()["text"]) == (None, "Hello <Ann>")


async def test_preview_names_what_is_missing(internal: httpx.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"order": {"type": "integer"}}}
    code = await made(internal, variables_schema=schema)
    answer = await internal.post(f"/templates/{code}/preview", json={"variables": {"order": "seven"}})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "variables.name", "message": "is required by the template"},
        {"field": "variables.order", "message": "must be of type integer"},
    ]


async def test_preview_of_an_attack_is_an_answer(internal: httpx.AsyncClient) -> None:
    code = await made(
        internal, body="{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
    )
    answer = await internal.post(f"/templates/{code}/preview", json={"variables": {"order": 1}})
    assert answer.status_code == 422
    assert "too many steps" in answer.text


async def test_services_only(template_app: httpx.ASGITransport) -> None:
    async with httpx.AsyncClient(transport=template_app, base_url="http://t") as anybody:
        assert (await anybody.get("/internal/v1/templates")).status_code == 401
        assert (await anybody.get("/internal/v1/templates/x/release")).status_code == 401
        assert (await anybody.get("/health")).status_code == 200
        ready = await anybody.get("/ready")
        assert ready.status_code == 200, ready.text
        assert set(ready.json()["checks"]) == {"database", "broker"}
