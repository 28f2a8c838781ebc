-- Why: what comes as a file (charges, accounts, meters, registers, statements) is kept as received, once, with who sent it
-- and how it was understood; the same content from the same sender is the same file. Its content is in the archive.
-- Profiles, which say how a sender writes, are data: versioned, never edited.
-- Locks: creates only.

CREATE TABLE import_profiles (
    profile  text COLLATE "C" NOT NULL,
    version  integer NOT NULL,
    kind     text NOT NULL,
    settings text NOT NULL,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (profile, version)
);
CREATE TRIGGER import_profiles_append_only BEFORE UPDATE OR DELETE ON import_profiles
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- kind: accounts, charges, meters, readings, payments (accepted elsewhere), register, statement.
-- state: received -> staged -> checked -> posting -> done; or refused, with the problem. `mode`: full, delta, or empty.
CREATE TABLE received_files (
    file            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256          text COLLATE "C" NOT NULL,
    size_bytes      bigint NOT NULL,
    name            text NOT NULL,
    kind            text NOT NULL,
    sender          text COLLATE "C" NOT NULL,
    profile         text COLLATE "C" NOT NULL,
    profile_version integer NOT NULL,
    mode            text NOT NULL DEFAULT '',
    received_by     text NOT NULL,
    received_at     timestamptz NOT NULL DEFAULT now(),
    state           text NOT NULL DEFAULT 'received'
        CHECK (state IN ('received', 'staged', 'checked', 'posting', 'done', 'refused')),
    problem         text NOT NULL DEFAULT '',
    rows_total      bigint NOT NULL DEFAULT 0,
    rows_accepted   bigint NOT NULL DEFAULT 0,
    rows_warned     bigint NOT NULL DEFAULT 0,
    rows_rejected   bigint NOT NULL DEFAULT 0,
    rows_waiting    bigint NOT NULL DEFAULT 0,
    finished_at     timestamptz,
    UNIQUE (kind, sender, sha256)
);
CREATE INDEX received_files_unfinished ON received_files (file) WHERE state NOT IN ('done', 'refused');
