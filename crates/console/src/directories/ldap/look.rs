//! Finding users and groups, and signing people in.

use super::{
    Found, Ldap, LdapError, MOST_LOGIN, Person, SignIn,
    client::{Client, Entries},
    group::{POSIX_GROUP, PRIMARY_GROUP, SID},
    turns::asking,
};
use crate::directories::Principal;
use playhead_db::console::PrincipalKind;
use playhead_ldap::{Entry, Filter, Scope, Search};

impl Ldap {
    /// Users or groups whose name holds `part`, at most `most` of each kind.
    ///
    /// # Errors
    /// The directory's.
    pub(crate) async fn search(
        &self,
        part: &str,
        kinds: &[PrincipalKind],
        most: usize,
    ) -> Result<Found, LdapError> {
        asking!(self, |client| self.search_at(client, part, kinds, most))
    }

    async fn search_at(
        &self,
        client: &mut Client,
        part: &str,
        kinds: &[PrincipalKind],
        most: usize,
    ) -> Result<Found, LdapError> {
        let mut found = Found::default();
        for &kind in kinds {
            let names = &self.settings.attributes;
            let named = match kind {
                PrincipalKind::User => vec![&names.user_name, &names.display_name, &names.mail],
                PrincipalKind::Group => vec![&names.group_name],
            };
            let named = named.into_iter().map(|name| Filter::contains(name, part)).collect();
            let entries = self.ask(client, kind, Filter::Any(named), most).await?;
            found.more |= entries.more;
            found.principals.extend(entries.entries.iter().filter_map(|entry| self.principal(kind, entry)));
        }
        Ok(found)
    }

    /// The groups that somebody is in, by the name that they sign in with; `None` when there is nobody of this name.
    ///
    /// # Errors
    /// The directory's.
    pub(crate) async fn groups_of(&self, login: &str) -> Result<Option<Vec<Principal>>, LdapError> {
        asking!(self, |client| self.groups_of_at(client, login))
    }

    async fn groups_of_at(
        &self,
        client: &mut Client,
        login: &str,
    ) -> Result<Option<Vec<Principal>>, LdapError> {
        let Some((entry, _)) = self.user(client, login).await? else { return Ok(None) };
        Ok(Some(self.groups(client, &entry, login).await?))
    }

    /// Who is behind a subject, with their groups; `None` when they are gone, or not what users are like any more.
    ///
    /// # Errors
    /// The directory's.
    pub(crate) async fn person(&self, subject: &str) -> Result<Option<Person>, LdapError> {
        asking!(self, |client| self.person_at(client, subject))
    }

    async fn person_at(&self, client: &mut Client, subject: &str) -> Result<Option<Person>, LdapError> {
        let Some(entry) = self.by_subject(client, subject).await? else { return Ok(None) };
        let Some(principal) = self.principal(PrincipalKind::User, &entry) else { return Ok(None) };
        let groups = self.groups(client, &entry, &principal.name).await?;
        Ok(Some(Person { principal, groups }))
    }

    /// Whose name and password these are.
    ///
    /// # Errors
    /// The directory's; a wrong name or password is none.
    pub(crate) async fn sign_in(&self, login: &str, password: &str) -> Result<SignIn, LdapError> {
        // With an empty password a directory would let in anybody, as nobody.
        if password.is_empty() {
            return Ok(SignIn::Wrong);
        }
        let user = asking!(self, |client| self.user(client, login))?;
        // A connection of its own, as nobody. The password is tried once: at several servers a wrong one would count several times.
        let mut trying = self.turns().reached().await?;
        let Some((entry, principal)) = user else {
            // A name that is not known takes as long as one that is.
            let nobody = format!("cn=nobody,{}", self.settings.user_base);
            trying.bind(&nobody, password).await?;
            return Ok(SignIn::Wrong);
        };
        let outcome = trying.bind(&entry.dn, password).await?;
        trying.close().await;
        match outcome.code {
            0 => {}
            49 => return Ok(barred(&outcome.text).map_or(SignIn::Wrong, SignIn::Barred)),
            // Not willing: the account is locked, or its password must be changed.
            19 | 50 | 53 => return Ok(SignIn::Barred("the directory does not let this account sign in now")),
            code => {
                return Err(LdapError::Refused { what: "the sign-in".into(), code, text: outcome.text });
            }
        }
        let groups = asking!(self, |client| self.groups(client, &entry, &principal.name))?;
        Ok(SignIn::Is(Box::new(Person { principal, groups })))
    }

    /// The one user of this name.
    async fn user(&self, client: &mut Client, login: &str) -> Result<Option<(Entry, Principal)>, LdapError> {
        let login = login.trim();
        if login.is_empty() || login.len() > MOST_LOGIN {
            return Ok(None);
        }
        let named = Filter::equal(&self.settings.attributes.user_name, login);
        let mut found = self.ask(client, PrincipalKind::User, named, 2).await?;
        if found.entries.len() > 1 {
            return Err(LdapError::Ambiguous(login.chars().take(64).collect()));
        }
        let Some(entry) = found.entries.pop() else { return Ok(None) };
        Ok(self.principal(PrincipalKind::User, &entry).map(|principal| (entry, principal)))
    }

    async fn by_subject(&self, client: &mut Client, subject: &str) -> Result<Option<Entry>, LdapError> {
        let users = self.filter(PrincipalKind::User)?;
        if let Some(dn) = subject.strip_prefix("dn:") {
            let search = self.search_for(PrincipalKind::User, dn, Scope::Base, users);
            return match client.search(search, 1).await {
                Ok(mut found) => Ok(found.entries.pop()),
                Err(LdapError::Refused { code: 32, .. }) => Ok(None),
                Err(error) => Err(error),
            };
        }
        let id = match subject.strip_prefix("0x") {
            Some(digits) => bytes(digits),
            None => subject.as_bytes().to_vec(),
        };
        let same = Filter::Equal(self.settings.attributes.id.clone(), id);
        Ok(self.ask(client, PrincipalKind::User, same, 1).await?.entries.pop())
    }

    /// Users or groups for which `filter` holds as well.
    pub(super) async fn ask(
        &self,
        client: &mut Client,
        kind: PrincipalKind,
        filter: Filter,
        most: usize,
    ) -> Result<Entries, LdapError> {
        let base = match kind {
            PrincipalKind::User => &self.settings.user_base,
            PrincipalKind::Group => &self.settings.group_base,
        };
        let filter = Filter::All(vec![self.filter(kind)?, filter]);
        client.search(self.search_for(kind, base, Scope::Subtree, filter), most).await
    }

    pub(super) fn filter(&self, kind: PrincipalKind) -> Result<Filter, LdapError> {
        let text = match kind {
            PrincipalKind::User => &self.settings.user_filter,
            PrincipalKind::Group => &self.settings.group_filter,
        };
        Filter::parse(text).map_err(|error| LdapError::Settings(error.to_string()))
    }

    pub(super) fn search_for(&self, kind: PrincipalKind, base: &str, scope: Scope, filter: Filter) -> Search {
        let names = &self.settings.attributes;
        let mut attributes = vec![names.id.clone(), names.member_of.clone()];
        match kind {
            PrincipalKind::User => {
                attributes.extend([&names.user_name, &names.display_name, &names.mail].map(String::clone));
                attributes.extend([PRIMARY_GROUP, SID, POSIX_GROUP].map(str::to_owned));
            }
            PrincipalKind::Group => attributes.push(names.group_name.clone()),
        }
        Search { base: base.to_owned(), scope, size_limit: 0, seconds: 0, filter, attributes, page: None }
    }
}

/// Why Active Directory refused a password that was right.
fn barred(text: &str) -> Option<&'static str> {
    let (_, code) = text.split_once("data ")?;
    match code.split(|char: char| !char.is_ascii_alphanumeric()).next()? {
        "532" | "773" => Some("the password has expired: change it in the directory first"),
        "533" => Some("the account is disabled in the directory"),
        "701" => Some("the account has expired in the directory"),
        "775" => Some("the account is locked in the directory"),
        _ => None,
    }
}

/// The bytes that hexadecimal digits stand for.
fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .filter_map(|pair| std::str::from_utf8(pair).ok())
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_directory_says_why() {
        let said = |data: &str| {
            barred(&format!(
                "80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data {data}, v3839"
            ))
        };
        assert_eq!(said("52e"), None, "a wrong password is a wrong password");
        assert!(said("532").unwrap().contains("expired") && said("775").unwrap().contains("locked"));
        assert_eq!(barred("Invalid credentials"), None);
        assert_eq!(bytes("00ff1"), [0, 255, 1]);
    }
}
