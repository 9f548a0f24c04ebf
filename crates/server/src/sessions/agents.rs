//! The connections of agents, and what they said that is not written down yet.
//!
//! What one agent said is kept by its sessions, the newest only, so that a database that is away costs a bounded amount of memory and
//! holds up no recording.

use crate::{
    policy::Document,
    recordings::{Outgoing, lock},
};
use playhead_db::site::{AgentNews, SessionNews};
use playhead_model::{AgentId, SessionId, SessionInfo};
use playhead_protocol::{
    intake::MAX_SESSIONS,
    message::{CommandDone, PolicyTaken},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

/// Sessions of one agent that can wait to be written down: all there are, and as many that have ended.
const MOST_WAITING: usize = MAX_SESSIONS * 2;
/// Agents of which something is written down in one transaction.
const BATCH: usize = 200;
/// Most characters that are kept of why a policy is not gone by.
const MOST_TEXT: usize = 1_000;

/// An agent told of more sessions than a host has.
#[derive(Debug, thiserror::Error)]
#[error("expected news of at most {MOST_WAITING} sessions at a time")]
pub(crate) struct TooManySessions;

/// The agents that are connected here.
#[derive(Default)]
pub(crate) struct Agents {
    last_link: AtomicU64,
    links: Mutex<HashMap<AgentId, Vec<Link>>>,
    /// Commands that wait for an answer.
    commands: Mutex<HashMap<Uuid, Waiting>>,
    news: Mutex<News>,
    /// There is something to write down.
    pub(super) wanted: Notify,
    /// Held while it is written down: what is newer is written later.
    pub(super) writing: tokio::sync::Mutex<()>,
}

/// One connection of an agent.
struct Link {
    number: u64,
    outgoing: Arc<Outgoing>,
}

struct Waiting {
    agent: AgentId,
    link: u64,
    done: oneshot::Sender<CommandDone>,
}

#[derive(Default)]
struct News {
    sessions: HashMap<AgentId, Heard>,
    agents: HashMap<AgentId, AgentNews>,
}

/// What an agent said of its sessions.
#[derive(Default)]
struct Heard {
    all: Option<HashSet<SessionId>>,
    changed: HashMap<SessionId, SessionInfo>,
}

/// What is written down together.
pub(super) struct Batch {
    pub(super) sessions: Vec<(AgentId, SessionNews)>,
    pub(super) agents: Vec<(AgentId, AgentNews)>,
}

impl Agents {
    /// An agent has greeted. Gives the connection's number.
    pub(crate) fn connect(&self, agent: AgentId, outgoing: &Arc<Outgoing>) -> u64 {
        let number = self.last_link.fetch_add(1, Ordering::Relaxed);
        let link = Link { number, outgoing: Arc::clone(outgoing) };
        lock(&self.links).entry(agent).or_default().push(link);
        lock(&self.news).agents.entry(agent).or_default().connected = Some(true);
        self.wanted.notify_one();
        number
    }

    /// A connection has ended. Nobody waits for its answers any more.
    pub(crate) fn disconnect(&self, agent: AgentId, number: u64) {
        let mut links = lock(&self.links);
        let Some(of_agent) = links.get_mut(&agent) else { return };
        of_agent.retain(|link| link.number != number);
        let is_gone = of_agent.is_empty();
        if is_gone {
            links.remove(&agent);
            lock(&self.news).agents.entry(agent).or_default().connected = Some(false);
        }
        drop(links);
        lock(&self.commands).retain(|_, waiting| waiting.link != number);
        self.wanted.notify_one();
    }

    /// Whether the agent is connected here.
    pub(crate) fn has(&self, agent: AgentId) -> bool {
        lock(&self.links).contains_key(&agent)
    }

    /// Tells all of them of a policy. How many there are.
    pub(crate) fn tell(&self, document: &Arc<Document>) -> usize {
        let links = lock(&self.links);
        links.values().flatten().for_each(|link| link.outgoing.tell(Arc::clone(document)));
        links.len()
    }

    /// An agent says which sessions there are.
    pub(crate) fn all_sessions(&self, agent: AgentId, all: Vec<SessionId>) {
        let mut news = lock(&self.news);
        let heard = news.sessions.entry(agent).or_default();
        let all = HashSet::from_iter(all);
        heard.changed.retain(|id, _| all.contains(id));
        heard.all = Some(all);
        drop(news);
        self.wanted.notify_one();
    }

    /// An agent tells of a session.
    ///
    /// # Errors
    /// It has told of too many.
    pub(crate) fn session(&self, agent: AgentId, info: SessionInfo) -> Result<(), TooManySessions> {
        let mut news = lock(&self.news);
        let heard = news.sessions.entry(agent).or_default();
        if heard.changed.len() >= MOST_WAITING && !heard.changed.contains_key(&info.id) {
            return Err(TooManySessions);
        }
        heard.changed.insert(info.id, info);
        drop(news);
        self.wanted.notify_one();
        Ok(())
    }

    /// An agent goes by a policy, or says why not.
    pub(crate) fn policy_taken(&self, agent: AgentId, taken: PolicyTaken) {
        let PolicyTaken { revision, error } = taken;
        // It is written down with what other agents say: what cannot be kept must not come with it.
        let error: String = error.chars().filter(|char| !char.is_control()).take(MOST_TEXT).collect();
        let error = Some(error).filter(|text| !text.is_empty());
        if let Some(error) = &error {
            tracing::warn!(%agent, revision, error, "an agent cannot go by the recording policy");
        }
        lock(&self.news).agents.entry(agent).or_default().policy = Some((revision, error));
        self.wanted.notify_one();
    }

    /// Sends a command to the agent; what comes of it comes on the channel, or nothing where its connection ends. `None` when it is not
    /// connected here.
    pub(super) fn send(
        &self,
        agent: AgentId,
        id: Uuid,
        message: playhead_protocol::message::Command,
    ) -> Option<oneshot::Receiver<CommandDone>> {
        let links = lock(&self.links);
        // The newest: an earlier one has most likely died without a word.
        let link = links.get(&agent)?.last()?;
        let (done, answer) = oneshot::channel();
        lock(&self.commands).insert(id, Waiting { agent, link: link.number, done });
        link.outgoing.send(message);
        Some(answer)
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&self, id: Uuid) {
        lock(&self.commands).remove(&id);
    }

    /// An agent says what came of a command.
    pub(crate) fn command_done(&self, agent: AgentId, done: CommandDone) {
        let Ok(id) = Uuid::from_slice(&done.command) else { return };
        let mut commands = lock(&self.commands);
        if commands.get(&id).is_some_and(|waiting| waiting.agent == agent)
            && let Some(waiting) = commands.remove(&id)
        {
            // Whoever waited may have gone.
            let _ = waiting.done.send(done);
        }
    }

    /// Takes what is to be written down, some of it where it is much.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut news = lock(&self.news);
        let some: Vec<_> = news.sessions.keys().take(BATCH).copied().collect();
        let sessions = some.into_iter().filter_map(|agent| {
            let Heard { all, changed } = news.sessions.remove(&agent)?;
            Some((agent, SessionNews { all, changed: changed.into_values().collect() }))
        });
        let sessions: Vec<_> = sessions.collect();
        let some: Vec<_> = news.agents.keys().take(BATCH).copied().collect();
        let agents: Vec<_> =
            some.into_iter().filter_map(|agent| Some((agent, news.agents.remove(&agent)?))).collect();
        (!sessions.is_empty() || !agents.is_empty()).then_some(Batch { sessions, agents })
    }

    /// Gives back what could not be written down. What was said since then is newer.
    pub(super) fn give_back(&self, batch: Batch) {
        let mut news = lock(&self.news);
        for (agent, SessionNews { all, changed }) in batch.sessions {
            let heard = news.sessions.entry(agent).or_default();
            if heard.all.is_none() {
                heard.all = all;
                for info in changed {
                    heard.changed.entry(info.id).or_insert(info);
                }
            }
        }
        for (agent, before) in batch.agents {
            let now = news.agents.entry(agent).or_default();
            now.connected = now.connected.or(before.connected);
            now.policy = now.policy.take().or(before.policy);
        }
    }
}
