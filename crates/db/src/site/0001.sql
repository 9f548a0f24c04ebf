CREATE TABLE site (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id {text} NOT NULL,
    name {text} NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE settings (
    name {text} PRIMARY KEY,
    value {text} NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE join_tokens (
    hash {text} PRIMARY KEY,
    uses_left BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by {text} NOT NULL
);

CREATE TABLE agents (
    id {text} PRIMARY KEY,
    host {text} NOT NULL,
    public_key {text} NOT NULL UNIQUE,
    version {text} NOT NULL,
    system {text} NOT NULL,
    enrolled_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL
);

CREATE TABLE recordings (
    id {text} PRIMARY KEY,
    agent {text} NOT NULL REFERENCES agents (id),
    -- The server whose journal holds what is not in a stored segment yet.
    server {text} NOT NULL,
    info {text} NOT NULL,
    host_key {text} NOT NULL,
    user_key {text} NOT NULL,
    state {text} NOT NULL,
    started_at BIGINT NOT NULL,
    -- Wall clock at the end of what there is.
    until_at BIGINT NOT NULL,
    ended_at BIGINT,
    duration_us BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    fragments BIGINT NOT NULL,
    segments BIGINT NOT NULL,
    width BIGINT NOT NULL,
    height BIGINT NOT NULL,
    gaps BIGINT NOT NULL,
    events BIGINT NOT NULL,
    end_reason {text},
    problem {text},
    heard_at BIGINT NOT NULL
);
CREATE INDEX recordings_by_start ON recordings (started_at, id);
CREATE INDEX recordings_by_user ON recordings (user_key, id);
CREATE INDEX recordings_by_host ON recordings (host_key, id);
CREATE INDEX recordings_by_duration ON recordings (duration_us, id);
CREATE INDEX recordings_by_bytes ON recordings (bytes, id);
CREATE INDEX recordings_by_state ON recordings (state, server);
CREATE INDEX recordings_by_agent ON recordings (agent, state);

CREATE TABLE segments (
    recording {text} NOT NULL REFERENCES recordings (id),
    number BIGINT NOT NULL,
    path {text} NOT NULL,
    bytes BIGINT NOT NULL,
    blake3 {text} NOT NULL,
    fragments BIGINT NOT NULL,
    first_seq BIGINT NOT NULL,
    next_seq BIGINT NOT NULL,
    start_us BIGINT NOT NULL,
    end_us BIGINT NOT NULL,
    events BIGINT NOT NULL,
    -- Hash of the last fragment.
    head {text} NOT NULL,
    stored_at BIGINT NOT NULL,
    PRIMARY KEY (recording, number)
);

CREATE TABLE gaps (
    recording {text} NOT NULL REFERENCES recordings (id),
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL,
    cause {text} NOT NULL,
    PRIMARY KEY (recording, from_us, to_us)
);
