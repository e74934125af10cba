-- Cancelling, trying again, and what went wrong in each attempt.

-- Somebody asked to stop the job while it ran. Whoever holds its lease ends it; nobody can complete it any more.
ALTER TABLE jobs ADD COLUMN cancel_requested_at timestamptz;

-- The last 20 attempts that ended with an error, oldest first:
-- [{"attempt", "at", "class", "message", "object"?, "vendorRequestId"?}].
ALTER TABLE jobs ADD COLUMN attempt_errors jsonb NOT NULL DEFAULT '[]';

-- The job that this one was asked to try again. No reference: that one may be deleted first.
ALTER TABLE jobs ADD COLUMN retry_of uuid;

-- Answers to requests with an Idempotency-Key, for 24 hours. Written in the transaction that accepts the jobs.
CREATE TABLE idempotency_keys (
    workspace_id text        NOT NULL,
    key          text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request      jsonb       NOT NULL,   -- what was asked for: the same key with another request is a mistake
    answer       jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
