-- Why: what the shards and doors must know besides the ledger: splitting policies of the agreements (versioned, dated,
-- never edited), the doors' connections, and the people behind the accounts, kept apart from the ledger (152-ФЗ).
-- Locks: creates only.

CREATE TABLE split_policies (
    agreement  text COLLATE "C" NOT NULL,
    version    integer NOT NULL,
    code       text NOT NULL,
    valid_from date NOT NULL,
    valid_to   date,
    params     text NOT NULL,
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agreement, version)
);
CREATE TRIGGER split_policies_append_only BEFORE UPDATE OR DELETE ON split_policies
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE connections (
    connection text COLLATE "C" PRIMARY KEY,
    dialect    text NOT NULL,
    active     boolean NOT NULL DEFAULT true,
    settings   text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE providers (
    provider text COLLATE "C" PRIMARY KEY,
    name     text NOT NULL,
    settings text NOT NULL
);

CREATE TABLE services (
    service text COLLATE "C" PRIMARY KEY,
    name    text NOT NULL
);

CREATE TABLE houses (
    house   integer PRIMARY KEY,
    address text NOT NULL
);

-- Who lives there. `holder` is a person's name: never copied into events, logs or metrics.
CREATE TABLE account_holders (
    account text COLLATE "C" PRIMARY KEY,
    house   integer NOT NULL REFERENCES houses,
    flat    text NOT NULL,
    holder  text NOT NULL,
    area_dm2 integer NOT NULL CHECK (area_dm2 > 0)
);
