-- The data key of each recording that is encrypted, wrapped by a key of the site. One that is shredded has none any more.
CREATE TABLE data_keys (
    recording {text} PRIMARY KEY,
    id {text} NOT NULL,
    -- Which of the site's keys wraps it.
    site_key {text},
    -- Base64.
    wrapped {text},
    created_at BIGINT NOT NULL,
    wrapped_at BIGINT NOT NULL
);
CREATE INDEX data_keys_by_site_key ON data_keys (site_key, recording);

-- The header of the encrypted layer around a segment's file, base64; null where the file is not encrypted.
ALTER TABLE segments ADD COLUMN vault {text};

ALTER TABLE recordings ADD COLUMN shredded_at BIGINT;
ALTER TABLE recordings ADD COLUMN shredded_by {text};
ALTER TABLE recordings ADD COLUMN shredded_why {text};

-- Time stamps by somebody else (RFC 3161) over the last seal of a recording.
CREATE TABLE time_stamps (
    recording {text} PRIMARY KEY,
    -- The segment whose seal it is over.
    number BIGINT NOT NULL,
    -- SHA-256 of the seal, hexadecimal.
    digest {text} NOT NULL,
    -- The authority's answer, base64; null while there is none.
    response {text},
    stamped_at BIGINT,
    tries BIGINT NOT NULL,
    try_at BIGINT NOT NULL,
    error {text},
    -- Where the answer lies beside the segment.
    location {text},
    path {text}
);
CREATE INDEX time_stamps_by_try ON time_stamps (try_at);
