CREATE TABLE locations (
    id {text} PRIMARY KEY,
    url {text} NOT NULL,
    -- How a server opens it, in JSON; never a secret.
    settings {text} NOT NULL,
    -- 1 when people want nothing new stored there.
    read_only BIGINT NOT NULL,
    added_at BIGINT NOT NULL
);

-- What was stored before there were several locations lies at the first one.
ALTER TABLE segments ADD COLUMN location {text} NOT NULL DEFAULT 'default';
CREATE INDEX segments_by_place ON segments (location, path);

-- Files that no segment refers to any more.
CREATE TABLE removals (
    location {text} NOT NULL,
    path {text} NOT NULL,
    added_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    try_at BIGINT NOT NULL,
    error {text},
    PRIMARY KEY (location, path)
);

CREATE TABLE moves (
    id {text} PRIMARY KEY,
    -- Everything of one recording, or everything at one location.
    recording {text},
    source {text},
    -- Where it goes; null means wherever there is most room.
    target {text},
    state {text} NOT NULL,
    -- The server that does it.
    server {text},
    segments BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    error {text},
    created_by {text} NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX moves_by_state ON moves (state, created_at);

ALTER TABLE recordings ADD COLUMN quarantined_at BIGINT;
UPDATE recordings SET quarantined_at = heard_at WHERE state = 'quarantined';
