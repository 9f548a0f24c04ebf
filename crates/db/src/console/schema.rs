//! The console's tables.

use crate::Area;

/// The tables of a console and how they came about.
pub(super) const AREA: Area =
    Area { name: "console", migrations: &[FIRST, BROWSERS, DIRECTORIES, API_CLIENTS, SEEN] };

const FIRST: &str = "
CREATE TABLE accounts (
    id {text} PRIMARY KEY,
    name {text} NOT NULL,
    name_key {text} NOT NULL UNIQUE,
    password {text} NOT NULL,
    role {text} NOT NULL,
    must_change_password BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    password_changed_at BIGINT NOT NULL
);
CREATE TABLE sessions (
    hash {text} PRIMARY KEY,
    account {text} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    address {text} NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account);
CREATE TABLE sites (
    id {text} PRIMARY KEY,
    database_id {text} UNIQUE,
    name {text} NOT NULL UNIQUE,
    description {text} NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE servers (
    id {text} PRIMARY KEY,
    site {text} NOT NULL REFERENCES sites (id),
    name {text} NOT NULL,
    public_key {text} NOT NULL UNIQUE,
    version {text} NOT NULL,
    joined_by {text},
    created_at BIGINT NOT NULL,
    connected_at BIGINT,
    last_seen BIGINT
);
CREATE INDEX servers_by_site ON servers (site);
CREATE TABLE join_tokens (
    secret_hash {text} PRIMARY KEY,
    site {text} REFERENCES sites (id) ON DELETE CASCADE,
    uses_left BIGINT NOT NULL,
    made_by {text} NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
";

/// Sessions say what they were opened with, so that people recognise their own.
const BROWSERS: &str = "ALTER TABLE sessions ADD COLUMN browser {text} NOT NULL DEFAULT ''";

/// Directories, the roles that their users and groups hold, and the accounts of those who came in by them.
const DIRECTORIES: &str = "
CREATE TABLE directories (
    id {text} PRIMARY KEY,
    name {text} NOT NULL,
    name_key {text} NOT NULL UNIQUE,
    kind {text} NOT NULL,
    enabled BIGINT NOT NULL,
    settings {text} NOT NULL,
    secret {text},
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE TABLE directory_roles (
    id {text} PRIMARY KEY,
    directory {text} NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    kind {text} NOT NULL,
    subject {text} NOT NULL,
    label {text} NOT NULL,
    role {text} NOT NULL,
    made_by {text} NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (directory, kind, subject)
);
CREATE TABLE directory_accounts (
    account {text} PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    directory {text} NOT NULL REFERENCES directories (id),
    subject {text} NOT NULL,
    group_ids {text} NOT NULL,
    refused {text},
    checked_at BIGINT NOT NULL,
    UNIQUE (directory, subject)
);
";

/// Programs that use the console, and the id that they address it by.
const API_CLIENTS: &str = "
CREATE TABLE api_clients (
    id {text} PRIMARY KEY,
    name {text} NOT NULL,
    name_key {text} NOT NULL UNIQUE,
    secret_hash {text} NOT NULL,
    permissions {text} NOT NULL,
    made_by {text} NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used BIGINT
);
CREATE TABLE api_tokens (
    hash {text} PRIMARY KEY,
    client {text} NOT NULL REFERENCES api_clients (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX api_tokens_by_client ON api_tokens (client, created_at);
CREATE TABLE api_customer (
    one BIGINT PRIMARY KEY,
    id {text} NOT NULL
);
";

/// What directories answered, for when they are away.
const SEEN: &str = "
CREATE TABLE seen_principals (
    directory {text} NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    kind {text} NOT NULL,
    subject {text} NOT NULL,
    name {text} NOT NULL,
    label {text} NOT NULL,
    detail {text},
    dn {text} NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (directory, kind, subject)
);
CREATE INDEX seen_principals_by_time ON seen_principals (directory, seen_at);
CREATE TABLE seen_groups (
    directory {text} NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    login {text} NOT NULL,
    group_list {text} NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (directory, login)
);
CREATE INDEX seen_groups_by_time ON seen_groups (directory, seen_at);
";
