-- Each priority is looked at by itself: however many jobs of one wait, those of another are found at once.
-- Who cannot have the table soon gives up, so that nobody queues behind it: start it again.
SET LOCAL lock_timeout = '5s';
CREATE INDEX jobs_waiting ON jobs (priority, run_at) WHERE status = 'pending';
-- Last: nobody reads the table until it is committed.
DROP INDEX jobs_pending;
