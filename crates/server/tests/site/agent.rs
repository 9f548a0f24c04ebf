//! An agent as the protocol has it, without a desktop.

use super::fragments::{Made, Tape};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use playhead_format::Signer;
use playhead_model::{AgentId, PolicyDocument, RecordingId};
use playhead_net::{DialError, Endpoint, NodeKey, Upgraded};
use playhead_protocol::{
    AGENT_CONNECT_PATH, AGENT_ENROL_PATH, AGENT_UPGRADE, VERSION, frame,
    join::{Enrol, Enrolled, JoinToken},
    message::{Fragment, FromAgent, FromServer, Hello, Open, Opened, Refusal, Refused, from_server::Kind},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// Longer than anything takes on a machine with other work to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Enrolment {
    pub(crate) endpoint: Endpoint,
    pub(crate) key: Arc<NodeKey>,
    pub(crate) id: AgentId,
}

impl Enrolment {
    pub(crate) async fn new(token: &JoinToken) -> Result<Self, DialError> {
        let authority = URL_SAFE_NO_PAD.decode(token.authority.as_ref().unwrap()).unwrap();
        let endpoint = Endpoint::new(&token.url, Some(&authority)).unwrap();
        let key = Arc::new(NodeKey::generate().unwrap());
        let enrol = Enrol {
            secret: token.secret.clone(),
            host: "pc1".into(),
            public_key: key.public(),
            version: "1.0".into(),
        };
        let Enrolled { agent, .. } = endpoint.connect().await?.post(AGENT_ENROL_PATH, &enrol).await?;
        Ok(Self { endpoint, key, id: agent })
    }

    /// Signs with the agent's key.
    pub(crate) fn signer(&self) -> Signer {
        let key = Arc::clone(&self.key);
        Signer::new(key.public_bytes(), move |statement| key.sign(statement))
    }

    pub(crate) async fn log_in(&self) -> Result<Upgraded, DialError> {
        let connection = self.endpoint.connect().await?;
        connection.log_in(AGENT_CONNECT_PATH, AGENT_UPGRADE, "agent", &self.id.to_string(), &self.key).await
    }

    pub(crate) async fn connect(&self) -> Agent {
        let stream = self.log_in().await.unwrap();
        let mut agent = Agent { stream, buffer: BytesMut::new() };
        let hello =
            Hello { protocol: VERSION, version: "1.0".into(), host: "pc1".into(), system: "test".into() };
        agent.say(hello).await;
        match agent.hear().await {
            Some(Kind::Welcome(welcome)) => assert_eq!(welcome.protocol, VERSION),
            other => panic!("{other:?}"),
        }
        agent
    }
}

pub(crate) struct Agent {
    pub(crate) stream: Upgraded,
    buffer: BytesMut,
}

fn id_bytes(id: RecordingId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

impl Agent {
    pub(crate) async fn say(&mut self, message: impl Into<FromAgent>) {
        let mut bytes = BytesMut::new();
        message.into().write(&mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message but heartbeats and policies; `None` when the server has closed the connection.
    pub(crate) async fn hear(&mut self) -> Option<Kind> {
        loop {
            match self.hear_all().await {
                Some(Kind::Policy(_)) => {}
                other => return other,
            }
        }
    }

    /// The next policy.
    pub(crate) async fn policy(&mut self) -> PolicyDocument {
        loop {
            match self.hear_all().await {
                Some(Kind::Policy(policy)) => return serde_json::from_str(&policy.document).unwrap(),
                Some(_) => {}
                None => panic!("the server has closed the connection"),
            }
        }
    }

    /// The next message but heartbeats.
    async fn hear_all(&mut self) -> Option<Kind> {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer, frame::MAX_FRAME).unwrap() {
                match FromServer::read(frame).unwrap().kind {
                    Some(Kind::Heartbeat(_)) | None => continue,
                    kind => return kind,
                }
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.buffer))
                .await
                .expect("the server says nothing")
            {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn open(&mut self, tape: &Tape) -> Opened {
        self.ask_open(tape).await;
        loop {
            match self.hear().await {
                Some(Kind::Opened(opened)) => {
                    assert_eq!(opened.recording, id_bytes(tape.id()));
                    return opened;
                }
                Some(Kind::Durable(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// What comes of an opening: nothing when the server wants to be asked again.
    pub(crate) async fn opened_or_later(&mut self) -> Option<Opened> {
        loop {
            match self.hear().await {
                Some(Kind::Opened(opened)) => return Some(opened),
                Some(Kind::Refused(refused)) if refused.reason == Refusal::Later as i32 => return None,
                Some(Kind::Durable(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn ask_open(&mut self, tape: &Tape) {
        let info = serde_json::to_string(&tape.info).unwrap();
        self.say(Open { recording: id_bytes(tape.id()), info }).await;
    }

    pub(crate) async fn send(&mut self, tape: &Tape, made: &Made) {
        self.send_as(tape.id(), made.seq, made.bytes.clone()).await;
    }

    pub(crate) async fn send_as(&mut self, recording: RecordingId, seq: u64, record: Bytes) {
        self.say(Fragment { recording: id_bytes(recording), seq, record }).await;
    }

    /// Waits until everything before `next_seq` is durable.
    pub(crate) async fn durable(&mut self, tape: &Tape, next_seq: u64) {
        loop {
            match self.hear().await {
                Some(Kind::Durable(durable)) => {
                    assert_eq!(durable.recording, id_bytes(tape.id()));
                    assert!(durable.next_seq <= next_seq, "{} is durable, of {next_seq}", durable.next_seq);
                    if durable.next_seq == next_seq {
                        return;
                    }
                }
                Some(Kind::Watch(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for a refusal; what became durable before is told with it.
    pub(crate) async fn refused(&mut self) -> Refused {
        loop {
            match self.hear().await {
                Some(Kind::Refused(refused)) => return refused,
                Some(Kind::Durable(_) | Kind::Watch(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Opens, sends everything from where the server is, and waits until it is durable.
    pub(crate) async fn deliver(&mut self, tape: &Tape) {
        let opened = self.open(tape).await;
        self.send_rest(tape, opened.next_seq).await;
    }

    pub(crate) async fn send_rest(&mut self, tape: &Tape, from: u64) {
        for made in &tape.made[from as usize..] {
            self.send(tape, made).await;
        }
        if (from as usize) < tape.made.len() {
            self.durable(tape, tape.made.len() as u64).await;
        }
    }
}
