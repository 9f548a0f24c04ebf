-- Recording policies that people made. Those of the system stand in the program.
CREATE TABLE policies (
    id {text} PRIMARY KEY,
    -- In small letters: no two policies may be told apart by capitals alone.
    name_key {text} NOT NULL,
    version BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX policies_by_name ON policies (name_key) WHERE deleted_at IS NULL;

-- Every content that a policy has had. Nothing is ever removed here: recordings name what they were made by.
CREATE TABLE policy_versions (
    policy {text} NOT NULL,
    version BIGINT NOT NULL,
    body {text} NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by {text} NOT NULL,
    PRIMARY KEY (policy, version)
);

-- What was active when: the last row is what is now. A revision is made also when the active policy's content changes, so that hosts
-- know by one number whether theirs is the newest.
CREATE TABLE policy_revisions (
    revision BIGINT PRIMARY KEY,
    policy {text} NOT NULL,
    version BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    made_by {text} NOT NULL
);
