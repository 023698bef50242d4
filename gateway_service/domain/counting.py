"""What the gateway counts."""

from shared.process.metrics import counter, gauge

ACCEPTED = counter("notifications_accepted", "Notifications stored for good", ("channel", "lane"))
REFUSED = counter("notifications_refused", "Notifications not accepted, by kind of refusal", ("kind",))
RELEASED = counter("notifications_released", "Releases confirmed by the broker", ("channel", "by"))
REPUBLISHED = counter(
    "notifications_republished", "Releases published again, since the ledger did not know them", ("channel",)
)
REPORTS = counter("delivery_reports", "Reports applied, by the state they tell of", ("channel", "state"))
PARKED = counter("failures_parked", "Failed deliveries taken from the broker", ("kind",))
for _kind in ("delivery", "message.undecodable", "message.not_storable"):
    PARKED.labels(_kind)  # from 0 on: a first rise from nothing is none to Prometheus
RESOLVED = counter("notifications_resolved", "Doubts that operators settled", ("outcome",))
UNKNOWN = gauge("notifications_unknown", "Notifications that may or may not have gone out; 10,000 at most")
OLDEST_DUE = gauge(
    "oldest_due_seconds",
    "How long ago the oldest notification fell due that has not ended; 0 without one",
    ("channel", "lane"),
)
CLOSED_FAILURES = counter("failures_closed", "Failures that operators dealt with, by what they did", ("act",))
REPROCESS_JOBS = gauge("reprocess_jobs", "Jobs of reprocessing that have not ended for good", ("status",))
FAILED_OPEN = gauge("failed_open", "Failed deliveries that wait for an operator")
OUTBOX = gauge("outbox_entries", "Runs that are not closed", ("state",))
OLDEST_UNPUBLISHED = gauge("outbox_oldest_unpublished_seconds", "How long the oldest due entry has waited")
