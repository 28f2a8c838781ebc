-- Why: connections are contracts, changed by people while payments come: every change leaves its trail (who, why, what it
-- was, what it is, without secrets) in its own transaction, and two editors cannot overwrite each other: each change
-- names the version that it was made from. The database itself refuses a change without a trail.
-- Locks: ACCESS EXCLUSIVE on `connections` for a moment; the new column has a constant default, nothing is rewritten.

ALTER TABLE connections ADD COLUMN version integer NOT NULL DEFAULT 1 CHECK (version > 0);

-- `before` and `after` are JSON without secrets: dialect, whether active, settings; `before` is NULL for a new connection.
-- Its primary key serves the history of one connection and the check below.
CREATE TABLE connection_changes (
    connection text COLLATE "C" NOT NULL,
    version    integer NOT NULL,
    action     text NOT NULL CHECK (action IN ('add', 'edit', 'rotate-key', 'disable', 'enable', 'adopt')),
    who        text NOT NULL CHECK (who <> ''),
    why        text NOT NULL,
    before     text,
    after      text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connection, version)
);
CREATE INDEX connection_changes_by_time ON connection_changes (changed_at);
CREATE TRIGGER connection_changes_append_only BEFORE UPDATE OR DELETE ON connection_changes
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER connection_changes_not_truncated BEFORE TRUNCATE ON connection_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What was there before the trail begins with it; its settings are not repeated, for they were not made to be shown.
INSERT INTO connection_changes (connection, version, action, who, why, after, changed_at)
    SELECT connection, 1, 'adopt', 'migration 0004', 'was there before the trail', '{}', changed_at FROM connections;

-- A connection is disabled, never deleted: its payments name its source for ever.
CREATE TRIGGER connections_not_deleted BEFORE DELETE ON connections
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER connections_not_truncated BEFORE TRUNCATE ON connections
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Looked at when the transaction commits, so that the change and its trail may come in any order.
CREATE FUNCTION require_connection_trail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.version <> OLD.version + 1 OR NEW.connection <> OLD.connection) THEN
        RAISE EXCEPTION 'connection %: version % does not follow version %', OLD.connection, NEW.version, OLD.version
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT EXISTS (SELECT FROM connection_changes WHERE connection = NEW.connection AND version = NEW.version) THEN
        RAISE EXCEPTION 'connection % changes only with a trail: use `kopeck connection`', NEW.connection
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER connections_leave_a_trail AFTER INSERT OR UPDATE ON connections
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_connection_trail();
