-- Who owns records, which stages deals go through, which record belongs to which; and what became of records that
-- are no more.

CREATE TABLE owners (
    workspace_id      text        NOT NULL,
    connector         text        NOT NULL,
    external_id       text        NOT NULL,   -- what `owner_id` of a record points to
    email             text,
    first_name        text,
    last_name         text,
    user_id           text,
    kind              text,
    properties        jsonb       NOT NULL,
    source_created_at timestamptz,
    source_updated_at timestamptz,
    deleted_at        timestamptz,            -- deactivated, or gone
    content_hash      bigint      NOT NULL,
    job_id            uuid        NOT NULL,
    synced_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector, external_id)
);

CREATE TABLE stages (
    workspace_id      text        NOT NULL,
    connector         text        NOT NULL,
    external_id       text        NOT NULL,   -- what `stage` of a deal points to
    name              text,
    position          bigint,
    probability       numeric,
    is_closed         boolean,
    pipeline          text,                   -- what `pipeline` of a deal points to
    pipeline_name     text,
    pipeline_position bigint,
    properties        jsonb       NOT NULL,
    source_created_at timestamptz,
    source_updated_at timestamptz,
    deleted_at        timestamptz,
    content_hash      bigint      NOT NULL,
    job_id            uuid        NOT NULL,
    synced_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector, external_id)
);

-- Each association once, from the side that a sync asks: deals to contacts and accounts, contacts to accounts.
CREATE TABLE associations (
    workspace_id text        NOT NULL,
    connector    text        NOT NULL,
    from_object  text        NOT NULL,
    from_id      text        NOT NULL,
    to_object    text        NOT NULL,
    to_id        text        NOT NULL,
    types        jsonb       NOT NULL,        -- what kinds of association there are between the two
    labels       jsonb       NOT NULL GENERATED ALWAYS AS (jsonb_path_query_array(types, '$[*].label ? (@ != null)')) STORED,
    deleted_at   timestamptz,
    job_id       uuid        NOT NULL,
    synced_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector, from_object, to_object, from_id, to_id)
);
-- The way back: the deals of an account.
CREATE INDEX associations_by_target ON associations (workspace_id, connector, to_object, to_id) WHERE deleted_at IS NULL;

-- Daily quotas begin anew at midnight there. Known with account_id, if the vendor tells.
ALTER TABLE connections ADD COLUMN utc_offset_ms bigint;

-- The record that this one was merged into; such a row is deleted.
ALTER TABLE deals ADD COLUMN merged_into text;
ALTER TABLE contacts ADD COLUMN merged_into text;
ALTER TABLE accounts ADD COLUMN merged_into text;

-- Whether the vendor has it among its live records: then it counts when both sides are compared.
ALTER TABLE record_errors ADD COLUMN is_live boolean NOT NULL DEFAULT true;

-- Rows that were marked as deleted because the vendor has no such record any more.
ALTER TABLE cursors ADD COLUMN deleted bigint NOT NULL DEFAULT 0;
-- Whether the job compared both sides already.
ALTER TABLE cursors ADD COLUMN compared boolean NOT NULL DEFAULT false;
-- Rows that are gone at the vendor and were left alone, because they are suspiciously many.
ALTER TABLE cursors ADD COLUMN needs_review bigint NOT NULL DEFAULT 0;
