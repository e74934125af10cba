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
    run_at        timestamptz NOT NULL
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

CREATE FUNCTION audit.note_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR OLD.revision <> NEW.revision OR OLD.status <> NEW.status
       OR OLD.lease_token IS DISTINCT FROM NEW.lease_token THEN
        INSERT INTO audit.job_changes
            (job_id, status_before, status, token_before, token, holder_before, holder, revision, attempts, run_at)
        VALUES (NEW.id, OLD.status, NEW.status, OLD.lease_token, NEW.lease_token, OLD.lease_holder, NEW.lease_holder,
                NEW.revision, NEW.attempts, NEW.run_at);
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
