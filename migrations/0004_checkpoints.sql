-- Incremental syncs.

-- Counts how often somebody gave credentials (not how often the vendor rotated them). New ones may be another
-- account's: positions and checkpoints of an older generation are worth nothing, and a run of it may not write.
ALTER TABLE connections ADD COLUMN generation int NOT NULL DEFAULT 1;

ALTER TABLE cursors ADD COLUMN generation int NOT NULL DEFAULT 1;
-- What the job that the counts belong to read of the object.
ALTER TABLE cursors ADD COLUMN mode text NOT NULL DEFAULT 'full'
    CONSTRAINT cursors_mode_check CHECK (mode IN ('full', 'incremental'));
-- Where the next increment starts: written in the transaction of the object's last page. NULL: the next sync of it is
-- a full one.
ALTER TABLE cursors ADD COLUMN checkpoint jsonb;
