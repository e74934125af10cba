-- Each priority is looked at by itself: however many jobs of one wait, those of another are found at once.
DROP INDEX jobs_pending;
CREATE INDEX jobs_waiting ON jobs (priority, run_at) WHERE status = 'pending';
