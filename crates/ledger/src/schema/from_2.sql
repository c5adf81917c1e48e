-- From version 2 to version 3: a decision is kept as the record that the API and the event log
-- have, as JSON, and no longer column by column. What version 2 did not record is left out, or has
-- the value that claims least: a conditional p-value of 1, a boot-clock time by the run's start.

UPDATE blocks SET action = 'rate-limit' WHERE action = 'rate_limit';

ALTER TABLE decisions RENAME TO decisions_2;
DROP INDEX decisions_at;
DROP INDEX decisions_address;
DROP INDEX decisions_acted;
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
INSERT INTO decisions
WITH told AS (
    SELECT d.*,
        CASE
            WHEN outcome = 'would' THEN 'would-block'
            WHEN outcome <> 'made' THEN outcome
            WHEN action = 'drop' THEN 'blocked'
            WHEN action IN ('rate-limit', 'rate_limit') THEN 'rate-limited'
            ELSE 'shadowed' END AS taken,
        -- The rest of a division is below 0 before 1970.
        (at_ns % 1000000000 + 1000000000) % 1000000000 AS ns
    FROM decisions_2 AS d
)
SELECT id, run, at_ns, address, taken, refusal, model,
    -- A patch with NULL leaves a key out.
    json_patch('{}', json_object(
        'id', id,
        'time', strftime('%Y-%m-%dT%H:%M:%S', (at_ns - ns) / 1000000000, 'unixepoch')
            || printf('.%09dZ', ns),
        'at_ns', max(0, coalesce(
            (SELECT boot_ns + told.at_ns - runs.at_ns FROM runs WHERE runs.id = told.run), 0)),
        'window', window,
        'peer', address,
        -- Seventeen digits hold a number exactly; json_object alone may write fewer.
        'p_value', json(printf('%!.17g', p_value)),
        'conditional_p_value', json(printf('%!.17g', coalesce(p_conditional, 1.0))),
        'peer_score', json(printf('%!.17g', peer_score)),
        'flow_score', json(printf('%!.17g', flow_score)),
        'novelty', json(printf('%!.17g', novelty)),
        'excess', json(printf('%!.17g', excess)),
        'packets', packets,
        'bytes', bytes,
        'standing', CASE WHEN verified THEN 'proven' ELSE 'unproven' END,
        'flows', 0,
        'outcome', taken,
        'action', replace(action, '_', '-'),
        'refusal', refusal,
        'ttl_s', coalesce(ttl_ns, 0) / 1000000000,
        'offence', offence,
        'reasons', json(CASE
            WHEN NOT json_valid(reasons) THEN json_array(reasons)
            WHEN json_type(reasons) <> 'array' THEN json_array(json(reasons))
            ELSE reasons END)
    ))
FROM told ORDER BY id;
-- Numbers are not used again, also those of rows that retention removed.
DELETE FROM sqlite_sequence WHERE name = 'decisions';
INSERT INTO sqlite_sequence SELECT 'decisions', seq FROM sqlite_sequence WHERE name = 'decisions_2';
DROP TABLE decisions_2;
CREATE INDEX decisions_at ON decisions (at_ns);
CREATE INDEX decisions_address ON decisions (address, at_ns);
CREATE INDEX decisions_acted ON decisions (at_ns) WHERE outcome <> 'refused';
