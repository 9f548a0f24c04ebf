//! Telling a session's user that it is recorded, and what comes of it.

use super::{
    Desk,
    helper::{Heard, Helper},
    terminate,
};
use crate::{
    control::{Control, Plan},
    discover::{Seen, process},
    helper::{Order, Word},
    notice::{self, Kind, Told},
};
use playhead_format::{EventMessage, event::NoticeEvent};
use playhead_model::{Notice, SessionId};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What could not be shown is tried again after this, and ever more rarely.
const FIRST: Duration = Duration::from_millis(200);
const RARELY: Duration = Duration::from_secs(10);

/// Where it stands with telling a session's user.
#[derive(Default)]
pub(super) struct Telling {
    /// What the user is to be told, as long as that is so.
    wanted: Option<Kind>,
    /// The user knows, or has accepted.
    pub(super) is_told: bool,
    helper: Option<Helper>,
    /// When to try again.
    again: Option<Instant>,
    pause: Option<Duration>,
    /// The failure that was told last.
    failed: Option<String>,
}

/// What is needed to tell somebody something.
pub(super) struct Means<'a> {
    pub(super) desk: &'a Arc<Desk>,
    pub(super) session: SessionId,
    pub(super) seen: &'a Seen,
    pub(super) notices: &'a [Notice],
    /// Where events are recorded.
    pub(super) control: Option<&'a Arc<Control>>,
    /// For the next helper.
    pub(super) number: &'a mut u64,
}

impl Means<'_> {
    fn record(&self, event: EventMessage) {
        if let Some(control) = self.control {
            control.wish(|wishes| wishes.add_event(event));
        }
    }

    fn note(&self, what: NoticeEvent) {
        tracing::info!(session = %self.session, ?what, "notice");
        self.record(EventMessage::Notice { what });
    }
}

impl Telling {
    /// A session that goes on, of which this is known from an earlier run.
    pub(super) fn known(is_told: bool) -> Self {
        Self { is_told, ..Self::default() }
    }

    /// Another plan is followed. Where its predecessor told the user already, nothing is told again.
    pub(super) fn follow(&mut self, before: Option<&Plan>, plan: &Plan) {
        let told_before = before.is_some_and(|before| before.action.notifies() && before.action.records());
        let kind = if plan.options.consent { Kind::Consent } else { Kind::Notice };
        if !plan.action.notifies() {
            (self.wanted, self.is_told) = (None, false);
            self.helper = None;
            return;
        }
        let asks_more = before.is_some_and(|before| !before.options.consent) && kind == Kind::Consent;
        if !told_before || asks_more {
            self.is_told &= before.is_none();
        }
        let wanted = Some(kind).filter(|_| !self.is_told);
        if wanted != self.wanted {
            (self.wanted, self.again) = (wanted, wanted.map(|_| Instant::now()));
        }
    }

    /// Shows what is to be shown now.
    pub(super) fn settle(&mut self, means: &mut Means<'_>) {
        let Some(kind) = self.wanted else { return };
        if self.again.is_none_or(|again| again > Instant::now()) {
            return;
        }
        self.again = None;
        if let Err(error) = self.show(kind, means) {
            self.fail(error.to_string(), means);
        }
    }

    fn show(&mut self, kind: Kind, means: &mut Means<'_>) -> std::io::Result<()> {
        let helper = match &self.helper {
            Some(helper) => helper,
            None => {
                *means.number += 1;
                let helper = Helper::start(means.desk, means.session, *means.number, means.seen.user)?;
                self.helper.insert(helper)
            }
        };
        let language = language(means.seen);
        let text = text(means.notices, &language);
        helper.order(&Order::Show(notice::Request {
            display: means.seen.display.clone(),
            xauthority: means.seen.xauthority.clone(),
            kind,
            language: text.language,
            title: text.title,
            text: if kind == Kind::Consent { text.consent } else { text.text },
        }))
    }

    /// Takes in what is heard of the helper.
    pub(super) fn hear(&mut self, number: u64, heard: Heard, means: &Means<'_>) {
        if self.helper.as_ref().is_none_or(|helper| helper.number != number) {
            return;
        }
        let Some(kind) = self.wanted else { return };
        match heard {
            Heard::Word(Word::Told(told)) => self.told(kind, &told, means),
            Heard::Word(Word::Failed(reason)) => self.fail(reason, means),
            Heard::Word(Word::Alive) => {}
            Heard::Ended(signal) => {
                tracing::warn!(session = %means.session, signal, "the session's helper has ended: starting it again");
                means.record(EventMessage::HelperEnded { signal });
                self.helper = None;
                self.try_again();
            }
        }
    }

    fn told(&mut self, kind: Kind, told: &Told, means: &Means<'_>) {
        match told {
            Told::Shown => {
                (self.pause, self.failed) = (None, None);
                means.note(if kind == Kind::Consent { NoticeEvent::Asked } else { NoticeEvent::Shown });
            }
            Told::Held | Told::Withdrawn => {}
            // An answer that was not asked for is no answer.
            Told::Dismissed if kind == Kind::Notice => self.done(NoticeEvent::Dismissed, means),
            Told::Accepted if kind == Kind::Consent => self.done(NoticeEvent::Accepted, means),
            Told::Denied if kind == Kind::Consent => {
                self.done(NoticeEvent::Denied, means);
                self.is_told = false;
                terminate::end(means.session, means.seen);
            }
            Told::ClosedByForce { .. } => {
                means.note(NoticeEvent::Closed);
                self.try_again();
            }
            Told::DisplayGone | Told::Dismissed | Told::Accepted | Told::Denied => self.try_again(),
        }
    }

    fn done(&mut self, what: NoticeEvent, means: &Means<'_>) {
        means.note(what);
        (self.wanted, self.is_told, self.helper, self.again) = (None, true, None, None);
    }

    fn fail(&mut self, reason: String, means: &Means<'_>) {
        if self.failed.as_ref() != Some(&reason) {
            tracing::error!(session = %means.session, error = reason, "the user cannot be told; trying again until it works");
            means.record(EventMessage::Notice { what: NoticeEvent::Failed });
            self.failed = Some(reason);
        }
        self.try_again();
    }

    fn try_again(&mut self) {
        let pause = self.pause.map_or(FIRST, |pause| (pause * 2).min(RARELY));
        self.pause = Some(pause);
        self.again = Some(Instant::now() + pause);
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.again.filter(|_| self.wanted.is_some())
    }
}

/// What users are told where nobody has said anything else.
fn default_text() -> Notice {
    Notice {
        language: "en".into(),
        title: "This session is recorded".into(),
        text: "Your activity in this session is being recorded: what its screen shows, and what happens in it.\n\nIf you do not agree, \
               close your programs and log off."
            .into(),
        consent: "Your activity in this session is to be recorded: what its screen shows, and what happens in it.\n\nYou can go on if \
                  you accept this. If you do not, the session ends."
            .into(),
    }
}

/// The text in the language that fits, otherwise the first of all.
fn text(notices: &[Notice], language: &str) -> Notice {
    let folded = |tag: &str| tag.replace('_', "-").to_ascii_lowercase();
    let wanted = folded(language);
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_owned();
    let whole = notices.iter().find(|notice| folded(&notice.language) == wanted);
    let part = || notices.iter().find(|notice| primary(&folded(&notice.language)) == primary(&wanted));
    whole.or_else(part).or_else(|| notices.first()).cloned().unwrap_or_else(default_text)
}

/// The language of a session's programs, as a BCP 47 tag; empty where they do not say.
fn language(seen: &Seen) -> String {
    let screen = format!("{}.0", seen.display);
    let is_there = |pid: &u32| {
        process::variable(*pid, "DISPLAY").is_some_and(|name| name == seen.display || name == screen)
    };
    let of =
        |pid: u32| ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| process::variable(pid, name));
    let said = process::all().filter(is_there).find_map(of).or_else(|| {
        let text = std::fs::read_to_string("/etc/default/locale").ok()?;
        Some(text.lines().find_map(|line| line.strip_prefix("LANG="))?.trim_matches('"').to_owned())
    });
    tag(&said.unwrap_or_default())
}

/// `de_AT.UTF-8@euro` as `de-AT`.
fn tag(locale: &str) -> String {
    let name = locale.split(['.', '@']).next().unwrap_or_default();
    let is_tag = (2..=16).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_tag && name != "POSIX" { name.replace('_', "-") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_model::{
        Decided,
        policy::{Action, RuleOptions},
    };

    fn plan(action: Action, consent: bool) -> Plan {
        let options = RuleOptions { consent, ..RuleOptions::default() };
        Plan { number: 0, action, options, decided: Decided::NoPolicy }
    }

    #[test]
    fn the_text_is_in_the_sessions_language_or_the_first_of_all() {
        let notice = |language: &str| Notice { language: language.into(), ..default_text() };
        let all = [notice("de"), notice("pt-BR"), notice("pt")];
        for (locale, expected) in [
            ("pt_BR.UTF-8", "pt-BR"),
            ("pt_PT", "pt-BR"),
            ("de_AT.UTF-8@euro", "de"),
            ("fr_FR", "de"),
            ("C.UTF-8", "de"),
        ] {
            assert_eq!(text(&all, &tag(locale)).language, expected, "{locale}");
        }
        assert_eq!(text(&[], "de").language, "en");
        assert_eq!((tag("POSIX"), tag("../../etc"), tag("")), (String::new(), String::new(), String::new()));
    }

    #[test]
    fn users_are_told_once_and_again_where_more_is_asked() {
        use Action::*;
        let mut telling = Telling::default();
        telling.follow(None, &plan(Record, false));
        assert_eq!(telling.wanted, None);
        telling.follow(Some(&plan(Record, false)), &plan(RecordWithNotice, false));
        assert_eq!(telling.wanted, Some(Kind::Notice));
        (telling.wanted, telling.is_told) = (None, true);
        telling.follow(Some(&plan(RecordWithNotice, false)), &plan(EventsWithNotice, false));
        assert_eq!(telling.wanted, None, "told already");
        telling.follow(Some(&plan(EventsWithNotice, false)), &plan(EventsWithNotice, true));
        assert_eq!(telling.wanted, Some(Kind::Consent));
        telling.follow(Some(&plan(EventsWithNotice, true)), &plan(Disable, false));
        assert_eq!(telling.wanted, None);
        // An agent that was started again.
        let mut known = Telling::known(true);
        known.follow(None, &plan(RecordWithNotice, true));
        assert_eq!(known.wanted, None);
        let mut unknown = Telling::known(false);
        unknown.follow(None, &plan(RecordWithNotice, true));
        assert_eq!(unknown.wanted, Some(Kind::Consent));
    }
}
