//! Users and their groups, as the system knows them: from its own files, or from a directory through SSSD or winbind.

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::{ffi::CString, fs};

/// The most groups that are told of a user.
const MOST_GROUPS: usize = 1_000;

/// A user, by all names.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Person {
    /// The account's name on this machine.
    pub(crate) user: String,
    /// That and all other names of it.
    pub(crate) names: Vec<String>,
    pub(crate) groups: Vec<String>,
    /// Not all of this could be found out.
    #[serde(default)]
    pub(crate) is_partial: bool,
}

/// Asks the system; this may take long where a directory does not answer.
pub(super) fn look_up(uid: u32, domains: &[String]) -> Person {
    let id = Uid::from_raw(uid);
    let account = match User::from_uid(id) {
        Ok(Some(account)) => account,
        Ok(None) | Err(_) => {
            let name = uid.to_string();
            return Person { user: name.clone(), names: vec![name], groups: Vec::new(), is_partial: true };
        }
    };
    let groups = groups(&account);
    let is_local = fs::read_to_string("/etc/passwd").is_ok_and(|text| is_listed(&text, &account.name));
    let names = if is_local { vec![account.name.clone()] } else { names(&account.name, domains) };
    Person { user: account.name, names, is_partial: groups.is_none(), groups: groups.unwrap_or_default() }
}

/// The names of all groups of an account; `None` where the system does not tell.
fn groups(account: &User) -> Option<Vec<String>> {
    let name = CString::new(account.name.as_bytes()).ok()?;
    let ids: Vec<Gid> = getgrouplist(&name, account.gid).ok()?;
    let mut groups = Vec::with_capacity(ids.len());
    for id in ids.into_iter().take(MOST_GROUPS) {
        match Group::from_gid(id) {
            Ok(Some(group)) => groups.push(group.name),
            Ok(None) => {}
            Err(_) => return None,
        }
    }
    Some(groups)
}

fn is_listed(passwd: &str, name: &str) -> bool {
    passwd.lines().any(|line| line.split_once(':').is_some_and(|(first, _)| first == name))
}

/// All names of a directory's user: with each of the domain's names, before it and after, and without.
fn names(name: &str, domains: &[String]) -> Vec<String> {
    let short = match (name.split_once('\\'), name.rsplit_once('@')) {
        (Some((domain, short)), _) if is_one(domain, domains) => short,
        (None, Some((short, domain))) if is_one(domain, domains) => short,
        (None, None) => name,
        // Of a domain that nobody has named: it may have another of the same short name.
        _ => return vec![name.to_owned()],
    };
    let mut names = vec![name.to_owned(), short.to_owned()];
    for domain in domains {
        names.push(if domain.contains('.') {
            format!("{short}@{domain}")
        } else {
            format!("{domain}\\{short}")
        });
    }
    let mut seen = Vec::<String>::new();
    names.retain(|name| {
        let is_new = !seen.iter().any(|other| other.eq_ignore_ascii_case(name));
        if is_new {
            seen.push(name.clone());
        }
        is_new
    });
    names
}

fn is_one(domain: &str, domains: &[String]) -> bool {
    domains.iter().any(|other| other.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_a_number_without_a_name_is_not() {
        let root = look_up(0, &["CORP".into()]);
        assert_eq!((root.user.as_str(), root.names.as_slice()), ("root", &["root".to_owned()][..]));
        assert!(root.groups.contains(&"root".into()) && !root.is_partial);
        let nobody = look_up(3_999_999_999, &[]);
        assert_eq!((nobody.user.as_str(), nobody.is_partial), ("3999999999", true));
    }

    #[test]
    fn a_directorys_user_has_the_domain_in_further_names() {
        let domains = ["CORP".to_owned(), "corp.example".to_owned()];
        assert_eq!(names("ada", &domains), ["ada", "CORP\\ada", "ada@corp.example"]);
        assert_eq!(names("corp\\ada", &domains), ["corp\\ada", "ada", "ada@corp.example"]);
        assert_eq!(names("ada@CORP.example", &domains), ["ada@CORP.example", "ada", "CORP\\ada"]);
        assert_eq!(names("OTHER\\ada", &domains), ["OTHER\\ada"]);
        assert_eq!(names("ada", &[]), ["ada"]);
        assert!(is_listed("root:x:0\nada:x:1\n", "ada") && !is_listed("root:x:0\n", "roo"));
    }
}
