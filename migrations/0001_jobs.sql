-- The record of every accepted job. Postgres is the truth; NATS only delivers.

CREATE TABLE workspaces (
    id         text        PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE jobs (
    id               uuid        PRIMARY KEY,                -- UUIDv7: sorts by acceptance
    sync_id          uuid        NOT NULL,                   -- the accepted request; = id if it made one job only
    job_type         text        NOT NULL,
    workspace_id     text        NOT NULL,
    scope            text        NOT NULL,                   -- what of the workspace the job occupies: the connector
    status           text        NOT NULL DEFAULT 'pending'
                     CONSTRAINT jobs_status_check CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    priority         text        NOT NULL DEFAULT 'normal'
                     CONSTRAINT jobs_priority_check CHECK (priority IN ('high', 'normal', 'low')),
    payload          jsonb       NOT NULL DEFAULT '{}',
    progress         jsonb       NOT NULL DEFAULT '{"current": 0, "total": 0, "message": "Waiting for a worker"}',
    attempts         int         NOT NULL DEFAULT 0,         -- counted runs, the present one included
    max_attempts     int         NOT NULL DEFAULT 3 CHECK (max_attempts > 0),
    takeovers        int         NOT NULL DEFAULT 0,
    last_error       text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    completed_at     timestamptz,
    result           jsonb,
    waiting_reason   text
                     CONSTRAINT jobs_waiting_reason_check CHECK (waiting_reason IN ('retry_backoff', 'source_quota', 'interrupted')),
    run_at           timestamptz NOT NULL DEFAULT now(),     -- not before
    lease_token      uuid,                                   -- the right to write for this job
    lease_holder     text,                                   -- which worker, for people
    lease_expires_at timestamptz,
    ticket_no        int         NOT NULL DEFAULT 1,         -- tickets made so far
    ticketed_at      timestamptz,                            -- when the last one was published; NULL: it never was
    revision         bigint      NOT NULL DEFAULT 1,         -- grows with every change a client can see
    CONSTRAINT jobs_running_has_lease CHECK ((status = 'running') = (lease_token IS NOT NULL))
) WITH (fillfactor = 80);                                    -- room for the updates of a run to stay on the page (HOT)

-- One active job a scope: what makes 1,000 concurrent posts one job.
CREATE UNIQUE INDEX jobs_one_active ON jobs (workspace_id, job_type, scope) WHERE status IN ('pending', 'running');
-- GET …/sync/jobs, newest first. (created_at follows id: both are made at acceptance.)
CREATE INDEX jobs_by_workspace ON jobs (workspace_id, id DESC);
-- The operator's "last 20".
CREATE INDEX jobs_by_created_at ON jobs (created_at);
-- Relay and rescue look at these few rows every second. Columns that a page commit changes are not
-- indexed on purpose: its update stays heap-only.
CREATE INDEX jobs_pending ON jobs (run_at) WHERE status = 'pending';
CREATE INDEX jobs_running ON jobs (id) WHERE status = 'running';

-- A request for several connectors is one sync of several jobs, among them jobs that were active already.
-- A syncId is accepted wherever a jobId is. A request for one connector has no rows here: its syncId is its jobId.
CREATE TABLE syncs (
    sync_id uuid NOT NULL,
    job_id  uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (sync_id, job_id)
);
CREATE INDEX syncs_by_job ON syncs (job_id);                 -- for the cascade
