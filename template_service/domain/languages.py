"""Which languages stand in for one that a template does not have."""


def fallback(language: str | None, *, default: str) -> tuple[str, ...]:
    """`fr-CA`, `fr`, then the default language: BCP-47's look-up (RFC 4647, section 3.4)."""
    candidates = [*_ranges(language), *_ranges(default)] if language else _ranges(default)
    return tuple(dict.fromkeys(candidates))


def _ranges(language: str) -> list[str]:
    parts = language.split("-")
    shortened = []
    while parts:
        shortened.append("-".join(parts))
        parts.pop()
        if parts and len(parts[-1]) == 1:
            parts.pop()  # a lone letter only introduces what came after it
    return shortened
