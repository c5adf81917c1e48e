-- From version 1 to version 2, in the transaction that also sets the version. What version 1 did
-- not record reads as "not known": NULL, or the value that claims least.

ALTER TABLE runs ADD COLUMN previous TEXT NOT NULL DEFAULT 'none';
-- Version 1 knew of stops, but not of boots: a run before without a stop died.
UPDATE runs SET previous = CASE
    WHEN EXISTS (SELECT 1 FROM stops WHERE run = (SELECT max(id) FROM runs AS r WHERE r.id < runs.id)) THEN 'stopped'
    WHEN boot_id <> (SELECT boot_id FROM runs AS r WHERE r.id < runs.id ORDER BY r.id DESC LIMIT 1) THEN 'rebooted'
    ELSE 'died' END
WHERE EXISTS (SELECT 1 FROM runs AS r WHERE r.id < runs.id);
CREATE INDEX runs_at ON runs (at_ns);
CREATE INDEX stops_run ON stops (run);

ALTER TABLE windows ADD COLUMN drifting INTEGER NOT NULL DEFAULT 0;
CREATE INDEX windows_at ON windows (at_ns);

CREATE TABLE models (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE
);
INSERT INTO models (hash) SELECT model FROM decisions GROUP BY model ORDER BY min(id);

ALTER TABLE decisions RENAME TO decisions_1;
DROP INDEX decisions_address;
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    window INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    address TEXT NOT NULL,
    p_value REAL NOT NULL,
    p_conditional REAL,
    peer_score REAL NOT NULL,
    flow_score REAL NOT NULL,
    novelty REAL NOT NULL,
    excess REAL NOT NULL,
    packets INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    verified INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    action TEXT,
    refusal TEXT,
    offence INTEGER NOT NULL,
    ttl_ns INTEGER,
    model INTEGER NOT NULL REFERENCES models (id),
    reasons TEXT NOT NULL
);
INSERT INTO decisions
SELECT id, run, window, at_ns, address, p_value, NULL, peer_score, flow_score, novelty, excess,
    packets, bytes, verified, outcome, action, refusal, 0,
    (SELECT expires_ns - blocks.at_ns FROM blocks WHERE blocks.decision = decisions_1.id),
    (SELECT id FROM models WHERE hash = decisions_1.model), reasons
FROM decisions_1 ORDER BY id;
DROP TABLE decisions_1;
CREATE INDEX decisions_at ON decisions (at_ns);
CREATE INDEX decisions_address ON decisions (address, at_ns);
CREATE INDEX decisions_acted ON decisions (at_ns) WHERE outcome <> 'refused';

ALTER TABLE blocks ADD COLUMN expires_boot_ns INTEGER NOT NULL DEFAULT 0;
UPDATE blocks SET expires_boot_ns = boot_ns + (expires_ns - at_ns);
CREATE INDEX blocks_at ON blocks (at_ns);
CREATE INDEX blocks_target ON blocks (target, at_ns);
CREATE INDEX blocks_expiry ON blocks (expires_ns);
CREATE INDEX blocks_decision ON blocks (decision) WHERE decision IS NOT NULL;

ALTER TABLE endings ADD COLUMN passed_packets INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endings ADD COLUMN passed_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX endings_block ON endings (block);
CREATE INDEX endings_at ON endings (at_ns);

ALTER TABLE acts ADD COLUMN outcome TEXT NOT NULL DEFAULT 'not known';
CREATE INDEX acts_at ON acts (at_ns);

CREATE TABLE differences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    target TEXT,
    detail TEXT NOT NULL,
    done TEXT NOT NULL
);
CREATE INDEX differences_run ON differences (run);
CREATE INDEX differences_at ON differences (at_ns);

CREATE TABLE retention (
    name TEXT PRIMARY KEY NOT NULL,
    before_ns INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    removed INTEGER NOT NULL
);
