//! The groups that somebody is in, through other groups as well.

use super::{Ldap, LdapError, client::Client};
use crate::directories::{Principal, settings::Nesting};
use playhead_db::console::PrincipalKind;
use playhead_ldap::{Entry, Filter, Scope, Search, is_within, same_form};
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
            let named = Filter::equal(&names.member, login);
            let found = self.ask(client, PrincipalKind::Group, named, MOST_GROUPS).await?;
            return Ok(self.named(&found.entries));
        }
        let chain = match self.settings.nesting {
            Nesting::Chain => true,
            Nesting::Auto => self.is_active_directory(client).await?,
            Nesting::Walk | Nesting::Direct => false,
        };
        if chain {
            let rule = Filter::Rule {
                attribute: names.member.clone(),
                rule: IN_CHAIN.into(),
                value: user.dn.as_bytes().to_vec(),
            };
            let found = self.ask(client, PrincipalKind::Group, rule, MOST_GROUPS).await?;
            return Ok(self.named(&found.entries));
        }
        self.walk(client, user).await
    }

    /// From the user to their groups, and from those to theirs. Each group is visited once, so that circles end.
    async fn walk(&self, client: &mut Client, user: &Entry) -> Result<Vec<Principal>, LdapError> {
        let member_of = &self.settings.attributes.member_of;
        let levels = if self.settings.nesting == Nesting::Direct { 1 } else { MOST_LEVELS };
        let mut seen = HashSet::from([same_form(&user.dn)]);
        let mut all: Vec<Entry> = Vec::new();
        let mut single = 0;
        let mut level = vec![user.clone()];
        for _ in 0..levels {
            let mut next = Vec::new();
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
            let named = level.iter().flat_map(|entry| entry.values(member_of));
            let named: Vec<String> =
                named.filter_map(|dn| std::str::from_utf8(dn).ok()).map(str::to_owned).collect();
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
