-- A workspace's account at a vendor.
CREATE TABLE connections (
    workspace_id text        NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    connector    text        NOT NULL CHECK (connector ~ '^[A-Za-z0-9_-]{1,64}$'),
    account_id   text,                       -- the vendor's id of the account; known after the first contact
    credentials  bytea       NOT NULL,       -- AES-256-GCM, bound to (workspace_id, connector)
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector)
);

-- How far each object of a workspace is. Written in the transaction of the page it belongs to.
CREATE TABLE cursors (
    workspace_id text        NOT NULL,
    connector    text        NOT NULL,
    object       text        NOT NULL,
    job_id       uuid        NOT NULL,       -- the job that position and counts belong to
    position     jsonb,                      -- where the next page goes on; NULL: at the start
    done         boolean     NOT NULL DEFAULT false,
    listed       bigint      NOT NULL DEFAULT 0,
    written      bigint      NOT NULL DEFAULT 0,
    unchanged    bigint      NOT NULL DEFAULT 0,
    captured     bigint      NOT NULL DEFAULT 0,
    pages        bigint      NOT NULL DEFAULT 0,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, connector, object)
);
