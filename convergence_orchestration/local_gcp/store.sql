-- name: schema
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    parent TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS documents_in_order ON documents (parent, kind, ordinal);
CREATE TABLE IF NOT EXISTS sealed (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timers (
    name TEXT NOT NULL,
    event TEXT NOT NULL,
    at_microseconds INTEGER NOT NULL,
    PRIMARY KEY (name, event)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS timers_in_order ON timers (at_microseconds);

-- name: get
SELECT body FROM documents WHERE kind = ? AND name = ?;

-- name: insert
INSERT INTO documents (kind, name, parent, ordinal, body) VALUES (?, ?, ?, ?, ?);

-- name: update
UPDATE documents SET body = ? WHERE kind = ? AND name = ?;

-- name: delete
DELETE FROM documents WHERE kind = ? AND name = ?;

-- name: last_ordinal
SELECT coalesce(max(ordinal), 0) FROM documents WHERE parent = ? AND kind = ?;

-- name: count
SELECT count(*) FROM documents WHERE parent = ? AND kind = ?;

-- name: oldest_first
SELECT ordinal, body FROM documents
WHERE parent = ? AND kind = ? AND ordinal > ? ORDER BY ordinal LIMIT ?;

-- name: newest_first
SELECT ordinal, body FROM documents
WHERE parent = ? AND kind = ? AND ordinal < ? ORDER BY ordinal DESC LIMIT ?;

-- name: of_kind
SELECT body FROM documents WHERE kind = ? ORDER BY name;

-- name: seal
INSERT INTO sealed (name, body) VALUES (?, ?);

-- name: open
SELECT body FROM sealed WHERE name = ?;

-- name: erase
DELETE FROM sealed WHERE name = ?;

-- name: holds_sealed
SELECT EXISTS (SELECT 1 FROM sealed);

-- name: set_timer
INSERT OR REPLACE INTO timers (name, event, at_microseconds) VALUES (?, ?, ?);

-- name: clear_timer
DELETE FROM timers WHERE name = ? AND event = ?;

-- name: due
SELECT name, event, at_microseconds FROM timers
WHERE at_microseconds <= ? ORDER BY at_microseconds, name LIMIT 1;
