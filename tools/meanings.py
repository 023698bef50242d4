"""What each metric means to whoever watches it, beyond the sentence that it is defined with."""

MEANINGS: dict[str, dict[str, str]] = {
    "Gateway": {
        "carillon_notifications_accepted": "The rate at which 202 is given; each is committed.",
        "carillon_notifications_refused": "A sudden rise is a sender's mistake: the kind says which.",
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
        "carillon_failures_parked": "Each is a delivery that somebody has to look at; the other kinds than "
        "`delivery` could not be read.",
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
        "carillon_delivery_in_flight": "At most eight times a lane's concurrency. Constantly full: more "
        "concurrency, or another replica.",
        "carillon_provider_call_seconds": "A rise comes before retries and a growing queue.",
        "carillon_accept_to_provider_seconds": "What people feel. The urgent lane is to stay under a second "
        "whatever the bulk lane does.",
        "carillon_provider_breaker_open": "No attempts are spent meanwhile, messages wait. Five failures in "
        "a row open it, one probe a minute closes it.",
        "carillon_ledger_open": "Each replica counts the whole ledger: take `max`. `sending` for longer than "
        "a lease is a process that died; its sweep takes care of it.",
    },
    "Every process": {
        "carillon_http_requests": "By route, never by path. 5xx are ours, 503 is a dependency that is away.",
        "carillon_http_request_duration_seconds": "For `POST /api/v1/notifications` the time to accept.",
        "carillon_broker_connections": "More than one for each purpose: connections were lost.",
        "carillon_background_task_failures": "It was started again by itself; the log has the traceback "
        "(`task.failed`).",
    },
}
