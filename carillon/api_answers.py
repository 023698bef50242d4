"""What the public API answers, and what it refuses."""

from dataclasses import dataclass
from typing import TypeVar

import msgspec

AnswerT = TypeVar("AnswerT")
RefusedT = TypeVar("RefusedT", bound="Refused")


class _FieldProblem(msgspec.Struct, frozen=True):
    field: str
    message: str


class _Problem(msgspec.Struct, frozen=True):
    title: str = ""
    detail: str | None = None
    correlation_id: str | None = None
    errors: tuple[_FieldProblem, ...] = ()


class Refused(Exception):
    """The API has not done what it was asked to. `status` 0: there was no answer."""

    def __init__(self, status: int, complaint: str, *, correlation_id: str | None = None) -> None:
        super().__init__(complaint)
        self.status = status
        self.correlation_id = correlation_id


class InDoubt(Refused):
    """It may have been done, or not."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, and how long that took: of the try that was answered, in seconds."""

    status: int
    body: bytes
    took_s: float
    retry_after_s: float = 0.0
    correlation_id: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether it was done as asked."""
        return 200 <= self.status < 300

    def require(self) -> None:
        """Raises Refused where it was not done."""
        if not self.is_success:
            raise self._refusal(Refused)

    def as_(self, kind: type[AnswerT]) -> AnswerT:
        """The body. Raises Refused where it was not done, and where the body is none of these."""
        self.require()
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.MsgspecError as error:
            raise Refused(self.status, f"the answer is not as documented: {error}") from error

    def doubt(self) -> InDoubt:
        """What to raise where this answer leaves open whether it was done."""
        return self._refusal(InDoubt)

    def _refusal(self, kind: type[RefusedT]) -> RefusedT:
        problem = self._problem()
        wrong = "; ".join(f"{each.field} {each.message}" for each in problem.errors)
        complaint = wrong or problem.detail or problem.title or f"HTTP {self.status}"
        return kind(self.status, complaint, correlation_id=self.correlation_id or problem.correlation_id)

    def _problem(self) -> _Problem:
        try:
            return msgspec.json.decode(self.body, type=_Problem)
        except msgspec.MsgspecError:
            return _Problem()
