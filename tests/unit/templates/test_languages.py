"""Which languages stand in for one that is not there."""

import pytest

from template_service.domain.languages import fallback


@pytest.mark.parametrize(
    ("language", "default", "expected"),
    [
        (None, "en", ("en",)),
        ("fr", "en", ("fr", "en")),
        ("fr-CA", "en", ("fr-CA", "fr", "en")),
        ("zh-Hant-TW", "en", ("zh-Hant-TW", "zh-Hant", "zh", "en")),
        ("en-GB", "en", ("en-GB", "en")),
        ("de", "pt-BR", ("de", "pt-BR", "pt")),
        ("de-x-kai", "en", ("de-x-kai", "de", "en")),
    ],
)
def test_language_falls_back_to_what_is_nearest(
    language: str | None, default: str, expected: tuple[str, ...]
) -> None:
    assert fallback(language, default=default) == expected
