-- Retention: what the scheduler asks for jobs that are over for long enough. Only those are in it, and a page commit
-- changes neither column: its update stays heap-only.
CREATE INDEX jobs_over ON jobs (completed_at) WHERE status IN ('completed', 'failed', 'cancelled');
