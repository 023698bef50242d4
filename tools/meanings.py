"""What each metric means to whoever watches it, beyond the sentence that it is defined with."""

MEANINGS: dict[str, dict[str, str]] = {
    "Gateway": {
        "carillon_notifications_accepted": "The rate at which 202 is given; each is committed.",
        "carillon_notifications_refused": "A sudden rise is a sender's mistake: the kind says which.",
        "carillon_admission_places_taken": "`bulk` (batches), `strangers` (credentials that are not known "
        "yet, or none) or `single` (all else). Together at `CARILLON_PLACES` for long: "
        "another replica. What is refused for it is not in `carillon_http_requests_total`.",
        "carillon_admission_waiting": "For 50 ms at most each.",
        "carillon_admission_refused": "`full`: 503, all places are taken; `strangers_full`: 503, those who "
        "are not known yet have theirs; `bulk_full`: 503, batches have theirs; "
        "`caller_full`: 429, one caller has as many as one may.",
        "carillon_backlog_full": "That lane of the channel answers 503 `backlog_full` to what is new: see "
        "why what it has is not sent. Take `max`.",
        "carillon_notifications_released": "`by` says who published it: `relay` at once, `sweep` what was "
        "scheduled or left behind. Much by the sweep without schedules: the broker was away.",
        "carillon_notifications_republished": "Rises after the broker was wiped. Else it stays at 0; no "
        "message is sent twice by it.",
        "carillon_delivery_reports": "What channels tell of their deliveries; it follows "
        "`carillon_deliveries_ended_total` at the distance of a moment.",
        "carillon_outbox_entries": "`unpublished` is near 0 while the broker works, scheduled ones apart; "
        "`published` is what channels have in hand. Each gateway counts the whole database: take `max`.",
        "carillon_outbox_oldest_unpublished_seconds": "Above a few seconds the broker does not take what it "
        "is given. Take `max`.",
        "carillon_oldest_due_seconds": "Published or not; that of the outbox is about the broker alone. It "
        "rises by a second each second while nothing at all is sent; one message with long retries does that "
        "too. Take `max`. It vanishes while the database cannot be asked.",
        "carillon_notifications_unknown": "See *Doubts*. Take `max`.",
        "carillon_reprocess_jobs": "`running`, `paused` or `stopped`: these did so of themselves, as their "
        "first batch failed again, and wait for somebody to resume or cancel them. Take `max`.",
        "carillon_failures_parked": "Each is a delivery that somebody has to look at; the other kinds than "
        "`delivery` could not be read.",
        "carillon_console_streams": "Each page that is open takes one, and hears of changes by it.",
        "carillon_failures_closed": "Reprocessed or discarded, one by one or by a job.",
        "carillon_notifications_resolved": "`sent`: somebody knew that it went out; `resend`: it was sent "
        "once more, at the risk of a second copy.",
        "carillon_failed_open": "RabbitMQ's own page shows `failed.queue` empty, since the gateway takes "
        "everything out: this is the number to watch. Take `max`.",
    },
    "Channels (email, push)": {
        "carillon_delivery_attempts": "`accepted`, `rejected`, `retryable`, `throttled` or `unknown`. The "
        "share of `accepted` is the health of a provider.",
        "carillon_deliveries_ended": "`sent` and `suppressed` are good ends; `failed` and `unknown` want a "
        "look.",
        "carillon_delivery_possible_duplicates": "The price of not losing anything: after a time-out or a "
        "crash in the middle of a call. Rare.",
        "carillon_delivery_late_results": "A call took longer than its lease: see "
        "`CARILLON_LEASE_MARGIN_S`, and whether the machine is overloaded.",
        "carillon_delivery_undecodable": "Parked with their bytes. After an upgrade in the wrong order, or "
        "where somebody else publishes into our queues.",
        "carillon_messages_isolated": "After deaths of the process: innocent neighbours are sent, the "
        "culprit is parked as `message.poison`. It should be 0.",
        "carillon_delivery_in_flight": "At most eight times a lane's concurrency. Constantly full: more "
        "concurrency, or another replica.",
        "carillon_provider_call_seconds": "A rise comes before retries and a growing queue.",
        "carillon_accept_to_provider_seconds": "What people feel. The urgent lane is to stay under a second "
        "whatever the bulk lane does.",
        "carillon_ledger_open": "Each replica counts the whole ledger: take `max`. `sending` for longer than "
        "a lease is a process that died; its sweep takes care of it.",
    },
    "Writing in groups (gateway, channels)": {
        "carillon_group_commit_seconds": "By what the group writes: `acceptance` is part of the time to "
        "accept, `ledger.claim` comes before each call; for `ledger.settlement` and reports nobody waits. A "
        "rise is PostgreSQL's (for `reports.publishing` the broker's).",
        "carillon_group_commit_items": "Small groups under little load; with large ones a commit costs each "
        "item less.",
        "carillon_group_commit_waited_seconds": "Divided by `carillon_group_commit_items_sum`, the mean wait "
        "of an item.",
    },
    "Every process": {
        "carillon_breaker_state": "A provider (`smtp`, `fcm`) opens for `CARILLON_BREAKER_OPEN_S` after five "
        "failures in a row, a service of ours (`user_service`, `template_service`) for 2 s after two; the "
        "next call is the probe that decides. No attempts are spent meanwhile, messages wait. `/ready` says "
        "when a probe is due.",
        "carillon_http_requests": "By route, never by path. 5xx are ours, 503 is a dependency that is away.",
        "carillon_http_request_duration_seconds": "For `POST /api/v1/notifications` the time to accept.",
        "carillon_broker_consumer": "0 for longer than a restart of the broker: messages of that queue go to "
        "other replicas, or nowhere. 2 while no provider takes anything, for at most a minute at a time, or "
        "as long as a provider has asked us to wait.",
        "carillon_broker_connections": "More than one for each purpose: connections were lost.",
        "carillon_background_task_failures": "It was started again by itself; the log has the traceback "
        "(`task.failed`).",
    },
}
