-- Why: registers of agents and bank statements are matched with what was taken online, line by line, each line once;
-- what does not agree becomes a case that a person solves, with a history that nobody edits.
-- Locks: creates only, but for one index on account_holders (share lock: its writers wait).

-- What was taken, per source and time: the ledger's payments once more, narrow, filled behind the ledger by cursor
-- (ADR-0010). Derived: truncated together with its cursors, it is rebuilt. `reversed_kopecks`: by anything but a register.
CREATE TABLE taken (
    payment_id       bigint NOT NULL,
    kopecks          bigint NOT NULL,
    reversed_kopecks bigint NOT NULL DEFAULT 0,
    accepted_at      timestamptz NOT NULL,
    by_register      boolean NOT NULL,
    source           text COLLATE "C" NOT NULL,
    txn_id           text COLLATE "C" NOT NULL,
    account          text COLLATE "C" NOT NULL,
    PRIMARY KEY (source, txn_id)
);
CREATE INDEX taken_by_time ON taken (source, accepted_at);

CREATE TABLE taken_cursors (
    shard       integer PRIMARY KEY,
    seq         bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT '-infinity'
);

-- One register: a received file that was checked whole. Its day is the operating day that it covers.
CREATE TABLE registers (
    file                bigint PRIMARY KEY REFERENCES received_files,
    connection          text COLLATE "C" NOT NULL,
    source              text COLLATE "C" NOT NULL,
    day                 date NOT NULL,
    order_number        text NOT NULL,
    order_on            date,
    lines               integer NOT NULL,
    paid_kopecks        bigint NOT NULL,
    transferred_kopecks bigint NOT NULL,
    fee_kopecks         bigint NOT NULL,
    transfer_state      text NOT NULL DEFAULT 'waiting' CHECK (transfer_state IN ('waiting', 'arrived', 'differs', 'late'))
);
CREATE INDEX registers_by_day ON registers (connection, day);
CREATE INDEX registers_waiting ON registers (file) WHERE transfer_state <> 'arrived';

-- One line. outcome: see engine/registers.py; empty while it waits. `txn_id`: the online number by the contract's rule.
-- `ours_kopecks`: what the ledger has for it. `online_day`: the operating day of the online payment, where there is one.
-- Payer and address are kept only while a person may need them to find an account.
CREATE TABLE register_lines (
    file                bigint NOT NULL REFERENCES registers,
    row                 integer NOT NULL,
    day                 date NOT NULL,
    online_day          date,
    operated_at         timestamptz NOT NULL,
    paid_kopecks        bigint NOT NULL,
    transferred_kopecks bigint NOT NULL,
    fee_kopecks         bigint NOT NULL,
    ours_kopecks        bigint NOT NULL DEFAULT 0,
    payment_id          bigint NOT NULL DEFAULT 0,
    period              integer NOT NULL,
    source              text COLLATE "C" NOT NULL,
    txn_id              text COLLATE "C" NOT NULL,
    account             text COLLATE "C" NOT NULL,
    account_as_sent     text COLLATE "C" NOT NULL,
    refund_of           text COLLATE "C" NOT NULL,
    point               text NOT NULL,
    payer               text NOT NULL,
    address             text NOT NULL,
    outcome             text COLLATE "C" NOT NULL DEFAULT '',
    problem             text NOT NULL DEFAULT '',
    PRIMARY KEY (file, row)
);
-- Finds earlier lines of an operation, and tells whether any register has an online payment.
CREATE INDEX register_lines_by_operation ON register_lines (source, txn_id);
CREATE INDEX register_lines_by_day ON register_lines (source, day);
CREATE INDEX register_lines_by_refund ON register_lines (source, refund_of) WHERE refund_of <> '';
CREATE INDEX register_lines_waiting ON register_lines (file, row) WHERE outcome = '';

-- Operating days whose register is due: `missing` until one is here, then `complete`: what no register has became cases.
CREATE TABLE register_days (
    connection text COLLATE "C" NOT NULL,
    day        date NOT NULL,
    state      text COLLATE "C" NOT NULL CHECK (state IN ('missing', 'complete')),
    PRIMARY KEY (connection, day)
);
CREATE INDEX register_days_missing ON register_days (connection) WHERE state = 'missing';

-- Movements on our bank accounts; statements overlap, an entry counts once. `register`: the first one it paid for.
CREATE TABLE statement_entries (
    entry          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file           bigint NOT NULL REFERENCES received_files,
    row            integer NOT NULL,
    dated_on       date NOT NULL,
    booked_on      date NOT NULL,
    amount_kopecks bigint NOT NULL,
    number         text COLLATE "C" NOT NULL,
    our_account    text COLLATE "C" NOT NULL,
    other_account  text COLLATE "C" NOT NULL,
    other_inn      text COLLATE "C" NOT NULL,
    purpose        text NOT NULL,
    register       bigint,
    UNIQUE (number, dated_on, amount_kopecks, our_account, other_account)
);
CREATE INDEX statement_entries_by_payer ON statement_entries (other_inn, booked_on);

-- What a person must solve. `subject` is its natural key within kind and source: the same trouble is one case.
-- `step`: how far a resolution that takes several commands has come; `target`, `decided_by`, `decision`: what it is.
CREATE TABLE cases (
    number         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text COLLATE "C" NOT NULL,
    state          text COLLATE "C" NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'in_work', 'solved', 'returned')),
    connection     text COLLATE "C" NOT NULL,
    source         text COLLATE "C" NOT NULL,
    subject        text COLLATE "C" NOT NULL,
    day            date NOT NULL,
    due_on         date NOT NULL,
    opened_at      timestamptz NOT NULL DEFAULT now(),
    closed_at      timestamptz,
    file           bigint,
    row            integer,
    txn_id         text COLLATE "C" NOT NULL DEFAULT '',
    account        text COLLATE "C" NOT NULL DEFAULT '',
    payment_id     bigint NOT NULL DEFAULT 0,
    ours_kopecks   bigint NOT NULL DEFAULT 0,
    theirs_kopecks bigint NOT NULL DEFAULT 0,
    step           text COLLATE "C" NOT NULL DEFAULT '',
    decision       text COLLATE "C" NOT NULL DEFAULT '',
    target         text COLLATE "C" NOT NULL DEFAULT '',
    decided_by     text NOT NULL DEFAULT '',
    reason         text NOT NULL DEFAULT '',
    UNIQUE (kind, source, subject)
);
CREATE INDEX cases_open ON cases (number) WHERE state IN ('open', 'in_work');
CREATE INDEX cases_by_file ON cases (file, number);
CREATE INDEX cases_under_way ON cases (number) WHERE step <> '';

CREATE TABLE case_history (
    number bigint NOT NULL REFERENCES cases,
    step   integer NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    who    text NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (number, step)
);
CREATE TRIGGER case_history_append_only BEFORE UPDATE OR DELETE ON case_history
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER case_history_not_truncated BEFORE TRUNCATE ON case_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- People are searched by the first word of their name when a register names a payer but not an account.
CREATE INDEX account_holders_by_surname ON account_holders
    (translate(upper(split_part(holder, ' ', 1)), 'Ё', 'Е') text_pattern_ops);
