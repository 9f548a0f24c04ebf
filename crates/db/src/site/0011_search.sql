-- What the list is filtered by stands beside the user's name: where somebody looks for parts of names, this index alone is read.
DROP INDEX recordings_by_user;
CREATE INDEX recordings_by_user ON recordings (user_key, id, host_key, started_at, until_at, state);
