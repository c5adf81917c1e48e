-- A ledger of version 1, with a few minutes of its life: a file from before the conditional
-- p-values, the drift watch, reconciliation and retention. It is a fixture; do not change it.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    version TEXT NOT NULL,
    config TEXT NOT NULL,
    model_hash TEXT NOT NULL,
    mode TEXT NOT NULL
);
CREATE TABLE stops (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id),
    at_ns INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    why TEXT NOT NULL
);
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
    mode TEXT NOT NULL
);
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    window INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    address TEXT NOT NULL,
    p_value REAL NOT NULL,
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
    model TEXT NOT NULL,
    reasons TEXT NOT NULL
);
CREATE INDEX decisions_address ON decisions (address);
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    target TEXT NOT NULL,
    action TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    origin TEXT NOT NULL,
    decision INTEGER,
    who TEXT,
    reason TEXT
);
CREATE TABLE endings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    block INTEGER NOT NULL,
    run INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    target TEXT NOT NULL,
    how TEXT NOT NULL,
    dropped_packets INTEGER NOT NULL,
    dropped_bytes INTEGER NOT NULL
);
CREATE TABLE acts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    uid INTEGER,
    pid INTEGER,
    name TEXT NOT NULL,
    what TEXT NOT NULL,
    arguments TEXT NOT NULL
);
CREATE TRIGGER runs_update BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER runs_delete BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER stops_update BEFORE UPDATE ON stops BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER stops_delete BEFORE DELETE ON stops BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER windows_update BEFORE UPDATE ON windows BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER windows_delete BEFORE DELETE ON windows BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER decisions_update BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER decisions_delete BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER blocks_update BEFORE UPDATE ON blocks BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER blocks_delete BEFORE DELETE ON blocks BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER endings_update BEFORE UPDATE ON endings BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER endings_delete BEFORE DELETE ON endings BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER acts_update BEFORE UPDATE ON acts BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER acts_delete BEFORE DELETE ON acts BEGIN SELECT RAISE(ABORT, 'append-only'); END;

INSERT INTO runs VALUES
    (1, 1700000000000000000, 5000000000, 'b0', '0.1.0', 'c0', 'aaaa', 'observe'),
    (2, 1700000100000000000, 105000000000, 'b0', '0.1.0', 'c1', 'aaaa', 'enforce'),
    (3, 1700000200000000000, 5000000000, 'b1', '0.1.0', 'c1', 'bbbb', 'enforce');
INSERT INTO stops VALUES (1, 1, 1700000090000000000, 95000000000, 'signal');
INSERT INTO windows VALUES
    (1, 1, 1, 1700000001000000000, 6000000000, 1700000002000000000, 7000000000, 12, 4, 900, 0, 0, 'observe'),
    (2, 2, 1, 1700000101000000000, 106000000000, 1700000102000000000, 107000000000, 15, 5, 990, 3, 1, 'enforce');
INSERT INTO decisions VALUES
    (1, 1, 1, 1700000002000000000, '203.0.113.7', 0.001, 0.75, 0.625, 2.5, 0.4, 300, 40000, 1, 'would', 'drop', NULL, 'aaaa', '[]'),
    (2, 2, 1, 1700000102000000000, '203.0.113.7', 0.002, 0.75, 0.625, 2.5, 0.5, 310, 41000, 1, 'made', 'drop', NULL, 'bbbb', '["syn_ratio"]'),
    (3, 2, 1, 1700000102000000000, '2001:db8::9', 0.02, 0.5, 0.5, 0.5, 0.1, 20, 2000, 0, 'refused', NULL, 'below_margin', 'bbbb', '[]');
INSERT INTO blocks VALUES
    (1, 2, '203.0.113.7', 'drop', 1700000102000000000, 107000000000, 1700000702000000000, 'model', 2, NULL, NULL),
    (2, 2, '198.51.100.0/24', 'drop', 1700000103000000000, 108000000000, 1700003703000000000, 'person', NULL, 'ada', 'scans');
INSERT INTO endings VALUES (1, 1, 2, 1700000702000000000, '203.0.113.7', 'expired', 512, 30720);
INSERT INTO acts VALUES (1, 2, 1700000103000000000, 1000, 4242, 'ada', 'block', '{"target":"198.51.100.0/24"}');
PRAGMA application_id = 0x77656972;
PRAGMA user_version = 1;
COMMIT;
