-- name: schema
CREATE TABLE IF NOT EXISTS position (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    generation INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    complete_until REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
    grain INTEGER NOT NULL,
    start INTEGER NOT NULL,
    project TEXT NOT NULL,
    location TEXT NOT NULL,
    service TEXT NOT NULL,
    revision TEXT NOT NULL,
    code INTEGER NOT NULL,
    count INTEGER NOT NULL,
    total REAL NOT NULL,
    squares REAL NOT NULL,
    histogram TEXT NOT NULL,
    PRIMARY KEY (grain, start, project, location, service, revision, code)
) WITHOUT ROWID;

-- name: position
SELECT generation, bytes, complete_until FROM position;

-- name: set_position
INSERT OR REPLACE INTO position (only, generation, bytes, complete_until) VALUES (1, ?, ?, ?);

-- name: get
SELECT count, total, squares, histogram FROM requests
WHERE grain = ? AND start = ? AND project = ? AND location = ? AND service = ? AND revision = ? AND code = ?;

-- name: put
INSERT OR REPLACE INTO requests
    (grain, start, project, location, service, revision, code, count, total, squares, histogram)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: between
SELECT start, location, service, revision, code, count, total, squares, histogram FROM requests
WHERE grain = ? AND start >= ? AND start < ? AND project = ?
ORDER BY start;

-- name: purge
DELETE FROM requests WHERE grain = ? AND start < ?;
