"""Safeguards, each taken out of a copy of the product as somebody careless might never have written it, and
the scenario of `carillon prove` that has to notice."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from carillon.home import CHECKOUT

PACKAGES = (
    "carillon",
    "shared",
    "gateway_service",
    "user_service",
    "template_service",
    "email_service",
    "push_service",
)
"""All that an installation is made of."""

Broker = Literal["rabbitmq", "embedded"]


class Outdated(Exception):
    """The product has changed, and a mutation has to follow."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """`old` stands in `file` exactly once, and `new` takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """`complains`: what `prove` has to say of it, after a number, so that it is red for this reason and no
    other. `left_as`: the status of what is lost."""

    name: str
    scenario: int
    broker: Broker
    edits: Collection[Edit]
    complains: str
    left_as: str | None = None


_IMPATIENCE = Edit(
    file="carillon/prove/stand.py", old="_STUCK_AFTER_S = 60.0\n", new="_STUCK_AFTER_S = 15.0\n"
)
"""What is lost is not found by waiting a whole minute for it either."""
_CALLING = "shared/delivery/calling.py"

MUTATIONS = (
    Mutation(
        name="no claim before the call",
        scenario=3,
        broker="embedded",
        edits=(
            # The ledger hears of an attempt when it is over.
            Edit(
                file=_CALLING,
                old="""\
        try:
            claimed = await self._ledger.claim(claim)
        except BaseException:
            rota.cancel(turn)
            raise
        if not claimed:
            rota.cancel(turn)
            return CallEnded(claimed=False)
        reach(CrashPoint.CLAIM_COMMITTED)
        self._leased[id(claim)] = claim
        try:
            return await self._call_and_settle(call, turn, rota, deadline=deadline)
        finally:
            del self._leased[id(claim)]
""",
                new="""\
        return await self._call_and_settle(call, turn, rota, claim=claim, deadline=deadline)
""",
            ),
            Edit(
                file=_CALLING,
                old="Rota[ContentT], *, deadline: float\n    ) -> CallEnded:\n",
                new="Rota[ContentT], *, claim: Claim, deadline: float\n    ) -> CallEnded:\n",
            ),
            Edit(
                file=_CALLING,
                old="        row = await self._settle(\n",
                new="""\
        await self._ledger.claim(claim)
        reach(CrashPoint.CLAIM_COMMITTED)
        row = await self._settle(
""",
            ),
        ),
        complains="silent duplicates",
    ),
    Mutation(
        name="no publisher confirms",
        scenario=11,
        broker="rabbitmq",
        edits=(
            _IMPATIENCE,
            Edit(
                file="shared/broker/rabbitmq/connection.py",
                old="        publishing = await open_channel(connection, confirms=True)\n",
                new="        publishing = await open_channel(connection)\n",
            ),
        ),
        complains="lost",
        left_as="queued",
    ),
    Mutation(
        name="no outbox sweep",
        scenario=2,
        broker="rabbitmq",
        edits=(
            _IMPATIENCE,
            Edit(
                file="gateway_service/messaging/post.py",
                old='        self._tasks.start("sweep", self._sweep.run)\n',
                new="",
            ),
        ),
        complains="lost",
        left_as="accepted",
    ),
    Mutation(
        name="no sentinel",
        scenario=6,
        broker="embedded",
        edits=(
            _IMPATIENCE,
            Edit(
                file="gateway_service/messaging/post.py",
                old='        self._tasks.start("sentinel", self._sentinel.run)\n',
                new="",
            ),
        ),
        complains="lost",
        left_as="queued",
    ),
    Mutation(
        name="no fence",
        scenario=10,
        broker="embedded",
        edits=(
            # Whoever had the message once may say what became of it.
            Edit(
                file="shared/delivery/ledger_sql.py",
                old="""\
WHERE {SAME_TARGET} AND d.attempt = i.attempt
  AND CASE WHEN i.ended_step IS NULL THEN d.state = 'sending'
""",
                new="""\
WHERE {SAME_TARGET}
  AND CASE WHEN i.ended_step IS NULL THEN d.state = 'sending'
""",
            ),
        ),
        complains="sent more than twice",
    ),
)


def copy_with(mutation: Mutation, folder: Path) -> None:
    """The product's sources, changed. Raises Outdated."""
    for package in PACKAGES:
        # Compiled code is copied with the times of its sources, and is good for them; what other processes
        # have only begun to write is left out.
        shutil.copytree(CHECKOUT / package, folder / package, ignore=shutil.ignore_patterns("*.pyc.*"))
    for edit in mutation.edits:
        path = folder / edit.file
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise Outdated(f"{edit.file} has changed: “{mutation.name}” in {__name__} must follow it.")
        path.write_text(text.replace(edit.old, edit.new))
