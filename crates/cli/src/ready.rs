//! What a program says on standard output when it is ready.

use playhead_console::FirstSignIn;
use serde::Serialize;
use std::{
    io::{self, Write as _},
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
    /// Whether the password must be changed at the first sign-in.
    #[serde(skip)]
    pub(crate) must_change: bool,
}

impl<'a> Ready<'a> {
    /// With what may be told of the first administrator.
    pub(crate) fn new(
        url: &'a str,
        data: &'a Path,
        first: Option<&'a FirstSignIn>,
        must_change: bool,
    ) -> Self {
        let (user, password) = first.map(|first| (first.user.as_str(), first.password.as_str())).unzip();
        Self { url, user, password, data, agents: None, must_change }
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
            let hint = if self.must_change {
                "\n             This is shown only now; choose a password of your own at the first sign-in."
            } else {
                ""
            };
            lines.push(format!("  Sign in    {user}  {password}{hint}"));
        }
        lines.extend(self.agents.map(|agents| format!("  Agents     {agents}")));
        lines.push(format!("  Data       {}\n\nCtrl-C stops it.", self.data.display()));
        lines.join("\n")
    }
}
