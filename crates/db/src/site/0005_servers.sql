-- The servers of the site, and which of them are alive.
CREATE TABLE servers (
    id {text} PRIMARY KEY,
    name {text} NOT NULL,
    -- Where the site's other servers reach it; empty when they cannot.
    url {text} NOT NULL,
    -- The certificate authority to trust there, DER in unpadded URL-safe base64.
    authority {text} NOT NULL,
    -- The Ed25519 key by which it proves who it is, unpadded URL-safe base64.
    public_key {text} NOT NULL,
    version {text} NOT NULL,
    -- 'disk' or 'shared': what acknowledged fragments survive.
    durable {text} NOT NULL,
    -- For how long it may act after a sign of life, milliseconds.
    lease_ms BIGINT NOT NULL,
    -- Grows with every start and every take-over: whoever acts for an older one is refused.
    epoch BIGINT NOT NULL,
    -- Signs of life.
    beats BIGINT NOT NULL,
    beat_at BIGINT NOT NULL,
    -- 'running', 'draining', 'stopped', 'lost' (another one takes over what it held), 'gone' (that is done).
    state {text} NOT NULL,
    -- Ids of the storage locations that its shared journal has used, a JSON array.
    locations {text} NOT NULL,
    -- Who takes over what it held.
    adopter {text},
    started_at BIGINT NOT NULL
);

-- Whether its agent is connected to the server that holds it.
ALTER TABLE recordings ADD COLUMN connected BIGINT NOT NULL DEFAULT 0;
