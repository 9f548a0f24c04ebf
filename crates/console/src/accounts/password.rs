//! Passwords: Argon2id on a thread of its own, a bounded number at a time.

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use playhead_net::NetError;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Fewest characters in a password that a person chooses.
pub(crate) const LEAST_CHARACTERS: usize = 12;
/// Most bytes, so that nobody makes us hash a book.
pub(crate) const MOST_BYTES: usize = 1024;
/// How many are hashed at a time: each takes 19 MiB and some tens of milliseconds of a core.
const AT_A_TIME: usize = 2;
/// How many more may wait.
const WAITING: usize = 32;

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    /// What a password for an unknown name is checked against, so that it takes as long as for a known one.
    decoy: Arc<str>,
}

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("too many sign-ins are under way")]
    Busy,
    #[error("cannot hash a password: {0}")]
    Hash(String),
    #[error(transparent)]
    Random(#[from] NetError),
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, PasswordError> {
        let decoy = hash(&generate()?)?;
        Ok(Self {
            running: Arc::new(Semaphore::new(AT_A_TIME)),
            admitted: Arc::new(Semaphore::new(AT_A_TIME + WAITING)),
            decoy: decoy.into(),
        })
    }

    /// Hashes a password into the text to keep.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = password.to_owned();
        self.run(move || hash(&password)).await
    }

    /// Whether `password` is the one that `kept` was made from. Takes the same time when there is none to compare with.
    pub(crate) async fn verify(&self, password: &str, kept: Option<&str>) -> Result<bool, PasswordError> {
        let known = kept.is_some();
        let (password, kept) = (password.to_owned(), kept.unwrap_or(&self.decoy).to_owned());
        self.run(move || Ok(verify(&password, &kept))).await.map(|right| right && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _admitted = self.admitted.try_acquire().map_err(|_| PasswordError::Busy)?;
        let place = Arc::clone(&self.running).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let task = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        task.await.map_err(|error| PasswordError::Hash(error.to_string()))?
    }
}

/// Why a new password will not do; `None` when it will.
pub(crate) fn weakness(user: &str, new: &str) -> Option<String> {
    let characters = new.chars().count();
    if characters < LEAST_CHARACTERS {
        return Some(format!(
            "The new password must have at least {LEAST_CHARACTERS} characters; this one has {characters}."
        ));
    }
    if new.len() > MOST_BYTES {
        return Some(format!(
            "The new password must have at most {MOST_BYTES} bytes; this one has {}.",
            new.len()
        ));
    }
    let lower = new.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 || lower.contains(&user.to_lowercase()) {
        return Some(
            "The new password is easily guessed: use at least five different characters and leave the user name out."
                .into(),
        );
    }
    None
}

/// A password of 120 random bits in groups that can be typed: no letter looks like another.
pub(crate) fn generate() -> Result<String, PasswordError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(NetError::from)?;
    let mut password = String::new();
    for (at, byte) in bytes.into_iter().enumerate() {
        if at > 0 && at % 6 == 0 {
            password.push('-');
        }
        password.push(char::from(LETTERS[usize::from(byte & 31)]));
    }
    Ok(password)
}

/// Argon2id with the parameters that OWASP recommends: 19 MiB, two passes, one lane.
fn hasher() -> Argon2<'static> {
    Argon2::from(Params::DEFAULT)
}

fn hash(password: &str) -> Result<String, PasswordError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(NetError::from)?;
    let hash = hasher()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

fn verify(password: &str, kept: &str) -> bool {
    PasswordHash::new(kept).is_ok_and(|kept| hasher().verify_password(password.as_bytes(), &kept).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_passes_and_nobody_is_no_one() {
        let passwords = Passwords::new().unwrap();
        let kept = passwords.hash("correct horse battery").await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(passwords.verify("correct horse battery", Some(&kept)).await.unwrap());
        assert!(!passwords.verify("correct horse batterz", Some(&kept)).await.unwrap());
        assert!(!passwords.verify("correct horse battery", Some("damaged")).await.unwrap());
        assert!(!passwords.verify("correct horse battery", None).await.unwrap());
    }

    #[tokio::test]
    async fn more_than_can_wait_are_turned_away() {
        let passwords = Passwords::new().unwrap();
        let held = passwords.admitted.clone().acquire_many_owned(34).await.unwrap();
        assert!(matches!(passwords.hash("x").await, Err(PasswordError::Busy)));
        drop(held);
        passwords.hash("x").await.unwrap();
    }

    #[test]
    fn weak_passwords_are_named() {
        assert!(weakness("admin", "short").unwrap().contains("at least 12"));
        assert!(weakness("admin", &"x".repeat(2000)).unwrap().contains("at most 1024"));
        assert!(weakness("admin", "aaaaaaaaaaaaaaa").unwrap().contains("guessed"));
        assert!(weakness("admin", "my-Admin-password").unwrap().contains("guessed"));
        assert_eq!(weakness("admin", "vier kleine Enten"), None);
    }

    #[test]
    fn generated_passwords_differ_and_pass_the_rules() {
        let (first, second) = (generate().unwrap(), generate().unwrap());
        assert_ne!(first, second);
        assert_eq!(first.len(), 27);
        assert_eq!(weakness("admin", &first), None);
    }
}
