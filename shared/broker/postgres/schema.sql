-- The whole of the PostgreSQL transport. Applied under an advisory lock where the comment on the schema is
-- not SCHEMA_VERSION (session.py); every statement may run again.

CREATE SCHEMA IF NOT EXISTS broker;

-- `available_at` is what the index orders by, and the lease as well: whoever takes a message moves it into
-- the future, and a lease that runs out makes the message available by itself.
-- `position`: where it belongs in its queue, restored when it is handed back.
-- `lease` is drawn at random by whoever takes the message, and fences what an earlier holder still tries. Not
-- a counter: a crash of the server may undo a take, and a counter would give the same number again.
-- `holder`: the session that holds it, alive as long as its advisory lock is.
CREATE TABLE IF NOT EXISTS broker.messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    body bytea NOT NULL,
    headers bytea NOT NULL,
    position timestamptz NOT NULL DEFAULT now(),
    available_at timestamptz NOT NULL DEFAULT now(),
    deliveries integer NOT NULL DEFAULT 0,
    lease bigint NOT NULL DEFAULT 0,
    holder integer
);

CREATE INDEX IF NOT EXISTS messages_by_queue ON broker.messages (queue, available_at, id);

-- Every message leaves three dead rows behind: vacuum by count, often and without pauses.
ALTER TABLE broker.messages SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.5,
    autovacuum_analyze_threshold = 50000
);

CREATE SEQUENCE IF NOT EXISTS broker.holders AS integer CYCLE;

-- Who consumes what, to be counted. A row whose holder is gone counts for nothing, and is swept.
CREATE UNLOGGED TABLE IF NOT EXISTS broker.consumers (
    holder integer NOT NULL,
    number integer NOT NULL,
    queue text NOT NULL,
    PRIMARY KEY (holder, number)
);

CREATE TABLE IF NOT EXISTS broker.sentinel (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    epoch text NOT NULL
);
