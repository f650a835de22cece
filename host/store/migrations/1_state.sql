-- Times are milliseconds since 1970. The same statements for SQLite and Postgres.

CREATE TABLE rollouts (
    model TEXT NOT NULL PRIMARY KEY,
    -- Grows by one with each change; a change names the one it was made from.
    revision BIGINT NOT NULL,
    rollout TEXT NOT NULL,
    -- The node that advances it, and until when no other does.
    leader TEXT NOT NULL,
    lease_until BIGINT NOT NULL
);

-- What each node has seen, all of it in one row, so that writing it twice changes nothing.
CREATE TABLE evidence (
    rollout TEXT NOT NULL,
    node TEXT NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (rollout, node)
);

-- Only ever added to. One entry for each revision of a rollout, written together with it.
CREATE TABLE audit (
    model TEXT NOT NULL,
    revision BIGINT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (model, revision)
);

-- Answers that a label or a reward may come back to.
CREATE TABLE predictions (
    model TEXT NOT NULL,
    id TEXT NOT NULL,
    rollout TEXT NOT NULL,
    version BIGINT NOT NULL,
    at BIGINT NOT NULL,
    prediction TEXT NOT NULL,
    reward DOUBLE PRECISION,
    PRIMARY KEY (model, id)
);

CREATE INDEX predictions_by_rollout ON predictions (rollout, version);
CREATE INDEX predictions_by_time ON predictions (at);
