-- Who cannot have the table soon gives up, so that nobody queues behind it: start it again.
SET LOCAL lock_timeout = '5s';
-- How much of what the vendor allows the account may be used; NULL: what the operator has configured.
ALTER TABLE connections ADD COLUMN quota_share double precision CHECK (quota_share > 0 AND quota_share <= 1);
