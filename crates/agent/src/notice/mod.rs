//! Telling a session's user that the session is recorded, or asking for consent, on the user's own screen.
//!
//! [`show`] belongs into a process that runs as the user: whoever owns the X server owns the window too. A notice is a window that
//! stays until its button is pressed. Consent covers all monitors and holds keyboard and pointer until the user has decided. Both
//! come back to the top when something covers them, follow the screen's size, and end with an answer that says what happened; what
//! happens then is for the caller to decide.

mod canvas;
mod card;
mod connect;
mod keys;
mod labels;
mod plain;
mod run;
#[cfg(test)]
mod tests;
mod text;
mod window;

pub(crate) use connect::connect;
pub(crate) use text::has_fonts;

use card::Choice;
use serde::{Deserialize, Serialize};
use std::{os::fd::BorrowedFd, path::PathBuf};
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};

/// Most characters of a title.
pub const MOST_TITLE: usize = 200;
/// Most characters of a text.
pub const MOST_TEXT: usize = 4_000;

/// What to show, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    /// The X display, for example `:10`.
    pub display: String,
    /// The file with its cookie; without it where the user's programs find it.
    pub xauthority: Option<PathBuf>,
    /// A notice, or a question.
    pub kind: Kind,
    /// BCP 47 tag of the language: for the words on the buttons, and how characters look that several languages share.
    pub language: String,
    /// Heading: 1 to [`MOST_TITLE`] characters.
    pub title: String,
    /// What is said, in paragraphs: at most [`MOST_TEXT`] characters.
    pub text: String,
}

/// A notice, or a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A window with one button.
    #[default]
    Notice,
    /// Everything is covered until the user accepts or declines.
    Consent,
}

/// What happened to a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Told {
    /// It can be seen.
    Shown,
    /// Consent: keyboard and pointer are held, nothing beneath can be reached.
    Held,
    /// The user has pressed the button of a notice.
    Dismissed,
    /// The user consents.
    Accepted,
    /// The user does not consent.
    Denied,
    /// Somebody or something took the window away. Show it again.
    ClosedByForce {
        /// By which means.
        how: Force,
    },
    /// The display ended.
    DisplayGone,
    /// The caller does not want it any more.
    Withdrawn,
}

impl Told {
    /// Whether it was the last thing to be told.
    pub fn is_end(&self) -> bool {
        !matches!(self, Self::Shown | Self::Held)
    }
}

/// How a window was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Force {
    /// Through the window manager.
    Closed,
    /// Another client has destroyed the window.
    Destroyed,
    /// The connection to the display was cut, as `xkill` does, while the display is still there.
    Killed,
}

/// Why a notice cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// A request that cannot be.
    #[error("{0}")]
    Request(String),
    /// The display is not there, or does not let us in.
    #[error("cannot show a notice on display {display}: {reason}")]
    Display {
        /// The display.
        display: String,
        /// Why.
        reason: String,
    },
    /// The display refused something.
    #[error("the display refused to show a notice: {0}")]
    Refused(String),
    /// The display shows its pixels in a way that is not known here.
    #[error("cannot show a notice on a display of depth {depth}: use a true-colour depth of 16, 24 or 32")]
    Depth {
        /// Its depth.
        depth: u8,
    },
    /// The system cannot wait for events.
    #[error("cannot wait for the display: {0}")]
    Wait(#[from] std::io::Error),
}

/// What ends showing before there is an answer.
enum Stopped {
    /// The connection broke.
    Gone,
    Failed(NoticeError),
}

impl From<ConnectionError> for Stopped {
    fn from(_: ConnectionError) -> Self {
        Self::Gone
    }
}

impl From<ReplyError> for Stopped {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => error.into(),
            ReplyError::X11Error(error) => Self::Failed(NoticeError::Refused(format!("{error:?}"))),
        }
    }
}

impl From<ReplyOrIdError> for Stopped {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(error) => error.into(),
            ReplyOrIdError::X11Error(error) => ReplyError::X11Error(error).into(),
            ReplyOrIdError::IdsExhausted => Self::Failed(NoticeError::Refused("it has no ids left".into())),
        }
    }
}

impl From<NoticeError> for Stopped {
    fn from(error: NoticeError) -> Self {
        Self::Failed(error)
    }
}

impl Request {
    /// Checks it, and takes characters out of it that are not for reading.
    ///
    /// # Errors
    /// What is too long, or missing.
    pub fn checked(mut self) -> Result<Self, NoticeError> {
        let clean = |text: &str| -> String {
            text.chars().filter(|&c| c == '\n' || c == '\t' || !c.is_control()).collect()
        };
        (self.title, self.text) = (clean(&self.title).replace('\n', " "), clean(&self.text));
        let (title, text) = (self.title.chars().count(), self.text.chars().count());
        let wrong = |reason: String| Err(NoticeError::Request(reason));
        if self.display.is_empty() {
            return wrong("expected the display of the notice, such as :10, got none".into());
        }
        if title == 0 || title > MOST_TITLE {
            return wrong(format!("expected a title of 1 to {MOST_TITLE} characters, got {title}"));
        }
        if text > MOST_TEXT {
            return wrong(format!("expected a text of at most {MOST_TEXT} characters, got {text}"));
        }
        if self.language.len() > 64 {
            return wrong(format!(
                "expected a language tag such as de-AT, got {} bytes",
                self.language.len()
            ));
        }
        Ok(self)
    }

    fn label(&self, choice: Choice) -> &'static str {
        let labels = labels::for_language(&self.language);
        match choice {
            Choice::Dismiss => labels.dismiss,
            Choice::Accept => labels.accept,
            Choice::Deny => labels.deny,
        }
    }
}

/// Shows a notice until it has an answer, the display is gone, or `stop` can be read or is closed by its other end. Blocks. `tell`
/// hears that it can be seen, and that keyboard and pointer are held; the end is returned.
///
/// # Errors
/// The request cannot be, or the display is not there, does not let us in, or cannot show it.
pub fn show(
    request: Request,
    stop: BorrowedFd<'_>,
    tell: &mut dyn FnMut(&Told),
) -> Result<Told, NoticeError> {
    let request = request.checked()?;
    let connected = connect(&request.display, request.xauthority.as_deref())?;
    match run::run(&connected, &request, stop, tell) {
        Ok(told) => Ok(told),
        Err(Stopped::Failed(error)) => Err(error),
        // Our connection is cut: either by force, or the whole display is gone.
        Err(Stopped::Gone) => match connect(&request.display, request.xauthority.as_deref()) {
            Ok(_) => Ok(Told::ClosedByForce { how: Force::Killed }),
            Err(_) => Ok(Told::DisplayGone),
        },
    }
}
