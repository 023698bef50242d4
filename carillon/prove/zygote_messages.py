"""What is said between the zygote and whoever has services forked."""

import msgspec


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Fork one: run `module` as `python -m` does. `number` names it in what is told; its output is appended
    to `log`; its clock goes wrong by so many seconds; with `poisonable` a mail can be its death."""

    number: int
    module: str
    environment: dict[str, str]
    log: str
    clock_offset_s: float = 0.0
    poisonable: bool = False


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """It is there; its process id."""

    number: int
    pid: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """It is gone; its exit code, negative for a signal."""

    number: int
    code: int


Told = Started | Ended
