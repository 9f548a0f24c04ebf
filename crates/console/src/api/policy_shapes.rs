//! The shapes of recording policies in the API. The console hands them on between people and sites as they are.

#![allow(dead_code, reason = "describes what is handed on")]

use playhead_model::{SessionId, WallTime};
use utoipa::ToSchema;

/// All policies of a site.
#[derive(ToSchema)]
pub(crate) struct PolicyList {
    /// Those of the system, then those that people made, by name.
    items: Vec<PolicySummary>,
    /// Which one decides.
    active: ActivePolicy,
}

/// Who made a policy.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum PolicyKind {
    /// Every site has it, and nobody can change it.
    System,
    /// Somebody.
    Custom,
}

/// A policy in the list.
#[derive(ToSchema)]
pub(crate) struct PolicySummary {
    /// Its id: a word for one of the system's, otherwise a UUID.
    id: String,
    /// Who made it.
    kind: PolicyKind,
    /// Its name.
    name: String,
    /// What it is for.
    description: String,
    /// Whether it decides.
    active: bool,
    /// How many rules it has.
    rules: u64,
    /// Its newest version; null for one of the system's.
    #[schema(required)]
    version: Option<u32>,
    /// When that was made.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    changed_at: Option<WallTime>,
    /// By whom.
    #[schema(required)]
    changed_by: Option<String>,
}

/// Which policy decides.
#[derive(ToSchema)]
pub(crate) struct ActivePolicy {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Grows with each change of what is active, and of what users are told.
    revision: u64,
    /// Its version; null for one of the system's.
    #[schema(required)]
    version: Option<u32>,
    /// Since when this revision is active; null where nobody has ever chosen.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    since: Option<WallTime>,
    /// Who made it so.
    #[schema(required)]
    by: Option<String>,
}

/// One policy in full.
#[derive(ToSchema)]
pub(crate) struct PolicyDetail {
    /// Its id.
    id: String,
    /// Who made it.
    kind: PolicyKind,
    /// Its name.
    name: String,
    /// What it is for.
    description: String,
    /// Whether it decides.
    active: bool,
    /// Its newest version, to be given back with a change; null for one of the system's.
    #[schema(required)]
    version: Option<u32>,
    /// When that was made.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    changed_at: Option<WallTime>,
    /// By whom.
    #[schema(required)]
    changed_by: Option<String>,
    /// What it says; null for one of the system's.
    #[schema(required)]
    policy: Option<Policy>,
    /// What one of the system's does with every session; null for others.
    #[schema(required)]
    action: Option<RuleAction>,
    /// And how.
    #[schema(required)]
    options: Option<RuleOptions>,
}

/// A policy with its rules. Of the rules that fit a session the one whose action has the highest priority decides, of several with the same
/// the first; where none fits, nothing is recorded.
#[derive(ToSchema)]
pub(crate) struct Policy {
    /// 1 to 100 characters; no two policies of a site have the same.
    name: String,
    /// At most 300 characters.
    #[schema(required = false)]
    description: String,
    /// At most 2,000.
    #[schema(required = false)]
    rules: Vec<Rule>,
}

/// What is done with sessions of a scope.
#[derive(ToSchema)]
pub(crate) struct Rule {
    /// 1 to 100 characters, no two of a policy alike.
    name: String,
    /// At most 300 characters.
    #[schema(required = false)]
    description: String,
    /// What is done.
    action: RuleAction,
    /// How it is recorded, where it is.
    #[schema(required = false)]
    options: RuleOptions,
    /// Which sessions.
    scope: RuleScope,
}

/// What is done with a session, the highest priority first.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum RuleAction {
    /// Nothing is recorded.
    Disable,
    /// Screen and events; the user is told.
    RecordWithNotice,
    /// Events alone; the user is told.
    EventsWithNotice,
    /// Screen and events.
    Record,
    /// Events alone.
    Events,
}

/// How a session is recorded.
#[derive(ToSchema)]
pub(crate) struct RuleOptions {
    /// The user has to accept before anything of the session is seen; denying ends it. For actions that notify.
    #[schema(required = false)]
    consent: bool,
    /// Sound as well. For actions that record the screen, as are the ones below.
    #[schema(required = false)]
    audio: bool,
    /// How the picture is recorded; without it, without loss.
    #[schema(required = false, nullable = false)]
    picture: Option<PictureOptions>,
    /// Applications that are covered; at most 100.
    #[schema(required = false)]
    masks: Vec<RuleMask>,
}

/// How the picture is recorded.
#[derive(ToSchema)]
pub(crate) struct PictureOptions {
    /// `lossless`, or `lossy`: films and photos as video.
    #[schema(required = false, example = "lossy")]
    mode: String,
    /// How good films and photos look, 0 to 100.
    #[schema(required = false, maximum = 100)]
    quality: u8,
    /// Most pictures a second, 1 to 30; what the site says when left out.
    #[schema(required = false)]
    frame_rate: Option<u32>,
}

/// An application whose windows are covered. All patterns that are given must fit; `*` stands for anything.
#[derive(ToSchema)]
pub(crate) struct RuleMask {
    /// Of the window's class.
    #[schema(required = false, nullable = false)]
    class: Option<String>,
    /// Of the process's name.
    #[schema(required = false, nullable = false)]
    process: Option<String>,
    /// Of the window's title.
    #[schema(required = false, nullable = false)]
    title: Option<String>,
    /// What is shown instead: `black`, `grey` or `white`.
    #[schema(required = false, example = "black")]
    colour: String,
}

/// Which sessions a rule is for: those that fit one entry of each list that is not empty, where users and groups count as one list, and
/// hosts and delivery groups too. Either at least one list is not empty, or the rule is for everyone. Letter case does not matter.
#[derive(ToSchema)]
pub(crate) struct RuleScope {
    /// Every session. All lists are empty then.
    #[schema(required = false)]
    everyone: bool,
    /// Users: `ada`, `CORP\ada` or `ada@corp.example`.
    #[schema(required = false)]
    users: Vec<String>,
    /// Groups that the user is a member of, directly or not.
    #[schema(required = false)]
    groups: Vec<String>,
    /// Published applications, and `desktop`.
    #[schema(required = false)]
    applications: Vec<String>,
    /// Delivery groups.
    #[schema(required = false)]
    delivery_groups: Vec<String>,
    /// Session hosts.
    #[schema(required = false)]
    hosts: Vec<String>,
    /// Addresses of the user's own machine: `10.1.2.3`, `10.0.0.0/8`, `10.0.0.1-10.0.0.50`, `fd00::/8`.
    #[schema(required = false)]
    addresses: Vec<String>,
    /// Tags of how the session was reached.
    #[schema(required = false)]
    tags: Vec<String>,
}

/// What is active now.
#[derive(ToSchema)]
pub(crate) struct PolicyActivated {
    /// The policy.
    active: ActivePolicy,
}

/// The versions of a policy.
#[derive(ToSchema)]
pub(crate) struct PolicyVersions {
    /// The newest first.
    items: Vec<PolicyVersion>,
}

/// A version of a policy.
#[derive(ToSchema)]
pub(crate) struct PolicyVersion {
    /// From 1.
    version: u32,
    /// The policy's name in it.
    name: String,
    /// How many rules it has.
    rules: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    changed_at: WallTime,
    /// By whom.
    changed_by: String,
}

/// A version of a policy in full.
#[derive(ToSchema)]
pub(crate) struct PolicyVersionDetail {
    /// From 1.
    version: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    changed_at: WallTime,
    /// By whom.
    changed_by: String,
    /// What it says.
    policy: Policy,
}

/// What differs between two versions of a policy.
#[derive(ToSchema)]
pub(crate) struct PolicyDiff {
    /// The version that it starts from.
    from: u32,
    /// The version that it leads to.
    to: u32,
    /// The name before and after, where it differs.
    #[schema(required)]
    name: Option<Vec<String>>,
    /// The description before and after, where it differs.
    #[schema(required)]
    description: Option<Vec<String>>,
    /// Rules that there were not.
    added: Vec<Rule>,
    /// Rules that there are no more.
    removed: Vec<Rule>,
    /// Rules that differ.
    changed: Vec<RuleChange>,
    /// Whether rules that are in both stand in another order.
    reordered: bool,
}

/// A rule that was changed.
#[derive(ToSchema)]
pub(crate) struct RuleChange {
    /// What differs: `name`, `description`, `action`, `options`, `scope`.
    fields: Vec<String>,
    /// The rule as it was.
    before: Rule,
    /// The rule as it is.
    after: Rule,
}

/// What was active when.
#[derive(ToSchema)]
pub(crate) struct PolicyHistory {
    /// The newest first.
    items: Vec<PolicyRevision>,
}

/// What was active from some time on.
#[derive(ToSchema)]
pub(crate) struct PolicyRevision {
    /// Its number.
    revision: u64,
    /// The policy's id.
    policy: String,
    /// The policy's name then.
    name: String,
    /// The policy's version; null for one of the system's.
    #[schema(required)]
    version: Option<u32>,
    /// From when on.
    #[schema(value_type = String, format = DateTime)]
    made_at: WallTime,
    /// Who made it so.
    made_by: String,
}

/// A question to a policy: what would it do with this session?
#[derive(ToSchema)]
pub(crate) struct PolicyQuestion {
    /// A session that is made up. Either this or `session`.
    #[schema(required = false, nullable = false)]
    facts: Option<SessionFacts>,
    /// A session that the site knows.
    #[schema(value_type = Option<String>, format = Uuid, required = false, nullable = false)]
    session: Option<SessionId>,
    /// The policy's id. The active one where neither this nor `draft` is given.
    #[schema(required = false, nullable = false)]
    policy: Option<String>,
    /// A policy that is not kept yet.
    #[schema(required = false, nullable = false)]
    draft: Option<Policy>,
}

/// What is known of a session when it is decided whether it is recorded.
#[derive(ToSchema)]
pub(crate) struct SessionFacts {
    /// The user's names; a host that is in a directory knows several of one user.
    #[schema(required = false)]
    users: Vec<String>,
    /// Groups the user is in.
    #[schema(required = false)]
    groups: Vec<String>,
    /// The published application, or `desktop`.
    #[schema(required = false, example = "desktop")]
    application: String,
    /// The host's delivery groups.
    #[schema(required = false)]
    delivery_groups: Vec<String>,
    /// Name of the session host.
    #[schema(required = false)]
    host: String,
    /// Address of the user's own machine, where known.
    #[schema(required = false)]
    address: Option<String>,
    /// Tags of how the session was reached.
    #[schema(required = false)]
    tags: Vec<String>,
}

/// What a policy would do with a session, and why.
#[derive(ToSchema)]
pub(crate) struct PolicyAnswer {
    /// What was asked with.
    facts: SessionFacts,
    /// The policy that was asked.
    policy: AskedPolicy,
    /// What would be done.
    action: RuleAction,
    /// And how.
    options: RuleOptions,
    /// The rule that decides; null where none fits, and for one of the system's policies.
    #[schema(required)]
    rule: Option<NamedRule>,
    /// What each rule says, in their order.
    rules: Vec<RuleVerdict>,
}

/// The policy that was asked.
#[derive(ToSchema)]
pub(crate) struct AskedPolicy {
    /// Its id; null for a draft.
    #[schema(required)]
    id: Option<String>,
    /// Its name.
    name: String,
}

/// A rule of the policy.
#[derive(ToSchema)]
pub(crate) struct NamedRule {
    /// Its place in the policy, from 0.
    index: u64,
    /// Its name.
    name: String,
}

/// What a rule says of a session.
#[derive(ToSchema)]
pub(crate) struct RuleVerdict {
    /// Its place in the policy, from 0.
    index: u64,
    /// Its name.
    name: String,
    /// What it would do.
    action: RuleAction,
    /// Whether the session is in its scope.
    fits: bool,
    /// Whether it decides.
    decides: bool,
    /// Why it fits or does not.
    items: Vec<ItemVerdict>,
}

/// How an item of a rule's scope and a session belong together.
#[derive(ToSchema)]
pub(crate) struct ItemVerdict {
    /// The item.
    #[schema(inline)]
    item: ScopeItem,
    /// What it says.
    #[schema(inline)]
    is: ItemReason,
    /// The entry that fits.
    #[schema(required)]
    entry: Option<String>,
}

/// What a rule asks for.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum ScopeItem {
    /// Users and groups.
    People,
    /// Published applications and desktops.
    Applications,
    /// Hosts and delivery groups.
    Machines,
    /// Addresses of clients.
    Addresses,
    /// Access tags.
    Tags,
}

/// What an item of a rule says of a session.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum ItemReason {
    /// The rule does not ask for it.
    NotAsked,
    /// The session fits an entry.
    Fits,
    /// It fits none.
    Differs,
    /// The rule asks, and of the session it is not known.
    Unknown,
}

/// What users are told where the policy wants it.
#[derive(ToSchema)]
pub(crate) struct Notices {
    /// The first one whose language fits the user's is shown, otherwise the first of all; without any, an English text.
    items: Vec<Notice>,
}

/// What users are told, in one language.
#[derive(ToSchema)]
pub(crate) struct Notice {
    /// `de`, `pt-BR`.
    language: String,
    /// Heading; at most 100 characters.
    title: String,
    /// At most 2,000 characters.
    text: String,
    /// The same for where consent is asked.
    consent: String,
}
