-- Why: master data (НСИ) says what codes mean and what is in force when: services, providers, contracts, houses, tariffs,
-- norms, calendars, rates; and which of ours a sender's code means. Every change of any of these tables leaves a row in
-- one append-only history, with who and why: the database itself sees to it, whoever makes the change.
-- Locks: creates; providers, services and houses are altered, each a small table locked for a moment.

CREATE TABLE master_changes (
    change     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    who        text NOT NULL CHECK (who <> ''),
    why        text NOT NULL CHECK (why <> ''),
    before     jsonb,
    after      jsonb NOT NULL
);
CREATE INDEX master_changes_by_record ON master_changes (kind, id, change);
CREATE TRIGGER master_changes_append_only BEFORE UPDATE OR DELETE ON master_changes
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER master_changes_not_truncated BEFORE TRUNCATE ON master_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The transaction says who and why (set_config of kopeck.who and kopeck.why, local to it), or it changes nothing.
-- The columns that name a record are the trigger's arguments; they never change.
CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who text := coalesce(current_setting('kopeck.who', true), '');
    why text := coalesce(current_setting('kopeck.why', true), '');
    before jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) END;
    after jsonb := to_jsonb(NEW);
    id text := (SELECT string_agg(after ->> name, '/' ORDER BY place) FROM unnest(TG_ARGV) WITH ORDINALITY
                AS keys (name, place));
BEGIN
    IF who = '' OR why = '' THEN
        RAISE EXCEPTION 'a change of % says who and why', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF EXISTS (SELECT FROM unnest(TG_ARGV) AS keys (name) WHERE before ->> name <> after ->> name) THEN
        RAISE EXCEPTION 'the key of % is never changed', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF before IS DISTINCT FROM after THEN
        INSERT INTO master_changes (kind, id, who, why, before, after)
        VALUES (TG_TABLE_NAME, id, who, why, before, after);
    END IF;
    RETURN NULL;
END $$;

ALTER TABLE services
    ADD COLUMN unit           text NOT NULL DEFAULT '',
    ADD COLUMN okei           text NOT NULL DEFAULT '',
    ADD COLUMN service_group  text NOT NULL DEFAULT 'communal'
        CHECK (service_group IN ('communal', 'housing', 'capital_repair', 'additional')),
    ADD COLUMN is_segregated  boolean NOT NULL DEFAULT false,
    ADD COLUMN is_restrictable boolean NOT NULL DEFAULT false,
    ADD COLUMN parent         text COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE providers
    ADD COLUMN inn    text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN kpp    text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN ogrn   text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'reorganising', 'closed')),
    ADD COLUMN roles  text[] NOT NULL DEFAULT '{}';
UPDATE providers SET inn = coalesce(settings::jsonb ->> 'inn', ''), kpp = coalesce(settings::jsonb ->> 'kpp', '');
ALTER TABLE providers DROP COLUMN settings;
CREATE UNIQUE INDEX providers_by_inn_kpp ON providers (inn, kpp) WHERE inn <> '';

ALTER TABLE houses
    ADD COLUMN guid             text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN oktmo            text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN postal_code      text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN cadastral_number text COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX houses_by_guid ON houses (guid) WHERE guid <> '';
CREATE UNIQUE INDEX houses_by_cadastral_number ON houses (cadastral_number) WHERE cadastral_number <> '';

-- Dated tables: the newest row that has begun and has not ended is in force. A row put in by mistake becomes void.
CREATE TABLE provider_names (
    provider   text COLLATE "C" REFERENCES providers,
    valid_from date,
    valid_to   date,
    name       text NOT NULL,
    is_void    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (provider, valid_from)
);

-- purpose: settlement; special (of an agent or of capital repair: money on it is kept apart).
CREATE TABLE bank_accounts (
    provider     text COLLATE "C" REFERENCES providers,
    bic          text COLLATE "C",
    account      text COLLATE "C",
    valid_from   date,
    valid_to     date,
    purpose      text NOT NULL CHECK (purpose IN ('settlement', 'special')),
    bank         text NOT NULL,
    corr_account text COLLATE "C" NOT NULL,
    is_void      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (provider, bic, account, valid_from)
);

-- Between a provider and us (the operator). `agreement` names the splitting policy. Rates in hundredths of a percent.
CREATE TABLE contracts (
    contract               text COLLATE "C" PRIMARY KEY,
    provider               text COLLATE "C" NOT NULL REFERENCES providers,
    operator               text NOT NULL,
    number                 text NOT NULL,
    signed_on              date NOT NULL,
    valid_from             date NOT NULL,
    valid_to               date,
    agreement              text COLLATE "C" NOT NULL,
    commission_mode        text CHECK (commission_mode IN ('withheld', 'on_top')),
    commission_rate_bp     integer NOT NULL CHECK (commission_rate_bp BETWEEN 0 AND 10000),
    commission_min_kopecks bigint NOT NULL,
    commission_max_kopecks bigint,
    is_void                boolean NOT NULL DEFAULT false
);
CREATE INDEX contracts_by_provider ON contracts (provider);

-- Numeric without a scale keeps a tariff as its act prints it: nothing is rounded.
CREATE TABLE tariffs (
    service    text COLLATE "C" REFERENCES services,
    provider   text COLLATE "C" REFERENCES providers,
    territory  text COLLATE "C",
    category   text COLLATE "C",
    valid_from date,
    valid_to   date,
    value      numeric NOT NULL CHECK (value >= 0),
    unit       text NOT NULL,
    act        text NOT NULL,
    is_void    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (service, provider, territory, category, valid_from)
);
CREATE TABLE norms (
    service    text COLLATE "C" REFERENCES services,
    territory  text COLLATE "C",
    category   text COLLATE "C",
    valid_from date,
    valid_to   date,
    value      numeric NOT NULL CHECK (value >= 0),
    unit       text NOT NULL,
    act        text NOT NULL,
    is_void    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (service, territory, category, valid_from)
);

-- These four add to, and where their key is the same replace, what the program knows by itself.
CREATE TABLE calendar_days (
    day        date PRIMARY KEY,
    is_working boolean NOT NULL,
    act        text NOT NULL
);
CREATE TABLE key_rates (
    since        date PRIMARY KEY,
    rate_percent numeric NOT NULL CHECK (rate_percent >= 0),
    act          text NOT NULL,
    is_void      boolean NOT NULL DEFAULT false
);
CREATE TABLE rate_caps (
    since        date PRIMARY KEY,
    until        date NOT NULL,
    rate_percent numeric NOT NULL CHECK (rate_percent >= 0),
    act          text NOT NULL,
    is_void      boolean NOT NULL DEFAULT false
);
CREATE TABLE moratoria (
    since     date,
    territory text COLLATE "C",
    until     date NOT NULL,
    scope     text NOT NULL CHECK (scope IN ('all', 'obligations_due_before_start')),
    regimes   text[] NOT NULL,
    act       text NOT NULL,
    is_void   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (since, territory)
);

-- What a sender's code means. One row is one decision to be made or made: `master_id` and what led to it never change;
-- a proposal is confirmed, rejected or superseded by the next one; a confirmed row is superseded from a day on and stays
-- true for the days before. A code that nothing resembles has a proposal without a master id: it waits, visibly.
CREATE TABLE mappings (
    mapping    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source     text COLLATE "C" NOT NULL CHECK (source <> ''),
    kind       text NOT NULL CHECK (kind IN ('service', 'provider', 'house')),
    code       text COLLATE "C" NOT NULL CHECK (code <> ''),
    name       text NOT NULL,
    attributes text NOT NULL,
    master_id  text COLLATE "C" CHECK (master_id <> ''),
    status     text NOT NULL CHECK (status IN ('proposed', 'confirmed', 'rejected', 'superseded')),
    confidence_percent integer NOT NULL CHECK (confidence_percent BETWEEN 0 AND 100),
    method     text NOT NULL CHECK (method IN ('exact_key', 'checksum_key', 'name_exact', 'name_fuzzy', 'address_parse',
                                               'manual', 'none')),
    valid_from  date NOT NULL,
    valid_to    date,
    proposed_by text NOT NULL CHECK (proposed_by <> ''),
    proposed_at timestamptz NOT NULL DEFAULT now(),
    decided_by  text CHECK (decided_by <> ''),
    decided_at  timestamptz,
    reason      text NOT NULL DEFAULT '',
    CONSTRAINT decided_by_somebody CHECK (status <> 'confirmed' OR (master_id IS NOT NULL AND decided_by IS NOT NULL)),
    CONSTRAINT only_keys_confirm_themselves CHECK (decided_by <> 'auto' OR status = 'superseded'
        OR (method IN ('exact_key', 'checksum_key') AND confidence_percent >= 97)),
    -- Money follows a provider's mapping, so two persons answer for it; a key answers for itself.
    CONSTRAINT providers_need_two CHECK (kind <> 'provider' OR status <> 'confirmed' OR decided_by = 'auto'
        OR lower(btrim(decided_by)) <> lower(btrim(proposed_by)))
);
CREATE UNIQUE INDEX mappings_one_confirmed ON mappings (source, kind, code) WHERE status = 'confirmed';
CREATE UNIQUE INDEX mappings_one_proposed ON mappings (source, kind, code) WHERE status = 'proposed';
CREATE INDEX mappings_in_force ON mappings (source) WHERE status IN ('confirmed', 'superseded');

CREATE FUNCTION guard_mapping() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.source, OLD.kind, OLD.code, OLD.name, OLD.attributes, OLD.master_id, OLD.confidence_percent, OLD.method,
        OLD.valid_from, OLD.proposed_by, OLD.proposed_at)
       IS DISTINCT FROM
       (NEW.source, NEW.kind, NEW.code, NEW.name, NEW.attributes, NEW.master_id, NEW.confidence_percent, NEW.method,
        NEW.valid_from, NEW.proposed_by, NEW.proposed_at)
       OR NOT ((OLD.status = 'proposed' AND NEW.status IN ('confirmed', 'rejected', 'superseded'))
               OR (OLD.status = 'confirmed' AND NEW.status = 'superseded' AND NEW.decided_by = OLD.decided_by)) THEN
        RAISE EXCEPTION 'a mapping is decided once; a change of it is a new row'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_mapping BEFORE UPDATE ON mappings FOR EACH ROW EXECUTE FUNCTION guard_mapping();

-- One history for them all, and nothing is ever removed.
CREATE FUNCTION keep_history(of_table text, VARIADIC keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER record_change AFTER INSERT OR UPDATE ON %I FOR EACH ROW '
                   'EXECUTE FUNCTION record_change(%s)', of_table,
                   (SELECT string_agg(quote_literal(key), ', ') FROM unnest(keys) AS key));
    EXECUTE format('CREATE TRIGGER never_removed BEFORE DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()',
                   of_table);
    EXECUTE format('CREATE TRIGGER never_truncated BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                   'EXECUTE FUNCTION refuse_change()', of_table);
END $$;
SELECT keep_history('services', 'service');
SELECT keep_history('providers', 'provider');
SELECT keep_history('provider_names', 'provider', 'valid_from');
SELECT keep_history('bank_accounts', 'provider', 'bic', 'account', 'valid_from');
SELECT keep_history('contracts', 'contract');
SELECT keep_history('houses', 'house');
SELECT keep_history('tariffs', 'service', 'provider', 'territory', 'category', 'valid_from');
SELECT keep_history('norms', 'service', 'territory', 'category', 'valid_from');
SELECT keep_history('calendar_days', 'day');
SELECT keep_history('key_rates', 'since');
SELECT keep_history('rate_caps', 'since');
SELECT keep_history('moratoria', 'since', 'territory');
SELECT keep_history('split_policies', 'agreement', 'version');
SELECT keep_history('mappings', 'mapping');

-- Puts records (a JSON array of objects with the same keys, named as columns) into a master table: new ones are added, those
-- that differ are changed, the rest is left alone. Row locks are taken in the order of the array.
CREATE FUNCTION put_master(kind text, records jsonb, OUT added bigint, OUT changed bigint) LANGUAGE plpgsql AS $$
DECLARE
    columns text := (SELECT string_agg(quote_ident(key), ', ' ORDER BY key) FROM jsonb_object_keys(records -> 0) AS key);
    keys text := (SELECT string_agg(quote_ident(attname), ', ') FROM pg_index JOIN pg_attribute
                  ON attrelid = indrelid AND attnum = ANY (indkey) WHERE indrelid = kind::regclass AND indisprimary);
BEGIN
    EXECUTE format(
        'WITH put AS (INSERT INTO %1$I AS old (%2$s) SELECT %2$s FROM jsonb_populate_recordset(NULL::%1$I, $1) '
        'ON CONFLICT (%3$s) DO UPDATE SET (%2$s) = ROW (%4$s) WHERE ROW (%5$s) IS DISTINCT FROM ROW (%4$s) '
        'RETURNING xmax = 0 AS is_new) '
        'SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM put',
        kind, columns, keys, regexp_replace(columns, '([^ ,]+)', 'excluded.\1', 'g'),
        regexp_replace(columns, '([^ ,]+)', 'old.\1', 'g'))
    INTO added, changed USING records;
END $$;

CREATE FUNCTION read_master(kind text) RETURNS SETOF jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    keys text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY place) FROM pg_index
                  CROSS JOIN unnest(indkey) WITH ORDINALITY AS key (number, place) JOIN pg_attribute
                  ON attrelid = indrelid AND attnum = number WHERE indrelid = kind::regclass AND indisprimary);
BEGIN
    RETURN QUERY EXECUTE format('SELECT to_jsonb(record) FROM %I AS record ORDER BY %s', kind, keys);
END $$;
