//! Long answers end with the session that asked for them.

use crate::accounts::Caller;
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::{future::Future, time::Duration};
use tokio::sync::broadcast::{self, Receiver, error::RecvError};

/// Revocations that a stream may be behind. One that missed some ends, and its reader has to ask again.
const BACKLOG: usize = 64;

/// Tells streams under way that a session is over.
pub(crate) struct Streams {
    revoked: broadcast::Sender<Revoked>,
}

#[derive(Debug, Clone)]
enum Revoked {
    Session(String),
    Account(String),
    All,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self { revoked: broadcast::Sender::new(BACKLOG) }
    }

    /// Ends all streams of one session.
    pub(crate) fn end_of_session(&self, session: &str) {
        self.tell(Revoked::Session(session.to_owned()));
    }

    /// Ends all streams of one account.
    pub(crate) fn end_of_account(&self, account: &str) {
        self.tell(Revoked::Account(account.to_owned()));
    }

    /// Ends all streams, because the console stops.
    pub(crate) fn end_all(&self) {
        self.tell(Revoked::All);
    }

    fn tell(&self, revoked: Revoked) {
        // Nobody listens when no stream is under way.
        let _ = self.revoked.send(revoked);
    }

    /// The body, cut off when the caller's session is revoked or `longest` has passed.
    pub(crate) fn guard(&self, body: Body, caller: &Caller, longest: Duration) -> Body {
        let over = over(self.revoked.subscribe(), caller.clone(), longest);
        let mut over = Box::pin(over);
        let mut data = body.into_data_stream();
        // An error, and not a plain end: a reader must be able to tell a cut answer from a whole one.
        Body::from_stream(futures_util::stream::poll_fn(move |context| {
            if over.as_mut().poll(context).is_ready() {
                return std::task::Poll::Ready(Some(Err::<Bytes, _>(Cut.into())));
            }
            data.poll_next_unpin(context).map_err(axum::BoxError::from)
        }))
    }
}

/// Why a stream broke off.
#[derive(Debug, thiserror::Error)]
#[error("the session has ended")]
struct Cut;

async fn over(mut revoked: Receiver<Revoked>, caller: Caller, longest: Duration) {
    let until_revoked = async {
        loop {
            match revoked.recv().await {
                Ok(Revoked::Session(session)) if session != caller.session => {}
                Ok(Revoked::Account(account)) if account != caller.account => {}
                Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => break,
            }
        }
    };
    let _ = tokio::time::timeout(longest, until_revoked).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use playhead_model::Role;

    fn caller(session: &str) -> Caller {
        Caller {
            account: "a".into(),
            user: "u".into(),
            role: Role::Full,
            must_change_password: false,
            session_ends: playhead_model::WallTime::from_micros(0),
            session: session.into(),
            permissions: None,
        }
    }

    fn endless() -> Body {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
        Body::from_stream(first.chain(futures_util::stream::pending()))
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_own_session_and_no_other() {
        let streams = Streams::new();
        let mut body = streams.guard(endless(), &caller("s1"), Duration::from_secs(3600));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "x");
        streams.end_of_session("s2");
        streams.end_of_account("b");
        assert!(tokio::time::timeout(Duration::from_millis(50), body.frame()).await.is_err());
        streams.end_of_session("s1");
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_whole_answer_passes_unchanged() {
        let streams = Streams::new();
        let body = streams.guard(Body::from("whole"), &caller("s"), Duration::from_secs(3600));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
        let mut body = streams.guard(endless(), &caller("s"), Duration::from_millis(10));
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err(), "the session's longest life is over");
    }
}
