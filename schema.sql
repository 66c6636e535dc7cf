-- The whole schema of a Data Pusher file, at the version that `PRAGMA user_version` names (src/store/file/schema.rs).
-- Times are milliseconds since 1970 (UTC). Hot rows (event, delivery) have a time-ordered integer that is rowid and
-- public id at once, so that inserts append; accounts and destinations have a random public id and a small key.
-- Every child key of a cascade has an index, else deleting one parent row reads the whole child table. A delivery's
-- destination has none: with many accounts such an index dirties a page of its own for every delivery. A destination's
-- deliveries are found by its account's events, and a trigger takes the place of the cascade.

CREATE TABLE account (
    key              INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: the engine keeps state by it
    account_id       TEXT    NOT NULL,
    email            TEXT    NOT NULL,
    email_folded     TEXT    NOT NULL,                  -- case folded; what must be unique
    name             TEXT    NOT NULL,
    website          TEXT,
    token_digest     BLOB    NOT NULL,                  -- SHA-256 of the app secret token
    token_hint       TEXT    NOT NULL,                  -- its last four characters
    old_token_digest BLOB,                              -- works beside it until old_token_until (rotation)
    old_token_until  INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    deleted_at       INTEGER                            -- hidden from then on; its rows go in small steps
) STRICT;

CREATE UNIQUE INDEX account_by_id    ON account (account_id)   WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX account_by_email ON account (email_folded) WHERE deleted_at IS NULL;
CREATE INDEX account_deleted         ON account (key)          WHERE deleted_at IS NOT NULL;

CREATE TABLE destination (
    key              INTEGER PRIMARY KEY AUTOINCREMENT,
    destination_id   TEXT    NOT NULL,
    account_key      INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    url              TEXT    NOT NULL,
    http_method      TEXT    NOT NULL,
    headers          TEXT    NOT NULL,                  -- JSON object of strings, in the order given
    retry_schedule   TEXT,                              -- as on the command line; NULL: the server's
    timeout_ms       INTEGER,                           -- NULL: the server's
    max_concurrency  INTEGER,                           -- NULL: the server's
    secret           BLOB    NOT NULL,                  -- signing secret, 32 bytes
    old_secret       BLOB,                              -- signs beside it until old_secret_until (rotation)
    old_secret_until INTEGER,
    paused_reason    TEXT,                              -- NULL while active
    paused_at        INTEGER,
    held_until       INTEGER,                           -- Retry-After of 429 or 503
    failing_since    INTEGER,                           -- first failure since the last success
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    deleted_at       INTEGER,                           -- hidden from then on; its rows go in small steps
    first_id         INTEGER NOT NULL DEFAULT 0,        -- its deliveries, and their events, have higher ids
    event_types      TEXT,                              -- JSON array of patterns; NULL: events of every type
    filter           TEXT,                              -- expression; NULL: every event
    body_template    TEXT,                              -- NULL: the document is sent
    header_templates TEXT,                              -- JSON object of strings; NULL: none
    rate_limit       TEXT,                              -- as on the command line; NULL: none
    ordering         TEXT    NOT NULL DEFAULT 'none',
    on_exhausted     TEXT    NOT NULL DEFAULT 'continue'
) STRICT;

CREATE UNIQUE INDEX destination_by_id  ON destination (destination_id) WHERE deleted_at IS NULL;
CREATE INDEX destination_by_account    ON destination (account_key, key);
CREATE INDEX destination_deleted       ON destination (key) WHERE deleted_at IS NOT NULL;

CREATE TABLE event (
    id               INTEGER PRIMARY KEY,               -- milliseconds << 21 | sequence, never backwards
    account_key      INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    received_at      INTEGER NOT NULL,
    idempotency_key  TEXT,                              -- NULL once its 24 hours are over and it is used anew
    payload          BLOB    NOT NULL                   -- the bytes as they came
) STRICT;

CREATE INDEX event_by_account            ON event (account_key, id);
CREATE UNIQUE INDEX event_by_idempotency ON event (account_key, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Else the order of ids is that of time, but for a minute. Holds something only once the clock was set back.
CREATE INDEX event_out_of_order          ON event (received_at) WHERE received_at < (id >> 21) - 60000;

CREATE TABLE delivery (
    id               INTEGER PRIMARY KEY,               -- from the same sequence as its event's id, right behind it
    event_id         INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    destination_key  INTEGER NOT NULL,                  -- of a destination; see the trigger
    state            INTEGER NOT NULL,                  -- 0 pending, 1 succeeded, 2 exhausted, 3 cancelled
    step             INTEGER NOT NULL,                  -- failures of the retry schedule that are used up
    attempt_count    INTEGER NOT NULL,
    next_attempt_at  INTEGER NOT NULL,                  -- while pending; 0 is at once. On the engine's clock.
    last_attempt_at  INTEGER,
    status_code      INTEGER,                           -- of the last attempt
    error            TEXT,                              -- of the last attempt; NULL for a success
    first_duration_ms INTEGER,                          -- of its one attempt, where that is kept here: a success with
                                                        -- a short answer. Else NULL: all attempts are in attempt.
    first_body       BLOB                               -- that answer's body; before any attempt, room for an outcome
) STRICT;

CREATE INDEX delivery_by_event       ON delivery (event_id, destination_key);
CREATE INDEX delivery_due            ON delivery (destination_key, next_attempt_at) WHERE state = 0;
CREATE INDEX delivery_unsettled      ON delivery (state, id) WHERE state <> 1;
CREATE INDEX delivery_by_status      ON delivery (status_code, id) WHERE status_code NOT BETWEEN 200 AND 299;

CREATE TRIGGER destination_deleted_with_its_deliveries AFTER DELETE ON destination BEGIN
    DELETE FROM delivery WHERE id IN (
        SELECT v.id FROM event e CROSS JOIN delivery v ON v.event_id = e.id AND v.destination_key = OLD.key
        WHERE e.account_key = OLD.account_key AND e.id > OLD.first_id);
END;

CREATE TABLE attempt (
    delivery_id      INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    number           INTEGER NOT NULL,                  -- 1 for the first
    at               INTEGER NOT NULL,
    duration_ms      INTEGER NOT NULL,
    status_code      INTEGER,
    error            TEXT,
    detail           TEXT,
    body             BLOB    NOT NULL,                  -- first 16 KiB of the answer's body
    body_truncated   INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- Types of events that have one. A table of its own, so that an event without a type has not one byte more. No foreign
-- key, like manual_action: retention and removal delete the row with its event.
CREATE TABLE event_type (
    event_id         INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL
) STRICT;

CREATE INDEX event_type_by_name ON event_type (name, event_id);

-- First 16 KiB of what an attempt sent, where a template made it. No foreign key, like manual_action.
CREATE TABLE request_body (
    delivery_id      INTEGER NOT NULL,
    number           INTEGER NOT NULL,                  -- of the attempt
    body             BLOB    NOT NULL,
    truncated        INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- What people did with a delivery; few deliveries have such a row. It has no foreign key: SQLite would look here for each
-- delivery that is deleted, and deleting would take a third longer. Retention and removal delete it with the delivery.
CREATE TABLE manual_action (
    delivery_id      INTEGER NOT NULL,
    at               INTEGER NOT NULL,
    action           INTEGER NOT NULL,                  -- 0 retry, 1 cancel, 2 replay
    PRIMARY KEY (delivery_id, at)
) STRICT, WITHOUT ROWID;

-- Ties the write-ahead log to its file: the log begins with the mark that the file carries. Layout: src/store/file/identity/mark.rs
CREATE TABLE log_mark (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    mark             BLOB    NOT NULL
) STRICT;

-- What became of how much, by destination and time, so that nobody counts rows to draw a chart. Buckets of a minute;
-- those older than a day are merged into hours, and go with the retention.
CREATE TABLE tally (
    start            INTEGER NOT NULL,                  -- beginning of the bucket
    destination_key  INTEGER NOT NULL REFERENCES destination (key) ON DELETE CASCADE,
    accepted         INTEGER NOT NULL,                  -- deliveries made by new events
    succeeded        INTEGER NOT NULL,                  -- deliveries that ended in success
    failed           INTEGER NOT NULL,                  -- attempts that failed
    exhausted        INTEGER NOT NULL,                  -- deliveries that ended exhausted
    events           INTEGER NOT NULL DEFAULT 0,        -- events whose first delivery is for this destination; not
                                                        -- counted before version 5
    skipped          INTEGER NOT NULL DEFAULT 0,        -- events that its event types or its filter kept away
    PRIMARY KEY (destination_key, start)
) STRICT, WITHOUT ROWID;

CREATE INDEX tally_by_time ON tally (start);

-- Counts of commits that touched many destinations, until they are added to the tallies together.
CREATE TABLE tally_recent (
    id               INTEGER PRIMARY KEY,
    counts           BLOB    NOT NULL                   -- layout: src/store/operations/tally.rs
) STRICT;

-- Tokens with a role for the API and the dashboard. The admin token of the command line is not here.
CREATE TABLE access_token (
    key              INTEGER PRIMARY KEY,
    token_id         TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    role             TEXT    NOT NULL,                  -- viewer, operator or admin
    account_key      INTEGER REFERENCES account (key) ON DELETE CASCADE, -- the one account it reaches; NULL: all
    token_digest     BLOB    NOT NULL,                  -- SHA-256 of the token
    token_hint       TEXT    NOT NULL,                  -- its last four characters
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER,                           -- NULL: never
    last_used_at     INTEGER                            -- to the minute; NULL: not yet
) STRICT;

CREATE UNIQUE INDEX access_token_by_id     ON access_token (token_id);
CREATE UNIQUE INDEX access_token_by_digest ON access_token (token_digest);
CREATE INDEX access_token_by_account       ON access_token (account_key);

-- The lowest bits of the ids of new events; see IdSlot in src/domain/ids.rs. A copy of the file gets another slot when a
-- server starts on it.
CREATE TABLE id_slot (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    slot             INTEGER NOT NULL,
    place            INTEGER NOT NULL                   -- of the file for which the slot was chosen
) STRICT;

-- Whether secrets are sealed, and by which key. Empty: no secret of the file is sealed.
CREATE TABLE sealing (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    key_check        BLOB    NOT NULL,                  -- opens only with the key that the file needs
    old_key_check    BLOB,                              -- opens only with the key before; NULL once a rotation is complete
    complete         INTEGER NOT NULL                   -- 1 once nothing is left that is plain or sealed by the key before
) STRICT;
