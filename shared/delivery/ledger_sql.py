"""The ledger's statements: each takes arrays and serves a whole group at once.

Every transition is fenced by the state and the attempt it starts from, so that a late or repeated one
changes nothing; times are PostgreSQL's.
"""

# ruff: noqa: S608 - what is put into the statements are the constants of this file

COLUMNS = """
    d.notification_id, d.run, d.target, d.targets, d.state, d.attempt,
    extract(epoch FROM d.next_attempt_at - clock_timestamp())::float8 AS due_in_s,
    extract(epoch FROM d.lease_until - clock_timestamp())::float8 AS lease_in_s,
    d.provider, d.provider_message_id, d.problem, d.possible_duplicate, d.deferred_until,
    d.attempts, d.request, d.correlation_id, d.updated_at, d.doubt, d.resumed
"""

SAME_TARGET = "d.notification_id = i.notification_id AND d.run = i.run AND d.target = i.target"

NO_TARGET = "-"
"""The target of a run that ended before its targets were known; it excludes any other of that run."""

OPEN = f"""
INSERT INTO deliveries
    (notification_id, run, target, targets, state, request, correlation_id, next_attempt_at)
SELECT i.notification_id, i.run, i.target, i.targets, 'pending', i.request, i.correlation_id,
       clock_timestamp()
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::bytea[], $6::text[])
     AS i(notification_id, run, target, targets, request, correlation_id)
WHERE NOT EXISTS (SELECT FROM deliveries AS e WHERE e.notification_id = i.notification_id AND e.run = i.run
                  AND e.target = '{NO_TARGET}')
ON CONFLICT (notification_id, run, target) DO NOTHING
"""

CLAIM = f"""
WITH i AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::bytea[], $6::text[],
                         $7::int[], $8::text[], $9::interval[], $10::uuid[])
    AS i(notification_id, run, target, targets, request, correlation_id, attempt, provider, lease, token)
), first AS (
    INSERT INTO deliveries AS d (notification_id, run, target, targets, state, request, correlation_id,
                                 attempt, provider, lease_until, lease_token)
    SELECT i.notification_id, i.run, i.target, i.targets, 'sending', i.request, i.correlation_id,
           1, i.provider, clock_timestamp() + i.lease, i.token
    FROM i
    WHERE i.attempt = 1
      AND NOT EXISTS (SELECT FROM deliveries AS e WHERE e.notification_id = i.notification_id
                      AND e.run = i.run AND e.target = '{NO_TARGET}')
    ON CONFLICT (notification_id, run, target) DO UPDATE
    SET state = 'sending', attempt = 1, provider = excluded.provider, lease_until = excluded.lease_until,
        lease_token = excluded.lease_token, next_attempt_at = NULL, resumed = 0, resumed_until = NULL,
        updated_at = clock_timestamp()
    WHERE (d.state = 'pending' AND d.attempt = 0)
       OR (d.state = 'sending' AND d.attempt = 1 AND d.lease_token = excluded.lease_token)
    RETURNING d.notification_id, d.run, d.target
), next AS (
    UPDATE deliveries AS d
    SET state = 'sending', attempt = i.attempt, provider = i.provider,
        lease_until = clock_timestamp() + i.lease, lease_token = i.token, next_attempt_at = NULL,
        doubt = NULL, resumed = 0, resumed_until = NULL, updated_at = clock_timestamp()
    FROM i
    WHERE i.attempt > 1 AND {SAME_TARGET}
      AND ((d.state = 'retrying' AND d.attempt = i.attempt - 1 AND d.next_attempt_at <= clock_timestamp())
           OR (d.state = 'sending' AND d.attempt = i.attempt AND d.lease_token = i.token))
    RETURNING d.notification_id, d.run, d.target
)
SELECT * FROM first UNION ALL SELECT * FROM next
"""

WAS_ACCEPTED = """d.attempts @> '[{"outcome": "accepted"}]'"""
"""An earlier attempt, settled as a doubt, was accepted after all: what was taken cannot be untaken."""

SETTLE = f"""
UPDATE deliveries AS d
SET state = CASE WHEN {WAS_ACCEPTED} THEN 'sent' ELSE i.state END,
    provider_message_id = coalesce(i.provider_message_id, d.provider_message_id),
    problem = CASE WHEN {WAS_ACCEPTED} THEN NULL ELSE i.problem::jsonb END,
    attempts = d.attempts || coalesce(i.entry::jsonb, '[]'),
    possible_duplicate = d.possible_duplicate OR i.possible_duplicate, lease_until = NULL,
    next_attempt_at = CASE WHEN {WAS_ACCEPTED} THEN NULL ELSE clock_timestamp() + i.retry_in END,
    doubt = CASE WHEN {WAS_ACCEPTED} THEN NULL ELSE i.next_step END,
    resumed = 0, resumed_until = NULL,
    request = CASE WHEN i.state = 'sent' OR {WAS_ACCEPTED} THEN NULL ELSE d.request END,
    unreported_since = clock_timestamp(), updated_at = clock_timestamp()
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::bool[], $10::interval[], $11::text[], $12::text[])
     AS i(notification_id, run, target, attempt, state, provider_message_id, problem, entry,
          possible_duplicate, retry_in, next_step, ended_step)
WHERE {SAME_TARGET} AND d.attempt = i.attempt
  AND CASE WHEN i.ended_step IS NULL THEN d.state = 'sending'
           ELSE d.state = 'retrying' AND d.doubt = i.ended_step END
RETURNING {COLUMNS}
"""

# A later attempt that is in flight is let be: it finds the acceptance when it is settled.
KEEP_LATE_ACCEPTANCE = f"""
UPDATE deliveries AS d
SET attempts = d.attempts || $5::text::jsonb,
    state = CASE WHEN d.state = 'sending' THEN d.state ELSE 'sent' END,
    provider_message_id = coalesce($6, d.provider_message_id),
    problem = CASE WHEN d.state = 'sending' THEN d.problem END,
    next_attempt_at = NULL,
    doubt = NULL,
    deferred_until = NULL,
    possible_duplicate = d.possible_duplicate AND d.attempt > $4,
    unreported_since = clock_timestamp(), updated_at = clock_timestamp()
WHERE d.notification_id = $1 AND d.run = $2 AND d.target = $3
  AND (d.attempt > $4 OR (d.attempt = $4 AND d.state NOT IN ('sending', 'sent')))
  AND NOT d.attempts @> $5::text::jsonb
RETURNING {COLUMNS}
"""

CONCLUDE = f"""
INSERT INTO deliveries AS d (notification_id, run, target, targets, state, request, correlation_id,
                             problem, deferred_until, attempt, unreported_since)
SELECT i.notification_id, i.run, i.target, i.targets, i.state, i.request, i.correlation_id,
       i.problem::jsonb, i.deferred_until, i.attempt, clock_timestamp()
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::bytea[], $6::text[],
            $7::text[], $8::text[], $9::timestamptz[], $10::int[])
     AS i(notification_id, run, target, targets, request, correlation_id, state, problem, deferred_until,
          attempt)
WHERE i.target <> '{NO_TARGET}' OR NOT EXISTS (
    SELECT FROM deliveries AS e WHERE e.notification_id = i.notification_id AND e.run = i.run)
ON CONFLICT (notification_id, run, target) DO UPDATE
SET state = excluded.state, problem = excluded.problem, deferred_until = excluded.deferred_until,
    next_attempt_at = NULL, doubt = NULL, unreported_since = clock_timestamp(),
    updated_at = clock_timestamp()
WHERE d.state IN ('pending', 'retrying') AND d.attempt = excluded.attempt
RETURNING {COLUMNS}
"""

READ = f"""
SELECT {COLUMNS} FROM deliveries AS d
JOIN (SELECT DISTINCT * FROM unnest($1::uuid[], $2::int[]) AS k(notification_id, run)) AS k
  ON d.notification_id = k.notification_id AND d.run = k.run
"""

RENEW = f"""
UPDATE deliveries AS d SET lease_until = clock_timestamp() + i.lease
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::interval[])
     AS i(notification_id, run, target, attempt, lease)
WHERE {SAME_TARGET} AND d.attempt = i.attempt AND d.state = 'sending' AND d.lease_until > clock_timestamp()
"""

EXPIRED_LEASES = f"""
SELECT {COLUMNS} FROM deliveries AS d
WHERE d.state = 'sending' AND d.lease_until < clock_timestamp() - $1::interval
ORDER BY d.lease_until LIMIT $2
"""

# The oldest of each, by its index, and not whether there is one: PostgreSQL cannot look for a volatile
# time in an index, and would read the whole ledger to find that there is none.
ANYTHING_LEFT = """
SELECT coalesce((SELECT lease_until FROM deliveries WHERE state = 'sending' ORDER BY lease_until LIMIT 1)
                < clock_timestamp() - $1::interval, false)
    OR coalesce((SELECT next_attempt_at FROM deliveries WHERE state IN ('pending', 'retrying')
                 ORDER BY next_attempt_at LIMIT 1) < clock_timestamp() - $2::interval, false)
    OR coalesce((SELECT unreported_since FROM deliveries WHERE unreported_since IS NOT NULL
                 ORDER BY unreported_since LIMIT 1) < clock_timestamp() - $3::interval, false)
"""

TAKE_OVERDUE = f"""
WITH due AS (
    SELECT notification_id, run, target FROM deliveries
    WHERE state IN ('pending', 'retrying') AND next_attempt_at < clock_timestamp() - $1::interval
      AND (resumed_until IS NULL OR resumed_until < clock_timestamp())
    ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE deliveries AS d
SET resumed = least(d.resumed + 1, 100), resumed_until = clock_timestamp() + $3::interval
FROM due AS i WHERE {SAME_TARGET}
RETURNING {COLUMNS}
"""

KEEP_OVERDUE = """
UPDATE deliveries AS d SET resumed_until = clock_timestamp() + $3::interval
FROM unnest($1::uuid[], $2::int[]) AS i(notification_id, run)
WHERE d.notification_id = i.notification_id AND d.run = i.run
  AND d.state IN ('pending', 'retrying') AND d.resumed_until IS NOT NULL
"""

CLEAR_OVERDUE = """
UPDATE deliveries AS d SET resumed = 0
WHERE d.notification_id = $1 AND d.run = $2 AND d.state IN ('pending', 'retrying')
"""

UNREPORTED = f"""
WITH silent AS (
    SELECT notification_id, run, target FROM deliveries
    WHERE unreported_since < clock_timestamp() - $1::interval
    ORDER BY unreported_since LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE deliveries AS d SET unreported_since = clock_timestamp()
FROM silent AS i WHERE {SAME_TARGET}
RETURNING {COLUMNS}
"""

RECEIPTS = f"""
UPDATE deliveries AS d
SET unreported_since = NULL,
    request = CASE WHEN d.state IN ('pending', 'sending', 'retrying') THEN d.request END
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::text[])
     AS i(notification_id, run, target, attempt, state)
WHERE {SAME_TARGET} AND d.attempt = i.attempt AND d.state = i.state
"""

OPEN_TARGETS = """
SELECT state, count(*) AS targets FROM (
    SELECT state FROM deliveries WHERE state IN ('pending', 'retrying')
    UNION ALL SELECT state FROM deliveries WHERE state = 'sending'
) AS d GROUP BY state
"""
