-- Why: penalties accrued over the region keep what a court asks for: by which tables, up to which day, from which days and
-- bases each kopeck came. A run is planned range by range (a calculation is kept before it is posted), so that one that was
-- killed goes on where it stopped and posts nothing twice.
-- Locks: creates; `readings` is locked against writes while its index is built.

-- `tables` are rates, caps, moratoria and calendar as they were read, whole (JSON). Accounts up to `planned_through` have
-- their calculations kept, those up to `posted_through` are in the ledger; every posting is of the instant `started_at`.
CREATE TABLE penalty_runs (
    run              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    as_of            date NOT NULL,
    account          text COLLATE "C" NOT NULL DEFAULT '',
    house            integer,
    tables           text NOT NULL,
    tables_sha256    text NOT NULL,
    started_by       text NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT now(),
    planned_through  text COLLATE "C" NOT NULL DEFAULT '',
    posted_through   text COLLATE "C" NOT NULL DEFAULT '',
    accounts         bigint NOT NULL DEFAULT 0,
    accounts_changed bigint NOT NULL DEFAULT 0,
    accounts_ahead   bigint NOT NULL DEFAULT 0,
    finished_at      timestamptz
);
-- At most one run is unfinished: two at once would both post the same days.
CREATE UNIQUE INDEX penalty_runs_unfinished ON penalty_runs ((true)) WHERE finished_at IS NULL;

-- One account's calculation of one run, kept only where the run changes something. JSON, compact.
CREATE TABLE penalty_calculations (
    run         bigint NOT NULL REFERENCES penalty_runs,
    account     text COLLATE "C" NOT NULL,
    calculation text NOT NULL,
    PRIMARY KEY (account, run)
);
CREATE UNIQUE INDEX penalty_calculations_by_run ON penalty_calculations (run, account);
CREATE TRIGGER penalty_calculations_append_only BEFORE UPDATE OR DELETE ON penalty_calculations
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE penalty_totals (
    run              bigint NOT NULL REFERENCES penalty_runs,
    service          text COLLATE "C" NOT NULL,
    provider         text COLLATE "C" NOT NULL,
    debts            bigint NOT NULL,
    raised_kopecks   bigint NOT NULL,
    credited_kopecks bigint NOT NULL,
    PRIMARY KEY (run, service, provider)
);

-- Accounts that a run could not accrue or post, and why: a person looks at those, the others do not wait.
CREATE TABLE penalty_faults (
    run     bigint NOT NULL REFERENCES penalty_runs,
    account text COLLATE "C" NOT NULL,
    problem text NOT NULL,
    PRIMARY KEY (run, account)
);

CREATE VIEW penalty_runs_summed AS
    SELECT r.*, coalesce(t.raised_kopecks, 0) AS raised_kopecks, coalesce(t.credited_kopecks, 0) AS credited_kopecks,
        (SELECT count(*) FROM penalty_faults f WHERE f.run = r.run) AS faults
    FROM penalty_runs r
    LEFT JOIN LATERAL (
        SELECT sum(raised_kopecks)::bigint AS raised_kopecks, sum(credited_kopecks)::bigint AS credited_kopecks
        FROM penalty_totals WHERE run = r.run
    ) t ON true;

-- Exports tell readings in the order in which their files came; nothing else reads them so.
CREATE INDEX readings_by_file ON readings (file, row);
