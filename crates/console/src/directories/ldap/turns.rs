//! Several servers of one directory: the first that answers is asked, and one that breaks off is left for the next.

use super::{Ldap, LdapError, client::Client};
use std::{
    collections::VecDeque,
    sync::PoisonError,
    time::{Duration, Instant},
};

/// For how long a server is asked first because those before it did not answer.
const PREFERRED: Duration = Duration::from_secs(60);

/// Asks a question, which is a method that takes a connection, at the first server with which it gets an answer.
macro_rules! asking {
    ($ldap:expr, |$client:ident| $question:expr) => {{
        let mut turns = $ldap.turns();
        loop {
            let mut bound = turns.bound().await?;
            let $client = &mut bound;
            match $question.await {
                Err(error) => turns.failed(error)?,
                Ok(answer) => {
                    bound.close().await;
                    break Ok(answer);
                }
            }
        }
    }};
}
pub(super) use asking;

/// The servers that were not tried yet.
pub(super) struct Turns<'a> {
    ldap: &'a Ldap,
    left: VecDeque<usize>,
    last: Option<LdapError>,
}

impl Ldap {
    /// All servers, the one that answered lately before others, otherwise in the order of the settings.
    pub(super) fn turns(&self) -> Turns<'_> {
        let mut left: VecDeque<usize> = (0..self.servers.len()).collect();
        let preferred = *self.preferred.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((first, until)) = preferred
            && Instant::now() < until
        {
            left.retain(|at| *at != first);
            left.push_front(first);
        }
        Turns { ldap: self, left, last: None }
    }

    fn prefer(&self, server: Option<usize>) {
        let until = Instant::now() + PREFERRED;
        *self.preferred.lock().unwrap_or_else(PoisonError::into_inner) = server.map(|at| (at, until));
    }
}

impl Turns<'_> {
    /// A connection to the next server that takes the console's account.
    ///
    /// # Errors
    /// The last server's, or a refusal: the others will refuse as well, and the account might be locked for it.
    pub(super) async fn bound(&mut self) -> Result<Client, LdapError> {
        loop {
            let mut client = self.reached().await?;
            match self.ldap.bind(&mut client).await {
                Ok(()) => return Ok(client),
                Err(error) => self.failed(error)?,
            }
        }
    }

    /// A connection as nobody to the next server that is there.
    ///
    /// # Errors
    /// The last server's.
    pub(super) async fn reached(&mut self) -> Result<Client, LdapError> {
        while let Some((at, server)) =
            self.left.pop_front().and_then(|at| Some((at, self.ldap.servers.get(at)?)))
        {
            match self.ldap.reach(server).await {
                Ok(client) => {
                    if self.last.is_some() {
                        self.ldap.prefer(Some(at));
                    }
                    return Ok(client);
                }
                Err(error) => self.failed(error)?,
            }
        }
        self.ldap.prefer(None);
        Err(self.last.take().unwrap_or_else(|| LdapError::Settings("The directory has no servers.".into())))
    }

    /// Notes why a server did not do.
    ///
    /// # Errors
    /// It has nothing to do with the server: the others need not be asked.
    pub(super) fn failed(&mut self, error: LdapError) -> Result<(), LdapError> {
        if !error.is_the_servers() {
            return Err(error);
        }
        tracing::debug!(%error, "directory server not usable");
        self.last = Some(error);
        Ok(())
    }
}
