"""The templates that come with the project: all languages, both kinds, every variable."""

import random
import re
from datetime import UTC, datetime

import pytest

from carillon.demo.catalogue import FOLDER, LANGUAGES, DemoTemplate, read_templates
from carillon.demo.letters import Letter, write_letters
from carillon.demo.locales import LOCALES
from carillon.demo.people import make_people
from carillon.demo.verdict import expect
from carillon.setup_error import SetupError
from push_service.channel import LARGEST_TEXT_BYTES
from shared.contracts.channels import Channel
from shared.contracts.templates import TemplateVersion
from shared.delivery.rendering import Renderer, analyse, check_variables
from shared.process.identifiers import uuid7

TEMPLATES = read_templates()
CASES = [
    pytest.param(template, language, id=f"{template.code}-{language}")
    for template in TEMPLATES
    for language in LANGUAGES
]


def letter_for(template: DemoTemplate, language: str) -> Letter:
    """One to somebody who speaks the language."""
    chance = random.Random(template.code + language)
    people = [
        person
        for person in make_people(len(LOCALES), run="unit", chance=chance)
        if person.locale.language == language
    ]
    [letter] = write_letters(
        1,
        templates=[template],
        people=people,
        run="unit",
        chance=chance,
        now=datetime(2027, 3, 1, tzinfo=UTC),
    )
    return letter


def published(template: DemoTemplate, language: str) -> TemplateVersion:
    """As the template service would have it."""
    text = template.texts[language]
    return TemplateVersion(
        code=template.code,
        channel=template.channel,
        version=1,
        language=language,
        subject=text.subject,
        body=text.body,
        text_body=text.text_body,
        required_variables=analyse(
            subject=text.subject, body=text.body, text_body=text.text_body, channel=template.channel
        ),
        variables_schema=dict(template.variables_schema),
    )


def test_there_are_five_events_as_mail_and_as_push() -> None:
    assert LANGUAGES == ("en", "de", "fr", "es")
    assert {template.code for template in TEMPLATES if template.channel is Channel.EMAIL} == {
        "welcome", "password_reset", "order_shipped", "invoice", "security_alert",
    }  # fmt: skip
    assert {template.code for template in TEMPLATES if template.channel is Channel.PUSH} == {
        f"{template.code}_push" for template in TEMPLATES if template.channel is Channel.EMAIL
    }
    assert all(set(template.texts) == set(LANGUAGES) for template in TEMPLATES)


@pytest.mark.parametrize(("template", "language"), CASES)
def test_it_takes_exactly_the_variables_that_are_sent(template: DemoTemplate, language: str) -> None:
    letter, version = letter_for(template, language), published(template, language)
    assert check_variables(version, letter.variables) == []
    for name in letter.variables:
        without = {key: value for key, value in letter.variables.items() if key != name}
        assert f"variables.{name}" in [field for field, _ in check_variables(version, without)]
    assert check_variables(version, {**letter.variables, "nmae": "Ann"}) != []


@pytest.mark.parametrize(("template", "language"), CASES)
def test_it_says_what_an_ordinary_jinja_would_say(template: DemoTemplate, language: str) -> None:
    letter = letter_for(template, language)
    rendered = Renderer().render(published(template, language), letter.variables)
    expected = expect(uuid7(), letter)
    assert rendered.subject == expected.subject
    assert (rendered.text_body or rendered.body) == expected.text
    for part in (rendered.subject, rendered.body, rendered.text_body or ""):
        assert not re.search(r"\{\{|\{%|\[\[|\[%", part)
    assert any(value in expected.text + expected.subject for value in expected.values.values())


@pytest.mark.parametrize(("template", "language"), [c for c in CASES if c.values[0].channel is Channel.EMAIL])  # type: ignore[union-attr]
def test_a_mail_is_whole(template: DemoTemplate, language: str) -> None:
    """Its language for screen readers, a preheader, layout tables that say so, and no page to be fetched."""
    letter = letter_for(template, language)
    rendered = Renderer().render(published(template, language), letter.variables)
    html, text = rendered.body, rendered.text_body or ""
    assert f'<html lang="{language}"' in html
    assert '<div style="display:none;' in html
    assert 'role="presentation"' in html
    assert "@media (max-width: 620px)" in html
    assert not re.search(r"<script|<link|<img|@import|url\(", html)
    links = re.findall(r'href="([^"]+)"', html)
    assert all(link.startswith("https://") for link in links)
    for link in links[1:]:
        assert link.replace("&amp;", "&") in text
    assert not re.search(r"<[a-z]+[ >]|&[a-z]+;", text)


@pytest.mark.parametrize(("template", "language"), [c for c in CASES if c.values[0].channel is Channel.PUSH])  # type: ignore[union-attr]
def test_a_push_message_fits_a_lock_screen(template: DemoTemplate, language: str) -> None:
    expected = expect(uuid7(), letter_for(template, language))
    assert len(expected.subject) <= 65
    assert len(expected.text) <= 240
    assert len((expected.subject + expected.text).encode()) < LARGEST_TEXT_BYTES


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.code)
def test_no_language_was_left_untranslated(template: DemoTemplate) -> None:
    assert len({text.body for text in template.texts.values()}) == len(LANGUAGES)
    assert len({text.subject for text in template.texts.values()}) == len(LANGUAGES)


def test_a_file_with_a_fault_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("templates")
    for path in FOLDER.rglob("*.*"):
        copy = folder / path.relative_to(FOLDER)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text())
    german = folder / "welcome" / "de.toml"
    german.write_text(german.read_text().replace("button =", "buton ="))
    with pytest.raises(SetupError, match="'button'"):
        read_templates(folder)
