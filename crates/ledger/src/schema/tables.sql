-- Version 3. Not STRICT: the sqlite3 of a distribution still in use (3.34) could not open it.
-- at_ns is the wall clock in ns wherever it stands; *_boot_ns is the boot clock of the row's run.

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    version TEXT NOT NULL,
    config TEXT NOT NULL,
    model_hash TEXT NOT NULL,
    mode TEXT NOT NULL,
    previous TEXT NOT NULL
);
CREATE INDEX runs_at ON runs (at_ns);

CREATE TABLE stops (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id),
    at_ns INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    why TEXT NOT NULL
);
CREATE INDEX stops_run ON stops (run);

CREATE TABLE windows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    start_boot_ns INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    flows INTEGER NOT NULL,
    peers INTEGER NOT NULL,
    packets INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    lossy INTEGER NOT NULL,
    drifting INTEGER NOT NULL,
    mode TEXT NOT NULL
);
CREATE INDEX windows_at ON windows (at_ns);

-- One row a model: its hash in each decision would be a tenth of the file.
CREATE TABLE models (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE
);

-- record is the whole decision as JSON, as the API and the event log have it; the columns before
-- it are what is looked up.
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    address TEXT NOT NULL,
    outcome TEXT NOT NULL,
    refusal TEXT,
    model INTEGER NOT NULL REFERENCES models (id),
    record TEXT NOT NULL
);
CREATE INDEX decisions_at ON decisions (at_ns);
CREATE INDEX decisions_address ON decisions (address, at_ns);
CREATE INDEX decisions_acted ON decisions (at_ns) WHERE outcome <> 'refused';

CREATE TABLE blocks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    target TEXT NOT NULL,
    action TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    expires_boot_ns INTEGER NOT NULL,
    origin TEXT NOT NULL,
    decision INTEGER,
    who TEXT,
    reason TEXT
);
CREATE INDEX blocks_at ON blocks (at_ns);
CREATE INDEX blocks_target ON blocks (target, at_ns);
CREATE INDEX blocks_expiry ON blocks (expires_ns);
CREATE INDEX blocks_decision ON blocks (decision) WHERE decision IS NOT NULL;

CREATE TABLE endings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    block INTEGER NOT NULL,
    run INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    target TEXT NOT NULL,
    how TEXT NOT NULL,
    dropped_packets INTEGER NOT NULL,
    dropped_bytes INTEGER NOT NULL,
    passed_packets INTEGER NOT NULL,
    passed_bytes INTEGER NOT NULL
);
CREATE INDEX endings_block ON endings (block);
CREATE INDEX endings_at ON endings (at_ns);

CREATE TABLE acts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    uid INTEGER,
    pid INTEGER,
    name TEXT NOT NULL,
    what TEXT NOT NULL,
    arguments TEXT NOT NULL,
    outcome TEXT NOT NULL
);
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

-- How far retention has come, and how much it has removed: it writes here first, and the triggers
-- let go only of what lies before.
CREATE TABLE retention (
    name TEXT PRIMARY KEY NOT NULL,
    before_ns INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    removed INTEGER NOT NULL
);
