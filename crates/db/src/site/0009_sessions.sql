-- Sessions of users, as the agents of their hosts tell of them.
CREATE TABLE sessions (
    id {text} PRIMARY KEY,
    agent {text} NOT NULL,
    -- In small letters, to be found by parts of them.
    user_key {text} NOT NULL,
    host_key {text} NOT NULL,
    -- 'connected', 'disconnected' or 'ended'. Newer than the particulars where the end was not seen.
    state {text} NOT NULL,
    recorded BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    heard_at BIGINT NOT NULL,
    -- What the agent said last, JSON.
    info {text} NOT NULL
);
CREATE INDEX sessions_by_start ON sessions (started_at, id);
CREATE INDEX sessions_running ON sessions (agent) WHERE state <> 'ended';
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE state = 'ended';

-- The server that an agent is connected to, and the policy it goes by.
ALTER TABLE agents ADD COLUMN server {text};
ALTER TABLE agents ADD COLUMN policy_revision BIGINT;
ALTER TABLE agents ADD COLUMN policy_error {text};

-- What somebody beside a server wants done with a session: the server that has the agent takes it and says what came of it.
CREATE TABLE session_commands (
    id {text} PRIMARY KEY,
    agent {text} NOT NULL,
    command {text} NOT NULL,
    made_at BIGINT NOT NULL,
    taken BIGINT NOT NULL,
    -- Once it is done: why it could not be, or nothing.
    outcome {text}
);

-- The session that a recording is of.
ALTER TABLE recordings ADD COLUMN session {text};
CREATE INDEX recordings_by_session ON recordings (session) WHERE session IS NOT NULL;
