-- Why: the ledger is the truth of the whole system. One row is one event of one personal account; rows are numbered
-- by their shard without gaps, chained by hash, partitioned by month of recording, and never changed.
-- Locks: creates only; nothing else can be waiting for these tables.

-- A shard's term (epoch) and the end of its sequence. Every append moves it on under a check of the epoch: that is
-- the fence. The row lock makes a take-over wait for the append in progress. The door is where the term's process
-- listens for gateways, and the key to it, made for this term: who can read this table can speak to the shards.
CREATE TABLE shards (
    shard       integer PRIMARY KEY CHECK (shard BETWEEN 1 AND 90000),
    epoch       bigint NOT NULL DEFAULT 0,
    seq         bigint NOT NULL DEFAULT 0,
    owner       text NOT NULL DEFAULT '',
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    door_host   text NOT NULL DEFAULT '',
    door_port   integer NOT NULL DEFAULT 0,
    door_key    bytea NOT NULL DEFAULT ''
) WITH (fillfactor = 20);

-- Which shard owns which slot of accounts. Read when a shard takes ownership and when routes are published.
CREATE TABLE slots (
    slot  integer PRIMARY KEY CHECK (slot BETWEEN 0 AND 4095),
    shard integer NOT NULL REFERENCES shards
);
CREATE INDEX slots_by_shard ON slots (shard);

-- Fixed-width columns first: no padding inside the row. Text is compared byte by byte (COLLATE "C").
-- services .. amounts are parallel arrays, one element a line. Of one command's events the one that answers it has the
-- fingerprint of the request, the others an empty one.
CREATE TABLE events (
    seq             bigint NOT NULL,
    amount_kopecks  bigint NOT NULL,
    balance_kopecks bigint NOT NULL,
    accepted_at     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    account_seq     integer NOT NULL,
    ref             integer NOT NULL,
    shard           integer NOT NULL,
    epoch           integer NOT NULL,
    kind            smallint NOT NULL,
    account         text COLLATE "C" NOT NULL,
    txn_id          text COLLATE "C" NOT NULL,
    source          text COLLATE "C" NOT NULL,
    policy          text COLLATE "C" NOT NULL,
    channel         text COLLATE "C" NOT NULL,
    services        text[] COLLATE "C" NOT NULL,
    providers       text[] COLLATE "C" NOT NULL,
    periods         integer[] NOT NULL,
    kinds           smallint[] NOT NULL,
    amounts         bigint[] NOT NULL,
    request_hash    bytea NOT NULL,
    details         text COLLATE "C",
    hash            bytea NOT NULL
) PARTITION BY RANGE (recorded_at);

-- (source, txn_id) counts once, for ever, across shards and months: hence a table of its own, not partitioned.
CREATE TABLE idempotency_keys (
    payment_id  bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    source      text COLLATE "C" NOT NULL,
    txn_id      text COLLATE "C" NOT NULL,
    PRIMARY KEY (source, txn_id)
);

-- What must happen after an append (registers, submissions) starts from here: one row a batch, in its transaction.
CREATE TABLE outbox (
    shard       integer NOT NULL,
    first_seq   bigint NOT NULL,
    last_seq    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (shard, first_seq)
);

-- Snapshots are a cache: deleting them all loses nothing but speed.
CREATE TABLE account_snapshots (
    account     text COLLATE "C" PRIMARY KEY,
    account_seq integer NOT NULL,
    version     smallint NOT NULL,
    recorded_at timestamptz NOT NULL,
    state       bytea NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history is never edited: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER idempotency_keys_append_only BEFORE UPDATE OR DELETE ON idempotency_keys
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER idempotency_keys_not_truncated BEFORE TRUNCATE ON idempotency_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_not_truncated BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whatever inserts events, the database itself keeps three promises about them, in the inserting statement: only the
-- owner of the shard's present term appends, and at the end of its sequence (else KP001); a key counts once (unique);
-- an outbox row goes with the batch. So an append is one COPY into a month's partition, one round trip.
-- Keys are inserted in their order: two shards with the same keys wait for each other, and never in a circle.
CREATE FUNCTION complete_append() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    batch record;
BEGIN
    SELECT min(shard) AS shard, min(epoch) AS epoch, min(seq) AS first_seq, max(seq) AS last_seq, count(*) AS events,
        max(recorded_at) AS recorded_at, bool_and(shard = first.of_shard AND epoch = first.of_epoch) AS of_one_term
    INTO batch FROM appended, (SELECT shard AS of_shard, epoch AS of_epoch FROM appended LIMIT 1) AS first;
    IF batch.events = 0 THEN
        RETURN NULL;
    END IF;
    UPDATE shards SET seq = batch.last_seq
    WHERE shard = batch.shard AND epoch = batch.epoch AND seq = batch.first_seq - 1;
    IF NOT FOUND OR NOT batch.of_one_term OR batch.last_seq - batch.first_seq + 1 <> batch.events THEN
        RAISE EXCEPTION 'epoch % of shard % may not append from %', batch.epoch, batch.shard, batch.first_seq
            USING ERRCODE = 'KP001';
    END IF;
    INSERT INTO idempotency_keys (payment_id, recorded_at, source, txn_id)
        SELECT shard * 100000000000000 + seq, recorded_at, source, txn_id FROM appended WHERE request_hash <> ''
        ORDER BY source, txn_id;
    INSERT INTO outbox VALUES (batch.shard, batch.first_seq, batch.last_seq, batch.recorded_at);
    RETURN NULL;
END $$;

CREATE FUNCTION refuse_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are appended to the partition of their month' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER events_by_partition BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_insert();

-- Makes the partitions of the months from `first` (any day of it) on. Safe when two callers try at once.
-- Each has its own unique indexes: (shard, seq) is the position, (account, account_seq) is one account's history.
CREATE FUNCTION ensure_event_partitions(first date, months integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    starts timestamptz;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(4096001);
    FOR i IN 0 .. months - 1 LOOP
        starts := (date_trunc('month', first) + make_interval(months => i))::timestamp AT TIME ZONE 'UTC';
        name := 'events_' || to_char(starts AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)', name, starts,
                       ((starts AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
        EXECUTE format('CREATE UNIQUE INDEX ON %I (shard, seq)', name);
        EXECUTE format('CREATE UNIQUE INDEX ON %I (account, account_seq)', name);
        EXECUTE format('CREATE TRIGGER complete_append AFTER INSERT ON %I REFERENCING NEW TABLE AS appended '
                       'FOR EACH STATEMENT EXECUTE FUNCTION complete_append()', name);
        EXECUTE format('CREATE TRIGGER not_truncated BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                       'EXECUTE FUNCTION refuse_change()', name);
    END LOOP;
END $$;

SELECT ensure_event_partitions((now() AT TIME ZONE 'UTC')::date, 3);
