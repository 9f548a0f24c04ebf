//! What crosses a network between Playhead's own programs, as messages and the rules for their order.
//!
//! The crate is pure: bytes come in, messages go out. `docs/protocol.md` tells the same in prose.
//!
//! * [`frame`]: length-prefixed frames on a byte stream;
//! * [`message`]: what an agent and a recording server say to each other;
//! * [`intake`]: the server's view of one agent connection, which message may come when;
//! * [`outbox`]: the agent's view of one recording on its way, what to send next and what is durable;
//! * [`join`]: join tokens and the answers to them;
//! * [`login`]: how an enrolled program proves who it is when it connects.

pub mod frame;
pub mod intake;
pub mod join;
pub mod login;
pub mod message;
pub mod outbox;

/// Version of the agent's protocol, said in both greetings. Peers of the same version understand each other.
pub const VERSION: u32 = 1;

/// Where an agent connects: an HTTP/1.1 upgrade to [`AGENT_UPGRADE`].
pub const AGENT_CONNECT_PATH: &str = "/agent/v1/connect";
/// Name in the `Upgrade` header of an agent's connection.
pub const AGENT_UPGRADE: &str = "playhead-agent/1";
/// Where an agent with a join token enrols.
pub const AGENT_ENROL_PATH: &str = "/agent/v1/enrol";

/// Where a recording server connects to its console: an HTTP/1.1 upgrade to [`TUNNEL_UPGRADE`], after which the console
/// speaks HTTP/2 to the server over the same connection.
pub const TUNNEL_CONNECT_PATH: &str = "/tunnel/v1/connect";
/// Name in the `Upgrade` header of a tunnel.
pub const TUNNEL_UPGRADE: &str = "playhead-tunnel/1";
/// Where a recording server with a join token joins.
pub const TUNNEL_JOIN_PATH: &str = "/tunnel/v1/join";

/// Where a server of a site connects to another one: an HTTP/1.1 upgrade to [`PEER_UPGRADE`], after which the one that has dialled
/// speaks HTTP/2.
pub const PEER_CONNECT_PATH: &str = "/peer/v1/connect";
/// Name in the `Upgrade` header of a connection between servers.
pub const PEER_UPGRADE: &str = "playhead-peer/1";

/// Where a program that is about to connect asks for a fresh [`login`] challenge.
pub const CHALLENGE_PATH: &str = "/challenge/v1";

/// Header that carries a console's signed statement of who asks.
pub const STATEMENT_HEADER: &str = "playhead-statement";
