-- The synced tables. Key, typed columns for what people filter on, everything else in `properties`.
-- `content_hash` tells an unchanged record, which is neither rewritten nor locked.

CREATE TABLE deals (
    workspace_id      text        NOT NULL,
    connector         text        NOT NULL,
    external_id       text        NOT NULL,
    name              text,
    amount            numeric,
    currency          text,
    stage             text,
    pipeline          text,
    owner_id          text,
    close_date        date,
    is_won            boolean,
    properties        jsonb       NOT NULL,
    source_created_at timestamptz,
    source_updated_at timestamptz,
    deleted_at        timestamptz,
    content_hash      bigint      NOT NULL,
    job_id            uuid        NOT NULL,   -- the job that last wrote the row
    synced_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector, external_id)
);

CREATE TABLE contacts (
    workspace_id        text        NOT NULL,
    connector           text        NOT NULL,
    external_id         text        NOT NULL,
    email               text,
    first_name          text,
    last_name           text,
    phone               text,
    job_title           text,
    account_external_id text,
    lifecycle_stage     text,
    owner_id            text,
    properties          jsonb       NOT NULL,
    source_created_at   timestamptz,
    source_updated_at   timestamptz,
    deleted_at          timestamptz,
    content_hash        bigint      NOT NULL,
    job_id              uuid        NOT NULL,
    synced_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector, external_id)
);

CREATE TABLE accounts (
    workspace_id      text        NOT NULL,
    connector         text        NOT NULL,
    external_id       text        NOT NULL,
    name              text,
    domain            text,
    industry          text,
    city              text,
    country           text,
    employees         bigint,
    annual_revenue    numeric,
    owner_id          text,
    properties        jsonb       NOT NULL,
    source_created_at timestamptz,
    source_updated_at timestamptz,
    deleted_at        timestamptz,
    content_hash      bigint      NOT NULL,
    job_id            uuid        NOT NULL,
    synced_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector, external_id)
);

-- Records that could not be transformed. One row a record: the last thing that was wrong with it.
CREATE TABLE record_errors (
    workspace_id text        NOT NULL,
    connector    text        NOT NULL,
    object       text        NOT NULL,
    external_id  text        NOT NULL,       -- the vendor's id, or `page-<n>/<m>` if the record had none
    job_id       uuid        NOT NULL,
    reason       text        NOT NULL,
    payload      text        NOT NULL,       -- as the vendor sent it
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector, object, external_id)
);
