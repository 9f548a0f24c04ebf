//! The groups that somebody is in, through other groups as well.

use super::{Ldap, LdapError, client::Client};
use crate::directories::{Principal, settings::Nesting};
use playhead_db::console::PrincipalKind;
use playhead_ldap::{Entry, Filter, Scope, Search, group_of_domain, is_within, rest_of, same_form};
use std::collections::HashSet;

/// Most groups of one person.
pub(super) const MOST_GROUPS: usize = 2000;
/// Deepest groups within groups.
const MOST_LEVELS: usize = 16;
/// How many groups are asked about in one question.
const AT_ONCE: usize = 40;
/// Most groups that are read one by one, because the directory names them but does not find them by their members.
const MOST_SINGLE: usize = 200;
/// Active Directory's rule for members of members.
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";
/// Number of a user's primary group in Active Directory, which does not name the user among its members.
pub(super) const PRIMARY_GROUP: &str = "primaryGroupID";
/// What Active Directory tells accounts and groups by.
pub(super) const SID: &str = "objectSid";
/// Number of a user's primary group where groups hold names of users.
pub(super) const POSIX_GROUP: &str = "gidNumber";
/// By which a directory says that it is an Active Directory.
pub(super) const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";

impl Ldap {
    /// The groups of a user.
    ///
    /// # Errors
    /// The directory's.
    pub(super) async fn groups(
        &self,
        client: &mut Client,
        user: &Entry,
        login: &str,
    ) -> Result<Vec<Principal>, LdapError> {
        let names = &self.settings.attributes;
        if names.member.eq_ignore_ascii_case("memberUid") {
            // Such groups hold names of users and no groups.
            let mut named = vec![Filter::equal(&names.member, login)];
            named.extend(user.text(POSIX_GROUP).map(|number| Filter::equal(POSIX_GROUP, number)));
            let named = Filter::Any(named);
            let found = self.ask(client, PrincipalKind::Group, named, MOST_GROUPS).await?;
            return Ok(self.named(&found.entries));
        }
        let chain = match self.settings.nesting {
            Nesting::Chain => true,
            Nesting::Auto => self.is_active_directory(client).await?,
            Nesting::Walk | Nesting::Direct => false,
        };
        let primary = self.primary(client, user).await?;
        if chain {
            let rule = |entry: &Entry| Filter::Rule {
                attribute: names.member.clone(),
                rule: IN_CHAIN.into(),
                value: entry.dn.as_bytes().to_vec(),
            };
            let any = Filter::Any([user].into_iter().chain(&primary).map(rule).collect());
            let found = self.ask(client, PrincipalKind::Group, any, MOST_GROUPS).await?;
            let mut groups = found.entries;
            let known: HashSet<String> = groups.iter().map(|entry| same_form(&entry.dn)).collect();
            groups.extend(primary.filter(|entry| !known.contains(&same_form(&entry.dn))));
            return Ok(self.named(&groups));
        }
        self.walk(client, user, primary).await
    }

    /// The user's primary group, where the directory is one that has such and the groups' base holds it.
    async fn primary(&self, client: &mut Client, user: &Entry) -> Result<Option<Entry>, LdapError> {
        let number = user.text(PRIMARY_GROUP).and_then(|number| number.parse().ok());
        let (Some(number), Some(own)) = (number, user.values(SID).first()) else { return Ok(None) };
        let Some(sid) = group_of_domain(own, number) else { return Ok(None) };
        let same = Filter::Equal(SID.into(), sid);
        Ok(self.ask(client, PrincipalKind::Group, same, 1).await?.entries.pop())
    }

    /// From the user to their groups, and from those to theirs. Each group is visited once, so that circles end.
    async fn walk(
        &self,
        client: &mut Client,
        user: &Entry,
        primary: Option<Entry>,
    ) -> Result<Vec<Principal>, LdapError> {
        let levels = if self.settings.nesting == Nesting::Direct { 1 } else { MOST_LEVELS };
        let mut seen = HashSet::from([same_form(&user.dn)]);
        let mut all: Vec<Entry> = Vec::new();
        let (mut single, mut primary) = (0, primary);
        let mut level = vec![user.clone()];
        for _ in 0..levels {
            // The primary group is one of those that the user is in directly.
            let mut next: Vec<Entry> = primary.take().into_iter().collect();
            seen.extend(next.iter().map(|entry| same_form(&entry.dn)));
            for members in level.chunks(AT_ONCE) {
                let any = members.iter().map(|entry| self.has_member(&entry.dn)).collect();
                let found = self.ask(client, PrincipalKind::Group, Filter::Any(any), MOST_GROUPS).await?;
                for entry in found.entries {
                    if seen.insert(same_form(&entry.dn)) {
                        next.push(entry);
                    }
                }
            }
            // What the members say themselves, where the groups did not say it.
            let mut named = Vec::new();
            for entry in &level {
                named.extend(self.said_by(client, entry).await?);
            }
            for dn in named {
                let wanted = is_within(&dn, &self.settings.group_base);
                if wanted && single < MOST_SINGLE && seen.insert(same_form(&dn)) {
                    single += 1;
                    next.extend(self.group(client, &dn).await?);
                }
            }
            all.extend(next.iter().cloned());
            if next.is_empty() || all.len() >= MOST_GROUPS {
                break;
            }
            level = next;
        }
        if all.len() >= MOST_GROUPS {
            tracing::warn!(
                user = user.dn,
                most = MOST_GROUPS,
                "more groups than are looked up: the rest does not count"
            );
            all.truncate(MOST_GROUPS);
        }
        Ok(self.named(&all))
    }

    /// The groups that an entry says it is in. A directory that gives some of them alone is asked for the others.
    async fn said_by(&self, client: &mut Client, entry: &Entry) -> Result<Vec<String>, LdapError> {
        let member_of = &self.settings.attributes.member_of;
        let text = |values: &[Vec<u8>]| -> Vec<String> {
            values.iter().filter_map(|dn| std::str::from_utf8(dn).ok()).map(str::to_owned).collect()
        };
        let Some(part) = entry.part(member_of) else { return Ok(text(entry.values(member_of))) };
        let (mut all, mut next) = (text(part.values), part.next);
        while let Some(from) = next.filter(|_| all.len() < MOST_GROUPS) {
            let search = Search {
                base: entry.dn.clone(),
                scope: Scope::Base,
                size_limit: 0,
                seconds: 0,
                filter: Filter::Present("objectClass".into()),
                attributes: vec![rest_of(member_of, from)],
                page: None,
            };
            let found = client.search(search, 1).await?;
            let part = found.entries.first().and_then(|entry| entry.part(member_of));
            // A directory that does not get on would be asked for ever.
            next = part.and_then(|part| part.next).filter(|next| *next > from);
            all.extend(part.map(|part| text(part.values)).unwrap_or_default());
        }
        Ok(all)
    }

    fn has_member(&self, dn: &str) -> Filter {
        let member = &self.settings.attributes.member;
        let own = Filter::equal(member, dn);
        if member.eq_ignore_ascii_case("member") {
            // The same in groups of the other customary kind.
            Filter::Any(vec![own, Filter::equal("uniqueMember", dn)])
        } else {
            own
        }
    }

    async fn group(&self, client: &mut Client, dn: &str) -> Result<Option<Entry>, LdapError> {
        let groups = self.filter(PrincipalKind::Group)?;
        match client.search(self.search_for(PrincipalKind::Group, dn, Scope::Base, groups), 1).await {
            Ok(mut found) => Ok(found.entries.pop()),
            // Named, but gone or not to be seen.
            Err(LdapError::Refused { code: 32 | 34 | 50, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn is_active_directory(&self, client: &mut Client) -> Result<bool, LdapError> {
        let search = Search {
            base: String::new(),
            scope: Scope::Base,
            size_limit: 0,
            seconds: 0,
            filter: Filter::Present("objectClass".into()),
            attributes: vec!["supportedCapabilities".into()],
            page: None,
        };
        let found = match client.search(search, 1).await {
            Ok(found) => found,
            // It does not tell about itself.
            Err(LdapError::Refused { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let abilities = found.entries.iter().flat_map(|entry| entry.values("supportedCapabilities"));
        Ok(abilities.into_iter().any(|ability| ability == ACTIVE_DIRECTORY.as_bytes()))
    }

    fn named(&self, entries: &[Entry]) -> Vec<Principal> {
        let named = entries.iter().filter_map(|entry| self.principal(PrincipalKind::Group, entry));
        let mut named: Vec<Principal> = named.collect();
        named.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.dn.cmp(&b.dn)));
        named
    }
}
