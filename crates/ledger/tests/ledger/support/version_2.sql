-- A ledger of version 2, with a few decisions of each outcome: a file from before decisions were
-- kept as records. It is a fixture; do not change it.
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
CREATE TABLE models (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE
);
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
CREATE TABLE retention (
    name TEXT PRIMARY KEY NOT NULL,
    before_ns INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    removed INTEGER NOT NULL
);
INSERT INTO runs VALUES
    (1, 1700000000000000000, 5000000000, 'b0', '0.1.0', 'c0', 'aaaa', 'enforce', 'none');
INSERT INTO windows VALUES
    (1, 1, 101, 1700000101000000000, 106000000000, 1700000102000000000, 107000000000, 15, 5, 990, 3, 1, 0, 'enforce');
INSERT INTO models VALUES (1, 'aaaa'), (2, 'bbbb');
-- Retention has removed 1 to 3, and 11, the last one, as well.
INSERT INTO decisions VALUES
    (4, 1, 101, 1700000102000000123, '203.0.113.7', 0.00123456789012345678, 0.3, 0.7099999785423279, 0.625, 2.5, -0.1, 310, 41000, 1, 'made', 'drop', NULL, 1, 600000000000, 1, '[{"subject":"peer","feature":"distinct_local_ports","unit":"ports","value":412.0,"benign_low":1.0,"benign_high":9.0,"share":0.7}]'),
    (5, 1, 101, 1700000102000000123, '203.0.113.8', 0.002, 0.002, 0.75, 0.625, 2.5, 0.5, 310, 41000, 0, 'made', 'rate-limit', NULL, 2, 1200000000000, 1, '[]'),
    (6, 1, 101, 1700000102000000123, '203.0.113.9', 0.002, 0.002, 0.75, 0.625, 2.5, 0.5, 310, 41000, 1, 'made', 'shadow', NULL, 1, 600000000000, 2, '[]'),
    (7, 1, 102, 1700000103500000000, '2001:db8::9', 5e-324, NULL, 0.5, 0.5, 0.5, 0.1, 9223372036854775807, 2000, 0, 'refused', NULL, 'below_margin', 0, NULL, 2, '["syn_ratio"]'),
    (8, 1, 102, 1700000103500000000, '2001:db8::9', 0.02, 1.0, 0.5, 0.5, 0.5, 0.1, 20, 2000, 0, 'refused', NULL, 'an_older_guard', 0, NULL, 2, ''),
    (9, 1, 103, 1700000104000000000, '203.0.113.7', 0.02, 0.02, 0.5, 0.5, 0.5, 0.1, 20, 2000, 0, 'would', 'shadow', NULL, 1, 600000000000, 2, '[]'),
    (10, 1, 103, 1700000104000000000, '203.0.113.7', 0.02, 0.02, 0.5, 0.5, 0.5, 0.1, 20, 2000, 0, 'failed', NULL, NULL, 1, 600000000000, 2, '[]');
UPDATE sqlite_sequence SET seq = 11 WHERE name = 'decisions';
INSERT INTO blocks VALUES
    (1, 1, '203.0.113.7', 'drop', 1700000102000000000, 107000000000, 1700000702000000000, 707000000000, 'model', 4, NULL, NULL),
    (2, 1, '203.0.113.8', 'rate-limit', 1700000102000000000, 107000000000, 1700001302000000000, 1307000000000, 'model', 5, NULL, NULL);
INSERT INTO retention VALUES ('runs', -9223372036854775807 - 1, -9223372036854775807 - 1, 0);
INSERT INTO retention VALUES ('stops', -9223372036854775807 - 1, -9223372036854775807 - 1, 0);
INSERT INTO retention VALUES ('windows', -9223372036854775807 - 1, -9223372036854775807 - 1, 0);
INSERT INTO retention VALUES ('decisions', 1700000090000000000, 1700000095000000000, 3);
INSERT INTO retention VALUES ('blocks', -9223372036854775807 - 1, -9223372036854775807 - 1, 0);
INSERT INTO retention VALUES ('endings', -9223372036854775807 - 1, -9223372036854775807 - 1, 0);
INSERT INTO retention VALUES ('acts', -9223372036854775807 - 1, -9223372036854775807 - 1, 0);
INSERT INTO retention VALUES ('differences', -9223372036854775807 - 1, -9223372036854775807 - 1, 0);
CREATE TRIGGER runs_update BEFORE UPDATE ON runs
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of runs is refused'); END;
CREATE TRIGGER runs_insert BEFORE INSERT ON runs WHEN EXISTS (SELECT 1 FROM runs WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of runs is refused'); END;
CREATE TRIGGER runs_delete BEFORE DELETE ON runs WHEN OLD.at_ns >= (SELECT before_ns FROM retention WHERE name = 'runs')
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of runs is refused'); END;
CREATE TRIGGER stops_update BEFORE UPDATE ON stops
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of stops is refused'); END;
CREATE TRIGGER stops_insert BEFORE INSERT ON stops WHEN EXISTS (SELECT 1 FROM stops WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of stops is refused'); END;
CREATE TRIGGER stops_delete BEFORE DELETE ON stops WHEN OLD.at_ns >= (SELECT before_ns FROM retention WHERE name = 'stops')
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of stops is refused'); END;
CREATE TRIGGER windows_update BEFORE UPDATE ON windows
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of windows is refused'); END;
CREATE TRIGGER windows_insert BEFORE INSERT ON windows WHEN EXISTS (SELECT 1 FROM windows WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of windows is refused'); END;
CREATE TRIGGER windows_delete BEFORE DELETE ON windows WHEN OLD.at_ns >= (SELECT before_ns FROM retention WHERE name = 'windows')
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of windows is refused'); END;
CREATE TRIGGER decisions_update BEFORE UPDATE ON decisions
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of decisions is refused'); END;
CREATE TRIGGER decisions_insert BEFORE INSERT ON decisions WHEN EXISTS (SELECT 1 FROM decisions WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of decisions is refused'); END;
CREATE TRIGGER decisions_delete BEFORE DELETE ON decisions WHEN OLD.at_ns >= (SELECT before_ns FROM retention WHERE name = 'decisions')
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of decisions is refused'); END;
CREATE TRIGGER blocks_update BEFORE UPDATE ON blocks
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of blocks is refused'); END;
CREATE TRIGGER blocks_insert BEFORE INSERT ON blocks WHEN EXISTS (SELECT 1 FROM blocks WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of blocks is refused'); END;
CREATE TRIGGER blocks_delete BEFORE DELETE ON blocks WHEN OLD.at_ns >= (SELECT before_ns FROM retention WHERE name = 'blocks')
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of blocks is refused'); END;
CREATE TRIGGER endings_update BEFORE UPDATE ON endings
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of endings is refused'); END;
CREATE TRIGGER endings_insert BEFORE INSERT ON endings WHEN EXISTS (SELECT 1 FROM endings WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of endings is refused'); END;
CREATE TRIGGER endings_delete BEFORE DELETE ON endings WHEN OLD.at_ns >= (SELECT before_ns FROM retention WHERE name = 'endings')
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of endings is refused'); END;
CREATE TRIGGER acts_update BEFORE UPDATE ON acts
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of acts is refused'); END;
CREATE TRIGGER acts_insert BEFORE INSERT ON acts WHEN EXISTS (SELECT 1 FROM acts WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of acts is refused'); END;
CREATE TRIGGER acts_delete BEFORE DELETE ON acts WHEN OLD.at_ns >= (SELECT before_ns FROM retention WHERE name = 'acts')
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of acts is refused'); END;
CREATE TRIGGER differences_update BEFORE UPDATE ON differences
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of differences is refused'); END;
CREATE TRIGGER differences_insert BEFORE INSERT ON differences WHEN EXISTS (SELECT 1 FROM differences WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of differences is refused'); END;
CREATE TRIGGER differences_delete BEFORE DELETE ON differences WHEN OLD.at_ns >= (SELECT before_ns FROM retention WHERE name = 'differences')
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of differences is refused'); END;
CREATE TRIGGER models_update BEFORE UPDATE ON models
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of models is refused'); END;
CREATE TRIGGER models_delete BEFORE DELETE ON models
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of models is refused'); END;
CREATE TRIGGER models_insert BEFORE INSERT ON models WHEN EXISTS (SELECT 1 FROM models WHERE id = NEW.id OR hash = NEW.hash)
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of models is refused'); END;
CREATE TRIGGER retention_update BEFORE UPDATE ON retention WHEN NEW.name <> OLD.name OR NEW.before_ns < OLD.before_ns OR NEW.removed < OLD.removed
    BEGIN SELECT RAISE(ABORT, 'append-only: update of a row of retention is refused'); END;
CREATE TRIGGER retention_delete BEFORE DELETE ON retention
    BEGIN SELECT RAISE(ABORT, 'append-only: delete of a row of retention is refused'); END;
CREATE TRIGGER retention_insert BEFORE INSERT ON retention
    BEGIN SELECT RAISE(ABORT, 'append-only: insert of a row of retention is refused'); END;
PRAGMA application_id = 0x77656972;
PRAGMA user_version = 2;
COMMIT;
