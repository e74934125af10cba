-- Jobs that workers pick up without a ticket.

-- A job that kills its workers is given up. One that merely was unlucky is not: takeovers count as long as nothing is
-- committed between them. The next page sets it to 0.
ALTER TABLE jobs ADD COLUMN takeovers_in_vain int NOT NULL DEFAULT 0;
