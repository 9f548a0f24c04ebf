//! Directories: connecting them, trying them out, looking users and groups up, and giving those roles.

use super::extract::{Body, Params, Place};
use crate::{
    accounts::Caller,
    core::{Core, Shared},
    directories::{
        self, DirectorySettings, LdapSettings, OpenIdSettings, Searched,
        manage::{Desk, DirectoryChange, NewDirectory, NewRole, Trial, Tried},
        read_settings,
    },
    problem::Problem,
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;
use playhead_db::console::{Directory, DirectoryKind, DirectoryRole, PrincipalKind};
use playhead_model::WallTime;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Most users and groups of one directory in an answer.
const MOST_FOUND: u8 = 50;
/// Longest text to look for.
const MOST_QUERY: usize = 100;

/// What speaks to a directory.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DirectoryKind)]
pub(crate) enum Kind {
    /// LDAP, Active Directory included.
    Ldap,
    /// An OpenID Connect provider.
    OpenId,
}

impl From<DirectoryKind> for Kind {
    fn from(kind: DirectoryKind) -> Self {
        match kind {
            DirectoryKind::Ldap => Self::Ldap,
            DirectoryKind::OpenId => Self::OpenId,
        }
    }
}

/// A directory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DirectoryView {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// What it speaks.
    kind: Kind,
    /// Whether it is used.
    enabled: bool,
    /// Settings of an LDAP directory.
    #[schema(required)]
    ldap: Option<LdapSettings>,
    /// Settings of an OpenID Connect provider.
    #[schema(required)]
    openid: Option<OpenIdSettings>,
    /// Whether there is a secret. What it is, is never told.
    has_secret: bool,
    /// The address that a provider must allow people to come back to.
    #[schema(required)]
    redirect_uri: Option<String>,
    /// Counts its changes.
    version: u64,
    /// When it was connected.
    #[schema(value_type = String, format = DateTime)]
    created_at: WallTime,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    changed_at: WallTime,
    /// How many users and groups hold a role.
    roles: usize,
    /// How many people have an account by it.
    accounts: usize,
    /// Why it did not answer a moment ago, or what is wrong with its settings; null when nothing is known to be wrong.
    #[schema(required)]
    problem: Option<String>,
}

/// All directories.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DirectoryList {
    /// Those there are, by name.
    items: Vec<DirectoryView>,
}

/// A directory, briefly.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DirectoryRef {
    /// The directory's id.
    id: String,
    /// The directory's name.
    name: String,
}

/// A user or a group of a directory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PrincipalView {
    /// `user` or `group`.
    kind: &'static str,
    /// What rules and programs call it.
    name: String,
    /// What people call it.
    label: String,
    /// What else tells who it is, such as an address for mail.
    #[schema(required)]
    detail: Option<String>,
    /// Name of its entry.
    dn: String,
    /// What tells it from all others of the directory, for roles.
    subject: String,
    /// Where it was found.
    directory: DirectoryRef,
    /// When it was seen; null for now. Set when the directory does not answer and this is remembered.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    seen_at: Option<WallTime>,
}

/// A directory that did not answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DirectoryProblem {
    /// The directory.
    directory: DirectoryRef,
    /// Why.
    detail: String,
    /// Whether something is remembered of it in this answer.
    stale: bool,
}

/// What was found in all directories.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PrincipalList {
    /// Users and groups.
    items: Vec<PrincipalView>,
    /// Whether a directory has more: a longer text finds fewer.
    more: bool,
    /// Directories that did not answer.
    problems: Vec<DirectoryProblem>,
    /// How many directories were asked.
    directories: usize,
}

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchQuery {
    /// A part of the name, 1 to 100 characters. Letter case does not matter.
    q: String,
    /// `user` or `group`; both without it.
    kind: Option<String>,
    /// Most of each kind from each directory, 1 to 50.
    #[param(default = 20)]
    limit: Option<u8>,
}

/// Whose groups.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupsQuery {
    /// What the person signs in with.
    user: String,
}

/// A role that a user or group holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleView {
    /// Its id.
    id: String,
    /// `user` or `group`.
    kind: &'static str,
    /// What tells it from all others of the directory.
    subject: String,
    /// What people call it.
    label: String,
    /// The role.
    #[schema(example = "full")]
    role: &'static str,
    /// Who gave it.
    made_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: WallTime,
}

/// The roles in a directory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleList {
    /// In the order in which they were given.
    items: Vec<RoleView>,
}

/// List directories
#[utoipa::path(get, path = "/api/v1/directories", tag = "directories", responses((status = 200, body = DirectoryList)))]
pub(crate) async fn list_directories(State(core): State<Shared>) -> Result<Json<DirectoryList>, Problem> {
    let mut items = Vec::new();
    for directory in core.store.directories().await? {
        items.push(view(&core, directory).await?);
    }
    Ok(Json(DirectoryList { items }))
}

/// Connect a directory
///
/// It is not asked whether it works: `POST /api/v1/directories/test` does that. Nobody may sign in by it before a role is given.
#[utoipa::path(post, path = "/api/v1/directories", tag = "directories", request_body = NewDirectory,
    responses((status = 201, body = DirectoryView), (status = 409, description = "The name is taken")))]
pub(crate) async fn create_directory(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<NewDirectory>,
) -> Result<(StatusCode, Json<DirectoryView>), Problem> {
    let directory = desk(&core).create(new).await?;
    tracing::info!(user = caller.user, directory = directory.name, "directory connected");
    Ok((StatusCode::CREATED, Json(view(&core, directory).await?)))
}

/// One directory
#[utoipa::path(get, path = "/api/v1/directories/{id}", tag = "directories",
    params(("id" = Uuid, Path, description = "The directory")), responses((status = 200, body = DirectoryView)))]
pub(crate) async fn directory(
    State(core): State<Shared>,
    Place(id): Place<Uuid>,
) -> Result<Json<DirectoryView>, Problem> {
    let directory = desk(&core).named(&id.to_string()).await?;
    Ok(Json(view(&core, directory).await?))
}

/// Change a directory
///
/// All or nothing. People who came in by it keep their sessions, unless it is switched off.
#[utoipa::path(patch, path = "/api/v1/directories/{id}", tag = "directories",
    params(("id" = Uuid, Path, description = "The directory")), request_body = DirectoryChange,
    responses((status = 200, body = DirectoryView), (status = 409, description = "Changed by somebody else meanwhile, or the name is taken")))]
pub(crate) async fn change_directory(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<Uuid>,
    Body(change): Body<DirectoryChange>,
) -> Result<Json<DirectoryView>, Problem> {
    let directory = desk(&core).change(&id.to_string(), change).await?;
    directories::settle_rights(&core, &directory.id).await?;
    tracing::info!(user = caller.user, directory = directory.name, "directory changed");
    Ok(Json(view(&core, directory).await?))
}

/// Remove a directory
///
/// With the roles in it, and the accounts and sessions of those who came in by it.
#[utoipa::path(delete, path = "/api/v1/directories/{id}", tag = "directories",
    params(("id" = Uuid, Path, description = "The directory")), responses((status = 204, description = "Removed")))]
pub(crate) async fn delete_directory(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<Uuid>,
) -> Result<StatusCode, Problem> {
    let (directory, accounts) = desk(&core).remove(&id.to_string()).await?;
    for account in &accounts {
        core.streams.end_of_account(account);
    }
    tracing::warn!(
        user = caller.user,
        directory = directory.name,
        accounts = accounts.len(),
        "directory removed"
    );
    Ok(StatusCode::NO_CONTENT)
}

/// Try a directory out
///
/// As it is kept, or as it would be with other settings: connecting, TLS, signing in as the console's account, finding users and groups,
/// and somebody's groups and password. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/directories/test", tag = "directories", request_body = Trial,
    responses((status = 200, description = "What works and what does not", body = Tried)))]
pub(crate) async fn test_directory(
    State(core): State<Shared>,
    Body(trial): Body<Trial>,
) -> Result<Json<Tried>, Problem> {
    Ok(Json(desk(&core).try_out(trial, &directories::back(&core)).await?))
}

/// Look users and groups up
///
/// In all LDAP directories at once. One that does not answer is no error: what was seen of it before is in the answer, with when that was.
#[utoipa::path(get, path = "/api/v1/directories/search", tag = "directories", params(SearchQuery),
    responses((status = 200, body = PrincipalList)))]
pub(crate) async fn search_directories(
    State(core): State<Shared>,
    Params(query): Params<SearchQuery>,
) -> Result<Json<PrincipalList>, Problem> {
    let part = text(&query.q, "`q`")?;
    let kinds = match &query.kind {
        Some(kind) => vec![kind.parse().map_err(|error| Problem::bad_request(format!("`kind`: {error}.")))?],
        None => vec![PrincipalKind::User, PrincipalKind::Group],
    };
    let limit = query.limit.unwrap_or(20);
    if !(1..=MOST_FOUND).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` must be 1 to {MOST_FOUND}, not {limit}.")));
    }
    Ok(Json(found(directories::search(&core, part, &kinds, limit.into()).await?)))
}

/// Somebody's groups
///
/// In all LDAP directories, groups within groups included. One that does not answer is no error, as for searching.
#[utoipa::path(get, path = "/api/v1/directories/groups", tag = "directories", params(GroupsQuery),
    responses((status = 200, body = PrincipalList)))]
pub(crate) async fn directory_groups(
    State(core): State<Shared>,
    Params(query): Params<GroupsQuery>,
) -> Result<Json<PrincipalList>, Problem> {
    Ok(Json(found(directories::groups_of(&core, text(&query.user, "`user`")?).await?)))
}

/// The roles in a directory
#[utoipa::path(get, path = "/api/v1/directories/{id}/roles", tag = "directories",
    params(("id" = Uuid, Path, description = "The directory")), responses((status = 200, body = RoleList)))]
pub(crate) async fn list_directory_roles(
    State(core): State<Shared>,
    Place(id): Place<Uuid>,
) -> Result<Json<RoleList>, Problem> {
    let directory = desk(&core).named(&id.to_string()).await?;
    let roles = core.store.directory_roles(&directory.id).await?;
    Ok(Json(RoleList { items: roles.into_iter().map(role).collect() }))
}

/// Give a role to a user or group
///
/// In place of the one held before. Somebody holds the highest role of theirs and their groups'.
#[utoipa::path(post, path = "/api/v1/directories/{id}/roles", tag = "directories",
    params(("id" = Uuid, Path, description = "The directory")), request_body = NewRole,
    responses((status = 201, body = RoleView)))]
pub(crate) async fn give_directory_role(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<Uuid>,
    Body(new): Body<NewRole>,
) -> Result<(StatusCode, Json<RoleView>), Problem> {
    let given = desk(&core).give(&id.to_string(), new, &caller.user).await?;
    directories::settle_rights(&core, &given.directory).await?;
    tracing::warn!(user = caller.user, to = given.label, role = %given.role, "role given");
    Ok((StatusCode::CREATED, Json(role(given))))
}

/// Take a role away
///
/// Those who hold none any more lose their sessions at once.
#[utoipa::path(delete, path = "/api/v1/directory-roles/{id}", tag = "directories",
    params(("id" = Uuid, Path, description = "The role's id")), responses((status = 204, description = "Taken away")))]
pub(crate) async fn take_directory_role(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<Uuid>,
) -> Result<StatusCode, Problem> {
    let taken = core.store.take_directory_role(&id.to_string()).await?;
    let taken = taken.ok_or_else(|| Problem::not_found("Nobody holds this role."))?;
    directories::settle_rights(&core, &taken.directory).await?;
    tracing::warn!(user = caller.user, from = taken.label, role = %taken.role, "role taken away");
    Ok(StatusCode::NO_CONTENT)
}

fn desk(core: &Core) -> Desk<'_> {
    Desk { store: &core.store, directories: &core.directories, now: core.clock.now() }
}

async fn view(core: &Core, directory: Directory) -> Result<DirectoryView, Problem> {
    let roles = core.store.directory_roles(&directory.id).await?.len();
    let accounts = core.store.directory_accounts(&directory.id).await?.len();
    let failed = core.directories.memory().failed(&directory, core.clock.now());
    let (ldap, openid, problem) = match read_settings(&directory) {
        Ok(DirectorySettings::Ldap(settings)) => (Some(settings), None, failed),
        Ok(DirectorySettings::OpenId(settings)) => (None, Some(settings), failed),
        Err(error) => (None, None, Some(error.to_string())),
    };
    let redirect_uri = openid.is_some().then(|| directories::back(core));
    Ok(DirectoryView {
        id: directory.id,
        name: directory.name,
        kind: directory.kind.into(),
        enabled: directory.enabled,
        ldap,
        openid,
        has_secret: directory.secret.is_some(),
        redirect_uri,
        version: directory.version,
        created_at: directory.created_at,
        changed_at: directory.changed_at,
        roles,
        accounts,
        problem,
    })
}

fn role(row: DirectoryRole) -> RoleView {
    RoleView {
        id: row.id,
        kind: row.kind.as_str(),
        subject: row.subject,
        label: row.label,
        role: row.role.as_str(),
        made_by: row.made_by,
        created_at: row.created_at,
    }
}

fn found(answers: Vec<Searched>) -> PrincipalList {
    let directories = answers.len();
    let more = answers.iter().any(|answer| answer.more);
    let (mut items, mut problems) = (Vec::new(), Vec::new());
    for Searched { directory, found, problem, .. } in answers {
        let of = || DirectoryRef { id: directory.id.clone(), name: directory.name.clone() };
        if let Some(detail) = problem {
            problems.push(DirectoryProblem { directory: of(), detail, stale: !found.is_empty() });
        }
        items.extend(found.into_iter().map(|one| PrincipalView {
            kind: one.principal.kind.as_str(),
            name: one.principal.name,
            label: one.principal.label,
            detail: one.principal.detail,
            dn: one.principal.dn,
            subject: one.principal.subject,
            directory: of(),
            seen_at: one.seen_at,
        }));
    }
    PrincipalList { items, more, problems, directories }
}

fn text<'a>(text: &'a str, name: &str) -> Result<&'a str, Problem> {
    let text = text.trim();
    if (1..=MOST_QUERY).contains(&text.chars().count()) && !text.contains(char::is_control) {
        Ok(text)
    } else {
        Err(Problem::bad_request(format!("{name} must have 1 to {MOST_QUERY} characters.")))
    }
}
