-- What else was changed by somebody: only ever added to.
CREATE TABLE changes (
    id TEXT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL
);

CREATE INDEX changes_by_model ON changes (model, at);
