//! Which applications a recording does not show.

use serde::{Deserialize, Serialize};

/// Longest pattern, in bytes.
const LONGEST: usize = 256;

/// An application whose windows are covered in the recording. All patterns that are given must fit; at least one is.
///
/// A pattern is text with `*` for anything and `?` for one character, and takes no notice of upper and lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// Pattern for the window's class or instance name (`WM_CLASS`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Pattern for the name of the window's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Pattern for the window's title. A mask with one covers the windows with such a title and what belongs to them; without
    /// one, all windows of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is shown instead.
    #[serde(default)]
    pub colour: MaskColour,
}

/// What covers a masked window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskColour {
    /// Black.
    #[default]
    Black,
    /// Middle grey.
    Grey,
    /// White.
    White,
}

/// A mask that covers something in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedMask {
    /// Media time from which on something may be covered by it.
    pub first_us: u64,
    /// The pattern for the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The pattern for the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The pattern for the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is shown instead.
    pub colour: MaskColour,
}

/// Text or settings that make no mask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// Not `key=value`.
    #[error(
        "expected a mask such as class=keepassxc,colour=black, with class, process, title and colour, got '{0}'"
    )]
    Form(String),
    /// No such colour.
    #[error("expected black, grey or white, got '{0}'")]
    Colour(String),
    /// No pattern that says which windows.
    #[error("a mask needs class, process or title: without one it says nothing")]
    Empty,
    /// A pattern that is too long, or empty.
    #[error("a mask's pattern must have 1 to {LONGEST} bytes, got {0}: shorten it, or leave it out")]
    Length(usize),
}

impl Mask {
    /// More masks than this are refused.
    pub const MOST: usize = 64;

    /// Checks that it says something.
    ///
    /// # Errors
    /// No pattern, or one of a length that makes no sense.
    pub fn check(&self) -> Result<(), MaskError> {
        let mut patterns = [&self.class, &self.process, &self.title].into_iter().flatten().peekable();
        if patterns.peek().is_none() {
            return Err(MaskError::Empty);
        }
        match patterns.find(|pattern| !(1..=LONGEST).contains(&pattern.len())) {
            Some(pattern) => Err(MaskError::Length(pattern.len())),
            None => Ok(()),
        }
    }

    /// The note that it was applied.
    pub fn applied(&self, first_us: u64) -> AppliedMask {
        let Self { class, process, title, colour } = self.clone();
        AppliedMask { first_us, class, process, title, colour }
    }
}

impl AppliedMask {
    /// Whether its patterns are of the length that those of a mask have.
    pub fn is_bounded(&self) -> bool {
        let mut patterns = [&self.class, &self.process, &self.title].into_iter().flatten();
        patterns.all(|pattern| pattern.len() <= LONGEST)
    }

    /// Puts it among others, unless it is there; then it counts from the earlier time on.
    pub fn join(self, known: &mut Vec<Self>) {
        let first_us = |mask: &Self| Self { first_us: 0, ..mask.clone() };
        if let Some(other) = known.iter_mut().find(|other| first_us(other) == first_us(&self)) {
            other.first_us = other.first_us.min(self.first_us);
        } else if known.len() < Mask::MOST {
            // An agent has no more; a file may say anything.
            known.push(self);
        }
    }
}

impl std::fmt::Display for AppliedMask {
    /// What it covers, and by what: `class keepassxc with black`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { class, process, title, colour, .. } = self;
        for (name, pattern) in [("class", class), ("process", process), ("title", title)] {
            if let Some(pattern) = pattern {
                write!(f, "{name} {pattern} ")?;
            }
        }
        f.write_str(match colour {
            MaskColour::Black => "with black",
            MaskColour::Grey => "with grey",
            MaskColour::White => "with white",
        })
    }
}

impl std::str::FromStr for MaskColour {
    type Err = MaskError;

    fn from_str(text: &str) -> Result<Self, MaskError> {
        match text {
            "black" => Ok(Self::Black),
            "grey" => Ok(Self::Grey),
            "white" => Ok(Self::White),
            _ => Err(MaskError::Colour(text.to_owned())),
        }
    }
}

impl std::str::FromStr for Mask {
    type Err = MaskError;

    /// From the form of the command line: `class=keepassxc,colour=black`. A comma in a pattern is written as `?`.
    fn from_str(text: &str) -> Result<Self, MaskError> {
        let form = || MaskError::Form(text.to_owned());
        let mut mask = Self { class: None, process: None, title: None, colour: MaskColour::default() };
        let mut seen = Vec::new();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(form)?;
            let key = key.trim();
            if seen.contains(&key) {
                return Err(form());
            }
            seen.push(key);
            match key {
                "class" => mask.class = Some(value.to_owned()),
                "process" => mask.process = Some(value.to_owned()),
                "title" => mask.title = Some(value.to_owned()),
                "colour" => mask.colour = value.trim().parse()?,
                _ => return Err(form()),
            }
        }
        mask.check()?;
        Ok(mask)
    }
}

/// Whether a text fits a pattern: `*` stands for anything, `?` for one character; upper and lower case are the same.
pub fn fits(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().flat_map(char::to_lowercase).collect();
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let (mut at, mut place) = (0, 0);
    // Where the last `*` stands, and the first character that it does not take yet.
    let mut star = None;
    while place < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[place] => (at, place) = (at + 1, place + 1),
            _ => match star {
                Some((from, taken)) => {
                    star = Some((from, taken + 1));
                    (at, place) = (from + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_texts_in_any_case() {
        for (pattern, text, expected) in [
            ("keepassxc", "KeePassXC", true),
            ("keepassxc", "keepassxc2", false),
            ("*bank*", "My BANK - Browser", true),
            ("*bank", "bank account", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*", "", true),
            ("", "", true),
            ("?", "", false),
            ("ÄRGER*", "ärgerlich", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!fits(&"*a".repeat(100), &"a".repeat(99).replace("aa", "ab")));
    }

    #[test]
    fn a_mask_that_is_told_again_counts_once() {
        let mask: Mask = "class=a,title=b,colour=white".parse().unwrap();
        let mut known = vec![mask.applied(9)];
        mask.applied(5).join(&mut known);
        mask.applied(7).join(&mut known);
        "class=a".parse::<Mask>().unwrap().applied(8).join(&mut known);
        assert_eq!(known.iter().map(|mask| mask.first_us).collect::<Vec<_>>(), [5, 8]);
        assert_eq!(known[0].to_string(), "class a title b with white");
    }

    #[test]
    fn a_mask_is_read_from_the_command_line_and_nonsense_is_refused() {
        let mask: Mask = "class=keepassxc,colour=grey".parse().unwrap();
        assert_eq!((mask.class.as_deref(), mask.colour), (Some("keepassxc"), MaskColour::Grey));
        let mask: Mask = "title=*Bank = mine*,process=firefox".parse().unwrap();
        assert_eq!((mask.title.as_deref(), mask.colour), (Some("*Bank = mine*"), MaskColour::Black));
        for (text, expected) in [
            ("keepassxc", "class=keepassxc"),
            ("class=a,class=b", "class=keepassxc"),
            ("klass=a", "class=keepassxc"),
            ("class=a,colour=red", "got 'red'"),
            ("colour=black", "needs class"),
            ("class=", "got 0"),
            ("", "class=keepassxc"),
        ] {
            let error = text.parse::<Mask>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(format!("class={}", "x".repeat(257)).parse::<Mask>().is_err());
    }
}
