"""Which Carillon this is."""

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("carillon")
    except PackageNotFoundError:
        return "none"


VERSION = _installed()
"""As in pyproject.toml; `none` where the sources run without having been installed."""
