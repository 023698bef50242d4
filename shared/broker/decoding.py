"""Reading what came over the broker, where anything may come."""

from typing import TypeVar

import msgspec

StructT = TypeVar("StructT", bound=msgspec.Struct)


class Undecodable(Exception):
    """No message of the kind expected: not JSON, not UTF-8, nested too deep, or of another shape."""


def decode(body: bytes, kind: type[StructT]) -> StructT:
    """`body` as a `kind`. Raises Undecodable, and nothing else."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(f"not a {kind.__name__}") from error
