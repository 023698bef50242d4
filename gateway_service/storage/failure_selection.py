"""Which failures are meant, as one condition for lists, summaries and whatever is done to many."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.contracts.http.failures import FailureFilter, FailureStatus


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What comes after WHERE, with the values of its parameters, `$1` and on."""

    sql: str
    values: tuple[object, ...]

    def and_(self, sql: str, *values: object) -> "Condition":
        """Narrowed down; `{}` in `sql` stands for the parameters in their order."""
        numbers = range(len(self.values) + 1, len(self.values) + 1 + len(values))
        more = sql.format(*(f"${number}" for number in numbers))
        return Condition(sql=f"{self.sql} AND {more}", values=(*self.values, *values))


@dataclass(frozen=True, kw_only=True)
class FailureSelection:
    """`owner`: only what belongs to that account; None: whosever it is."""

    filter: FailureFilter
    owner: UUID | None
    status: FailureStatus = FailureStatus.OPEN
    job_id: UUID | None = None

    @property
    def condition(self) -> Condition:
        """On the table `failed AS f`; only what is asked for, so that a fitting index is taken. The status is
        no parameter: an index over what is open fits no query that might ask for something else."""
        wanted = self.filter
        condition = Condition(sql=f"f.status = '{self.status.value}'", values=())
        channel = wanted.notification_type
        for column, value in (
            ("f.owner", self.owner),
            ("f.job_id", self.job_id),
            ("f.notification_type", None if channel is None else channel.value),
            ("f.provider", wanted.provider),
            ("f.error_kind", wanted.error_type),
            ("f.template_code", wanted.template_code),
            ("f.cause", wanted.cause),
            ("f.notification_id", wanted.notification_id),
        ):
            if value is not None:
                condition = condition.and_(f"{column} = {{}}", value)
        if wanted.since is not None:
            condition = condition.and_("f.created_at >= {}", wanted.since)
        if wanted.until is not None:
            condition = condition.and_("f.created_at < {}", wanted.until)
        return condition


def by_id(ids: Sequence[UUID]) -> Condition:
    """These, whatever their status."""
    return Condition(sql="f.id = ANY($1::uuid[])", values=(list(ids),))
