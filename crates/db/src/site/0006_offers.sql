-- Number of the offer by which another server may take the recording; 0 when there is none.
ALTER TABLE recordings ADD COLUMN offer BIGINT NOT NULL DEFAULT 0;
