//! The programs that are published: what they are called, and where they are.

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Characters of a name, and how many names there may be.
const MOST_NAME: usize = 200;
const MOST: usize = 500;
/// Programs of one name: a script, and what it becomes, for example.
const MOST_PATHS: usize = 20;
/// What a session that shows no published program is called.
const DESKTOP: &str = "desktop";

/// The published programs by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Applications(BTreeMap<String, ProgramPaths>);

/// The files of a program: one, or several of which each is it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected the path of a program, or a list of paths")]
pub enum ProgramPaths {
    /// One file.
    One(PathBuf),
    /// Several.
    Several(Vec<PathBuf>),
}

impl ProgramPaths {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        let all = match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths.as_slice(),
        };
        all.iter().map(PathBuf::as_path)
    }
}

impl Applications {
    /// Whether no program is published.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ProgramPaths)> {
        self.0.iter().map(|(name, paths)| (name.as_str(), paths))
    }

    /// Checks names and paths; whether the files are there is not looked at.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.0.len() > MOST {
            return Err(format!("expected at most {MOST} published applications, got {}", self.0.len()));
        }
        let mut seen: BTreeMap<&Path, &str> = BTreeMap::new();
        for (name, paths) in self.iter() {
            let is_name = (1..=MOST_NAME).contains(&name.chars().count())
                && name.trim() == name
                && !name.chars().any(char::is_control);
            if !is_name {
                return Err(format!(
                    "expected a name of 1 to {MOST_NAME} characters for a published application, got '{name}'"
                ));
            }
            if name.eq_ignore_ascii_case(DESKTOP) {
                return Err(format!(
                    "a published application cannot be called {DESKTOP}: that is what sessions without one are called"
                ));
            }
            let count = paths.iter().count();
            if !(1..=MOST_PATHS).contains(&count) {
                return Err(format!(
                    "expected 1 to {MOST_PATHS} paths for the application '{name}', got {count}"
                ));
            }
            for path in paths.iter() {
                if !path.is_absolute() {
                    return Err(format!(
                        "expected a whole path such as /usr/bin/xterm for the application '{name}', got '{}'",
                        path.display()
                    ));
                }
                if let Some(other) = seen.insert(path, name).filter(|other| *other != name) {
                    return Err(format!(
                        "{} is given to the applications '{other}' and '{name}': give it to one",
                        path.display()
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Settings;

    #[test]
    fn programs_have_a_path_or_several_and_nonsense_is_named() {
        let read = |text: &str| {
            toml::from_str::<Settings>(&format!("displays = [\":1\"]\n[applications]\n{text}\n"))
        };
        let good = read("Terminal = \"/usr/bin/xterm\"\n\"Text editor\" = [\"/usr/bin/a\", \"/usr/lib/a\"]")
            .unwrap();
        good.check().unwrap();
        let all: Vec<_> =
            good.applications.iter().map(|(name, paths)| (name, paths.iter().count())).collect();
        assert_eq!(all, [("Terminal", 1), ("Text editor", 2)]);
        for (wrong, expected) in [
            ("Desktop = \"/usr/bin/x\"", "cannot be called desktop"),
            ("x = \"xterm\"", "a whole path"),
            ("x = []", "got 0"),
            ("\" x\" = \"/a\"", "a name of 1 to"),
            ("\"\" = \"/a\"", "a name of 1 to"),
            ("a = \"/x\"\nb = \"/x\"", "give it to one"),
        ] {
            let error = read(wrong).unwrap().check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(read("x = 1").unwrap_err().to_string().contains("the path of a program"));
    }
}
