-- How densely a segment's file is packed: 0 as it was sealed, otherwise the number of the way that was last tried.
ALTER TABLE segments ADD COLUMN packing BIGINT NOT NULL DEFAULT 0;
-- Bytes that packing it denser has saved.
ALTER TABLE segments ADD COLUMN saved BIGINT NOT NULL DEFAULT 0;
-- When the file was last read through and compared; 0 when it was not since it was stored.
ALTER TABLE segments ADD COLUMN checked_at BIGINT NOT NULL DEFAULT 0;
-- What was wrong with it then.
ALTER TABLE segments ADD COLUMN damage {text};
-- Until then a server works on the file.
ALTER TABLE segments ADD COLUMN tended_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN tended_by {text};
CREATE INDEX segments_by_packing ON segments (packing, stored_at);
CREATE INDEX segments_by_check ON segments (checked_at, stored_at);
CREATE INDEX segments_damaged ON segments (recording) WHERE damage IS NOT NULL;

-- Files that are being written in place of a segment's. What a crash leaves of them is found here.
CREATE TABLE unfinished_files (
    location {text} NOT NULL,
    path {text} NOT NULL,
    recording {text} NOT NULL,
    number BIGINT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (location, path)
);
