CREATE SCHEMA audit;

CREATE TABLE audit.job_changes (
    seq           bigserial   PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    txid          bigint      NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    writer        text        NOT NULL DEFAULT current_setting('application_name'),
    job_id        uuid        NOT NULL,
    status_before text,
    status        text        NOT NULL,
    token_before  uuid,
    token         uuid,
    holder_before text,
    holder        text,
    revision      bigint      NOT NULL,
    attempts      int         NOT NULL,
    run_at        timestamptz NOT NULL,
    cancel_requested_at timestamptz
);

CREATE TABLE audit.cursor_changes (
    seq          bigserial PRIMARY KEY,
    txid         bigint    NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    writer       text      NOT NULL DEFAULT current_setting('application_name'),
    workspace_id text      NOT NULL,
    object       text      NOT NULL,
    job_id       uuid      NOT NULL,
    position     text,
    done         boolean   NOT NULL,
    compared     boolean   NOT NULL,
    listed       bigint    NOT NULL,
    written      bigint    NOT NULL,
    unchanged    bigint    NOT NULL,
    captured     bigint    NOT NULL,
    pages        bigint    NOT NULL
);

-- Who wrote rows of the synced tables, and captured records: a line for each transaction, table, kind and job.
CREATE TABLE audit.row_writes (
    seq          bigserial   PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    txid         bigint      NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    writer       text        NOT NULL DEFAULT current_setting('application_name'),
    relation     text        NOT NULL,
    op           text        NOT NULL,
    workspace_id text        NOT NULL,
    job_id       uuid,
    job_before   uuid,
    UNIQUE NULLS NOT DISTINCT (txid, relation, op, workspace_id, job_id, job_before)
);

CREATE FUNCTION audit.note_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR OLD.revision <> NEW.revision OR OLD.status <> NEW.status
       OR OLD.lease_token IS DISTINCT FROM NEW.lease_token THEN
        INSERT INTO audit.job_changes
            (job_id, status_before, status, token_before, token, holder_before, holder, revision, attempts, run_at,
             cancel_requested_at)
        VALUES (NEW.id, OLD.status, NEW.status, OLD.lease_token, NEW.lease_token, OLD.lease_holder, NEW.lease_holder,
                NEW.revision, NEW.attempts, NEW.run_at, NEW.cancel_requested_at);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION audit.note_cursor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.cursor_changes
        (workspace_id, object, job_id, position, done, compared, listed, written, unchanged, captured, pages)
    VALUES (NEW.workspace_id, NEW.object, NEW.job_id, md5(NEW.position::text), NEW.done, NEW.compared, NEW.listed,
            NEW.written, NEW.unchanged, NEW.captured, NEW.pages);
    RETURN NULL;
END $$;

CREATE TRIGGER note_job AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION audit.note_job();
CREATE TRIGGER note_cursor AFTER INSERT OR UPDATE ON cursors FOR EACH ROW EXECUTE FUNCTION audit.note_cursor();

-- A statement at a time: what it wrote is few lines, however many rows that was.
CREATE FUNCTION audit.note_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.row_writes (relation, op, workspace_id, job_id)
    SELECT DISTINCT TG_TABLE_NAME, lower(TG_OP), workspace_id, job_id FROM written
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION audit.note_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.row_writes (relation, op, workspace_id)
    SELECT DISTINCT TG_TABLE_NAME, lower(TG_OP), workspace_id FROM removed
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- Captured records that only name another job now were adopted: the one write whose statement asks for the lease itself.
CREATE FUNCTION audit.note_captured() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.row_writes (relation, op, workspace_id, job_id, job_before)
    SELECT DISTINCT TG_TABLE_NAME, CASE WHEN adopted THEN 'adopt' ELSE 'update' END, workspace_id, job_id,
           CASE WHEN adopted THEN job_before END
    FROM (SELECT w.workspace_id, w.job_id, r.job_id AS job_before,
                 r.job_id <> w.job_id AND to_jsonb(r) - 'job_id' = to_jsonb(w) - 'job_id' AS adopted
          FROM written w LEFT JOIN replaced r USING (workspace_id, connector, object, external_id)) AS rows
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

DO $$
DECLARE
    synced text;
BEGIN
    FOREACH synced IN ARRAY ARRAY['deals', 'contacts', 'accounts', 'owners', 'stages', 'associations', 'record_errors'] LOOP
        EXECUTE format('CREATE TRIGGER note_inserted AFTER INSERT ON %I REFERENCING NEW TABLE AS written
                        FOR EACH STATEMENT EXECUTE FUNCTION audit.note_written()', synced);
        EXECUTE format('CREATE TRIGGER note_removed AFTER DELETE ON %I REFERENCING OLD TABLE AS removed
                        FOR EACH STATEMENT EXECUTE FUNCTION audit.note_removed()', synced);
        CONTINUE WHEN synced = 'record_errors';
        EXECUTE format('CREATE TRIGGER note_updated AFTER UPDATE ON %I REFERENCING NEW TABLE AS written
                        FOR EACH STATEMENT EXECUTE FUNCTION audit.note_written()', synced);
    END LOOP;
END $$;

CREATE TRIGGER note_captured AFTER UPDATE ON record_errors REFERENCING OLD TABLE AS replaced NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION audit.note_captured();
