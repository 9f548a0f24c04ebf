//! What a program says on standard output when it is ready.

use playhead_console::{FirstSignIn, Password};
use serde::Serialize;
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

/// A console that is ready.
#[derive(Debug, Serialize)]
pub(crate) struct Ready<'a> {
    /// Address for browsers.
    pub(crate) url: &'a str,
    /// Name of the first administrator, when the password may be told.
    pub(crate) user: Option<&'a str>,
    /// The password.
    pub(crate) password: Option<&'a str>,
    /// Folder with the data.
    pub(crate) data: &'a Path,
    /// Address for agents, when the program takes recordings in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agents: Option<&'a str>,
    /// The file that the password is kept in, if it is.
    #[serde(skip)]
    pub(crate) file: Option<&'a Path>,
    /// What becomes of the password.
    #[serde(skip)]
    pub(crate) handling: Password,
}

/// How the first administrator's password is handled: scripts get it every time, people once, and logs never.
pub(crate) fn handling(json: bool) -> Password {
    match (json, io::stdout().is_terminal()) {
        (true, _) => Password::Kept,
        (false, true) => Password::Told,
        (false, false) => Password::Filed,
    }
}

impl<'a> Ready<'a> {
    /// With what may be told of the first administrator.
    pub(crate) fn new(
        url: &'a str,
        data: &'a Path,
        first: Option<&'a FirstSignIn>,
        handling: Password,
    ) -> Self {
        let (user, password) = first.map(|first| (first.user.as_str(), first.password.as_str())).unzip();
        let file = first.and_then(|first| first.file.as_deref());
        Self { url, user, password, data, agents: None, file, handling }
    }

    /// Says it: as one line of JSON for scripts, or for people.
    ///
    /// # Errors
    /// Standard output is closed.
    pub(crate) fn say(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
        } else {
            writeln!(out, "{}", self.for_people())?;
        }
        out.flush()
    }

    fn for_people(&self) -> String {
        let mut lines = vec![format!("Playhead is ready.\n\n  Console    {}", self.url)];
        if let (Some(user), Some(password)) = (self.user, self.password) {
            let own = "choose a password of your own at the first sign-in";
            lines.push(match (self.handling, self.file) {
                (Password::Kept, _) => format!("  Sign in    {user}  {password}"),
                (_, Some(file)) => {
                    format!("  Sign in    {user}, with the password in {}; {own}", file.display())
                }
                (_, None) => {
                    format!("  Sign in    {user}  {password}\n             This is shown only now; {own}.")
                }
            });
        }
        lines.extend(self.agents.map(|agents| format!("  Agents     {agents}")));
        lines.push(format!("  Data       {}\n\nCtrl-C stops it.", self.data.display()));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(handling: Password, file: Option<&str>) -> String {
        let first =
            FirstSignIn { user: "admin".into(), password: "s3cret".into(), file: file.map(Into::into) };
        Ready::new("http://x", Path::new("/d"), Some(&first), handling).for_people()
    }

    #[test]
    fn a_password_that_is_kept_in_a_file_is_not_told() {
        assert!(said(Password::Told, None).contains("s3cret"));
        assert!(said(Password::Kept, Some("/d/f")).contains("s3cret"));
        let filed = said(Password::Filed, Some("/d/f"));
        assert!(filed.contains("in /d/f") && !filed.contains("s3cret"), "{filed}");
        let later = said(Password::Told, Some("/d/f"));
        assert!(!later.contains("s3cret"), "{later}");
    }
}
