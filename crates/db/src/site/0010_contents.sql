-- What a recording has besides pictures that are exact: 1 once it was met.
ALTER TABLE recordings ADD COLUMN sound BIGINT NOT NULL DEFAULT 0;
ALTER TABLE recordings ADD COLUMN video BIGINT NOT NULL DEFAULT 0;
-- The masks that have covered windows, JSON.
ALTER TABLE recordings ADD COLUMN masks {text} NOT NULL DEFAULT '[]';
