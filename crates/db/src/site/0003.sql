-- Certificates that the site's authority issued to agents and servers of the site, the old and the revoked included.
CREATE TABLE certificates (
    -- SHA-256 as pairs of hexadecimal digits with colons.
    fingerprint {text} PRIMARY KEY,
    -- 'agent' or 'site'.
    role {text} NOT NULL,
    -- Id of the agent or the server.
    owner {text} NOT NULL,
    name {text} NOT NULL,
    -- The Ed25519 key, hexadecimal.
    public_key {text} NOT NULL,
    serial {text} NOT NULL,
    pem {text} NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    issued_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX certificates_by_owner ON certificates (role, owner, issued_at);

-- When a segment was sealed first. Sealing it again after a crash gives the same file.
CREATE TABLE sealings (
    recording {text} NOT NULL,
    number BIGINT NOT NULL,
    sealed_at BIGINT NOT NULL,
    PRIMARY KEY (recording, number)
);
