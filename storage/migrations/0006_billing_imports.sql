-- Why: what billings send is staged as it was understood, checked, posted once, and answered row by row. The importer
-- remembers what each billing has posted for whom, so that a corrected file becomes the difference; what waits for a
-- mapping is kept apart until somebody confirms it.
-- Locks: creates only.

-- A billing: under which agreement its new accounts open, and how strictly its files are checked (JSON).
CREATE TABLE billings (
    billing   text COLLATE "C" PRIMARY KEY CHECK (billing ~ '^[a-z0-9][a-z0-9_-]{0,22}$'),
    agreement text COLLATE "C" NOT NULL,
    settings  text NOT NULL DEFAULT '{}',
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- The rows of a file as they were understood; a partition a file, so that it is filled without an index, indexed at
-- once, and dropped whole. Rows never change: what became of them is in the tables below. A wide record gives several
-- parts of one row. `reference` is a bill's document, a payment's operation or a meter's serial; `on_date` the day due,
-- paid or read; `content` is all of it (JSON).
CREATE TABLE billing_rows (
    file             bigint NOT NULL,
    due_kopecks      bigint NOT NULL,
    penalty_kopecks  bigint NOT NULL,
    duty_kopecks     bigint NOT NULL,
    opening_kopecks  bigint,
    closing_kopecks  bigint,
    row              integer NOT NULL,
    period           integer NOT NULL,
    on_date          date,
    part             smallint NOT NULL,
    kind             smallint NOT NULL,
    zone             smallint NOT NULL,
    account          text COLLATE "C" NOT NULL,
    service          text COLLATE "C" NOT NULL,
    provider         text COLLATE "C" NOT NULL,
    reference        text COLLATE "C" NOT NULL,
    value            text COLLATE "C" NOT NULL,
    content          text COLLATE "C" NOT NULL
) PARTITION BY LIST (file);

-- Begins a file's staging from nothing: an empty table that no reader sees yet. `finish_staging` shows it to them.
CREATE FUNCTION begin_staging(of_file bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    name text := 'billing_rows_' || of_file;
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', name);
    EXECUTE format('CREATE TABLE %I (LIKE billing_rows)', name);
    DELETE FROM billing_findings WHERE file = of_file;
    DELETE FROM billing_codes WHERE file = of_file;
    RETURN name;
END $$;

-- Locks: ACCESS EXCLUSIVE on the new table alone; on `billing_rows` SHARE UPDATE EXCLUSIVE, for an instant.
CREATE FUNCTION finish_staging(of_file bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := 'billing_rows_' || of_file;
BEGIN
    EXECUTE format('CREATE INDEX ON %I (account, row)', name);
    EXECUTE format('CREATE UNIQUE INDEX ON %I (row, part)', name);
    EXECUTE format('ALTER TABLE %I ADD CHECK (file = %L)', name, of_file);
    EXECUTE format('ALTER TABLE billing_rows ATTACH PARTITION %I FOR VALUES IN (%L)', name, of_file);
    EXECUTE format('ANALYZE %I', name);
END $$;

-- What is to be said of a row; row 0 is the file as a whole. severity: file (refuses the whole file), row (rejects it), warning.
CREATE TABLE billing_findings (
    file     bigint NOT NULL,
    row      integer NOT NULL,
    severity text NOT NULL CHECK (severity IN ('file', 'row', 'warning')),
    code     text COLLATE "C" NOT NULL,
    text     text NOT NULL,
    PRIMARY KEY (file, row, code)
);

-- What the sender's codes meant when the file was checked: read once, so that a repeat of a step asks the same of the
-- shards whatever is confirmed meanwhile. `master` is NULL while nobody has confirmed a meaning.
CREATE TABLE billing_codes (
    file     bigint NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('service', 'provider')),
    code     text COLLATE "C" NOT NULL,
    period   integer NOT NULL,
    master   text COLLATE "C",
    PRIMARY KEY (file, kind, code, period)
);

-- How far a file has come: accounts up to `cursor` are posted. `is_whole`: what it does not name is billed no more.
CREATE TABLE billing_runs (
    file        bigint PRIMARY KEY REFERENCES received_files,
    periods     integer[] NOT NULL,
    is_whole    boolean NOT NULL,
    accounts    bigint NOT NULL,
    posted      bigint NOT NULL DEFAULT 0,
    cursor      text COLLATE "C" NOT NULL DEFAULT '',
    kopecks     bigint NOT NULL DEFAULT 0,
    changed_at  timestamptz NOT NULL DEFAULT now()
);

-- The protocols that were sent back; a later version tells of rows that had waited.
CREATE TABLE billing_protocols (
    file       bigint NOT NULL REFERENCES received_files,
    version    integer NOT NULL,
    sha256     text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (file, version)
);

-- What a billing has posted so far for an account and a month, net of its corrections. `lines`: JSON array of
-- [service, provider, kind, kopecks] in the master's codes; `charged_kopecks` is their sum over charges.
CREATE TABLE billed (
    charged_kopecks bigint NOT NULL,
    file            bigint NOT NULL,
    period          integer NOT NULL,
    billing         text COLLATE "C" NOT NULL,
    account         text COLLATE "C" NOT NULL,
    lines           text COLLATE "C" NOT NULL,
    PRIMARY KEY (billing, account, period)
);

-- The accounts that a billing has opened or found open, and those that it closed.
CREATE TABLE billing_accounts (
    file      bigint NOT NULL,
    billing   text COLLATE "C" NOT NULL,
    account   text COLLATE "C" NOT NULL,
    is_closed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (billing, account)
);

-- Rows that wait for a mapping. state: waiting -> releasing -> posted; or superseded by a whole file. Once releasing,
-- the masters are fixed, so that a repeat asks the same.
CREATE TABLE billing_waiting (
    file            bigint NOT NULL,
    kopecks         bigint NOT NULL,
    row             integer NOT NULL,
    period          integer NOT NULL,
    release         integer NOT NULL DEFAULT 0,
    part            smallint NOT NULL,
    billing         text COLLATE "C" NOT NULL,
    account         text COLLATE "C" NOT NULL,
    service         text COLLATE "C" NOT NULL,
    provider        text COLLATE "C" NOT NULL,
    state           text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'releasing', 'posted', 'superseded')),
    master_service  text COLLATE "C",
    master_provider text COLLATE "C",
    changed_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (file, row, part)
);
CREATE INDEX billing_waiting_open ON billing_waiting (billing, account) WHERE state IN ('waiting', 'releasing');

-- The accounts on which a billing holds money, because rows of theirs wait.
CREATE TABLE billing_holds (
    file    bigint NOT NULL,
    billing text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    PRIMARY KEY (billing, account)
);

-- What a billing says of an account besides money: the row as it was (JSON); `house_code` is what it calls the house, a
-- ГАР id or the address, until a mapping says which house of ours it is: so long it `waits`. Personal: never copied into events, logs or metrics (152-ФЗ).
CREATE TABLE account_cards (
    file       bigint NOT NULL,
    billing    text COLLATE "C" NOT NULL,
    account    text COLLATE "C" NOT NULL,
    house_code text COLLATE "C" NOT NULL,
    content    text NOT NULL,
    waits      boolean NOT NULL,
    PRIMARY KEY (billing, account)
);
CREATE INDEX account_cards_waiting ON account_cards (billing, house_code) WHERE waits;

-- Meters and readings with their history: a later file adds, nothing is edited; the newest file's word holds.
CREATE TABLE meters (
    file           bigint NOT NULL,
    verified_on    date,
    verify_next_on date,
    row            integer NOT NULL,
    zone           smallint NOT NULL,
    digits         smallint NOT NULL,
    is_removed     boolean NOT NULL,
    billing        text COLLATE "C" NOT NULL,
    account        text COLLATE "C" NOT NULL,
    service        text COLLATE "C" NOT NULL,
    serial         text COLLATE "C" NOT NULL,
    factor         numeric NOT NULL,
    initial        numeric,
    PRIMARY KEY (billing, account, service, serial, zone, file)
);

CREATE TABLE readings (
    file    bigint NOT NULL,
    read_on date NOT NULL,
    row     integer NOT NULL,
    zone    smallint NOT NULL,
    billing text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    serial  text COLLATE "C" NOT NULL,
    source  text NOT NULL,
    value   numeric NOT NULL,
    PRIMARY KEY (billing, account, service, serial, zone, read_on, file)
);
CREATE TRIGGER meters_append_only BEFORE UPDATE OR DELETE ON meters
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER readings_append_only BEFORE UPDATE OR DELETE ON readings
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
