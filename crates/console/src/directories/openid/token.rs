//! Identity tokens: whose signature they carry, and what they claim.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest token. Providers with many groups send long ones.
const MOST_TOKEN: usize = 256 << 10;
/// Most keys of a provider that are looked at.
const MOST_KEYS: usize = 100;

/// The event by which a provider says that somebody has left it.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// For how long such a token counts that does not say it itself.
const FAREWELL_SECONDS: i64 = 120;

/// What a token claims.
pub(super) type Claims = Map<String, Value>;

/// A key that a provider publishes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: String,
    e: String,
    x: String,
    y: String,
}

/// All that it publishes.
#[derive(Debug, Deserialize)]
pub(super) struct Keys {
    keys: Vec<Value>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not three parts of base64 and JSON.
    #[error("expected a signed token, got something that is none")]
    Form,
    /// None of the signatures that are taken: they are asymmetric and not broken.
    #[error("expected a signature of a kind such as RS256 or ES256, got '{0}': let the provider use another")]
    Algorithm(String),
    /// No published key is named so.
    #[error("the provider publishes no key '{0}' for its signature")]
    UnknownKey(String),
    /// Somebody else's, or damaged.
    #[error("the signature is not the provider's")]
    Signature,
    /// A claim is missing or not as it must be.
    #[error("expected {what} to be {expected}, got {actual}")]
    Claim { what: &'static str, expected: String, actual: String },
}

/// What a token must claim.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
    /// Now, seconds since 1970.
    pub(super) now: i64,
    /// By how much clocks may differ, seconds.
    pub(super) skew: i64,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Keys {
    /// The keys that are understood; others are no error, a provider may have more.
    pub(super) fn usable(self) -> Vec<Key> {
        let keys = self.keys.into_iter().take(MOST_KEYS);
        let keys = keys.filter_map(|key| serde_json::from_value::<Key>(key).ok());
        keys.filter(|key| key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")).collect()
    }
}

/// Checks the signature and gives the claims, which are still to be checked.
///
/// # Errors
/// No token, or not signed by one of the keys. [`TokenError::UnknownKey`] when other keys may help.
pub(super) fn open(token: &str, keys: &[Key]) -> Result<Claims, TokenError> {
    if token.len() > MOST_TOKEN {
        return Err(TokenError::Form);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Form)?;
    // Extensions that must be understood are not.
    if header.crit.is_some() {
        return Err(TokenError::Form);
    }
    if !is_taken(&header.alg) {
        return Err(TokenError::Algorithm(header.alg.chars().take(32).collect()));
    }
    let signature = decode(signature)?;
    let named = |key: &&Key| match (&header.kid, &key.kid) {
        (Some(wanted), Some(name)) => wanted == name,
        // A provider with one key need not name it.
        _ => keys.len() == 1 || header.kid.is_none(),
    };
    let fits = |key: &&Key| key.alg.as_ref().is_none_or(|alg| *alg == header.alg);
    let mut candidates = keys.iter().filter(named).filter(fits).peekable();
    if candidates.peek().is_none() {
        return Err(TokenError::UnknownKey(header.kid.unwrap_or_default().chars().take(100).collect()));
    }
    if !candidates.any(|key| key.has_signed(&header.alg, signed.as_bytes(), &signature)) {
        return Err(TokenError::Signature);
    }
    serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::Form)
}

fn is_taken(algorithm: &str) -> bool {
    matches!(
        algorithm,
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" | "ES256" | "ES384" | "EdDSA" | "Ed25519"
    )
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form)
}

impl Key {
    /// Whether this is the key by which a message was signed. A key is used for nothing but what it is for: its kind decides, not the
    /// token.
    fn has_signed(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let elliptic = |curve: &str, how: &'static dyn VerificationAlgorithm, point: Vec<u8>| {
            let key = UnparsedPublicKey::new(how, point);
            self.crv.as_deref() == Some(curve) && key.verify(message, signature).is_ok()
        };
        match (self.kty.as_str(), algorithm) {
            ("RSA", "RS256") => self.rsa(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            ("RSA", "RS384") => self.rsa(&RSA_PKCS1_2048_8192_SHA384, message, signature),
            ("RSA", "RS512") => self.rsa(&RSA_PKCS1_2048_8192_SHA512, message, signature),
            ("RSA", "PS256") => self.rsa(&RSA_PSS_2048_8192_SHA256, message, signature),
            ("RSA", "PS384") => self.rsa(&RSA_PSS_2048_8192_SHA384, message, signature),
            ("RSA", "PS512") => self.rsa(&RSA_PSS_2048_8192_SHA512, message, signature),
            ("EC", "ES256") => elliptic("P-256", &ECDSA_P256_SHA256_FIXED, self.point(32)),
            ("EC", "ES384") => elliptic("P-384", &ECDSA_P384_SHA384_FIXED, self.point(48)),
            ("OKP", "EdDSA" | "Ed25519") => {
                elliptic("Ed25519", &ED25519, decode(&self.x).unwrap_or_default())
            }
            _ => false,
        }
    }

    fn rsa(&self, how: &RsaParameters, message: &[u8], signature: &[u8]) -> bool {
        let (Ok(n), Ok(e)) = (decode(&self.n), decode(&self.e)) else { return false };
        RsaPublicKeyComponents { n, e }.verify(how, message, signature).is_ok()
    }

    /// The uncompressed form of an elliptic curve's point; empty when it has another size.
    fn point(&self, size: usize) -> Vec<u8> {
        match (decode(&self.x), decode(&self.y)) {
            (Ok(x), Ok(y)) if x.len() == size && y.len() == size => [&[4][..], &x, &y].concat(),
            _ => Vec::new(),
        }
    }
}

impl Expected<'_> {
    /// Checks that a token is by this provider, for this console and this sign-in, and good now.
    ///
    /// # Errors
    /// The first claim that is not.
    pub(super) fn check(&self, claims: &Claims) -> Result<(), TokenError> {
        self.for_us(claims)?;
        same("the nonce", self.nonce, text(claims, "nonce"))?;
        let expires = time(claims, "exp").ok_or_else(|| wrong("the expiry", "there".into(), ""))?;
        self.now_good(claims, expires)
    }

    /// Checks that a token by which this provider says that somebody has left it is for this console and good now. Gives the person's
    /// subject, and when they left, seconds since 1970. (OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6)
    ///
    /// # Errors
    /// The first claim that is not as it must be.
    pub(super) fn farewell<'t>(&self, claims: &'t Claims) -> Result<(&'t str, i64), TokenError> {
        self.for_us(claims)?;
        let events = claims.get("events").and_then(|events| events.get(LOGOUT));
        if !events.is_some_and(Value::is_object) {
            return Err(wrong("the events", format!("'{LOGOUT}'"), ""));
        }
        // An identity token must not do for one of these, nor the other way round.
        if claims.contains_key("nonce") {
            return Err(wrong("the nonce", "left out".into(), text(claims, "nonce")));
        }
        let issued = time(claims, "iat").ok_or_else(|| wrong("the time of issue", "there".into(), ""))?;
        let expires = time(claims, "exp").unwrap_or(issued.saturating_add(FAREWELL_SECONDS));
        self.now_good(claims, expires)?;
        Ok((text(claims, "sub"), issued))
    }

    /// Checks who says it, to whom, and of whom.
    fn for_us(&self, claims: &Claims) -> Result<(), TokenError> {
        same("the issuer", self.issuer, text(claims, "iss"))?;
        let audience: Vec<&str> = match claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !audience.contains(&self.client) {
            return Err(wrong("the audience", self.client.to_owned(), &audience.join(", ")));
        }
        if claims.contains_key("azp") || audience.len() > 1 {
            same("the authorised party", self.client, text(claims, "azp"))?;
        }
        if text(claims, "sub").is_empty() {
            return Err(wrong("the subject", "there".into(), ""));
        }
        Ok(())
    }

    fn now_good(&self, claims: &Claims, expires: i64) -> Result<(), TokenError> {
        if expires.saturating_add(self.skew) <= self.now {
            return Err(wrong("the expiry", format!("after {}", self.now - self.skew), &expires.to_string()));
        }
        for (name, what) in [("iat", "the time of issue"), ("nbf", "the begin")] {
            if let Some(begin) = time(claims, name)
                && begin.saturating_sub(self.skew) > self.now
            {
                let expected = format!("at most {}", self.now + self.skew);
                return Err(wrong(what, expected, &begin.to_string()));
            }
        }
        Ok(())
    }
}

fn text<'t>(claims: &'t Claims, name: &str) -> &'t str {
    claims.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A fraction of a second does not matter, a number that is none does.
fn time(claims: &Claims, name: &str) -> Option<i64> {
    claims.get(name).and_then(Value::as_f64).map(|seconds| seconds as i64)
}

fn same(what: &'static str, expected: &str, actual: &str) -> Result<(), TokenError> {
    if expected == actual { Ok(()) } else { Err(wrong(what, format!("'{expected}'"), actual)) }
}

fn wrong(what: &'static str, expected: String, actual: &str) -> TokenError {
    let actual: String = actual.chars().filter(|char| !char.is_control()).take(200).collect();
    TokenError::Claim { what, expected, actual: format!("'{actual}'") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        rsa::KeySize,
        signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
            RsaKeyPair,
        },
    };
    use serde_json::json;

    /// A key that signs in tests.
    pub(crate) struct Signer {
        pair: EcdsaKeyPair,
        pub(crate) name: String,
    }

    pub(crate) fn encode(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    impl Signer {
        pub(crate) fn new(name: &str) -> Self {
            Self {
                pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
                name: name.into(),
            }
        }

        pub(crate) fn key(&self) -> Value {
            let point = self.pair.public_key().as_ref();
            let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
            json!({ "kty": "EC", "crv": "P-256", "kid": self.name, "use": "sig", "alg": "ES256", "x": x, "y": y })
        }

        pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
            let signed = format!("{}.{}", encode(header), encode(claims));
            let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    fn keys(keys: &[Value]) -> Vec<Key> {
        Keys { keys: keys.to_vec() }.usable()
    }

    #[test]
    fn signatures_of_every_kind_are_checked() {
        let ed = Ed25519KeyPair::generate().unwrap();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let (n, e) = (rsa.public_key().modulus(), rsa.public_key().exponent());
        let [n, e] = [n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero()]
            .map(|number| URL_SAFE_NO_PAD.encode(number));
        let published = keys(&[
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": URL_SAFE_NO_PAD.encode(ed.public_key()) }),
            json!({ "kty": "RSA", "kid": "rsa", "n": n, "e": e }),
            json!({ "kty": "oct", "kid": "shared", "k": "AAAA" }),
            json!({ "kty": "RSA", "kid": "enc", "use": "enc", "n": n, "e": e }),
        ]);
        let signed = |alg: &str, kid: &str| {
            format!("{}.{}", encode(&json!({ "alg": alg, "kid": kid })), encode(&json!({ "sub": "x" })))
        };
        let message = signed("EdDSA", "ed");
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(ed.sign(message.as_bytes())));
        assert_eq!(open(&token, &published).unwrap()["sub"], "x");
        let message = signed("RS256", "rsa");
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature));
        assert!(open(&token, &published).is_ok());
        let other = format!("{}.{}", signed("RS256", "enc"), URL_SAFE_NO_PAD.encode(&signature));
        assert_eq!(open(&other, &published), Err(TokenError::UnknownKey("enc".into())), "not for signing");
        let other = format!("{}.{}", signed("RS256", "ed"), URL_SAFE_NO_PAD.encode(&signature));
        assert_eq!(open(&other, &published), Err(TokenError::Signature), "a key of another kind");
    }

    #[test]
    fn forgeries_are_found() {
        let signer = Signer::new("k1");
        let published = keys(&[signer.key(), Signer::new("k2").key()]);
        let header = json!({ "alg": "ES256", "kid": "k1" });
        let token = signer.sign(&header, &json!({ "sub": "a" }));
        assert!(open(&token, &published).is_ok());
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let changed = format!("{head}.{}.{signature}", encode(&json!({ "sub": "b" })));
        assert_eq!(open(&changed, &published), Err(TokenError::Signature));
        let other = signer.sign(&json!({ "alg": "ES256", "kid": "k2" }), &json!({ "sub": "a" }));
        assert_eq!(open(&other, &published), Err(TokenError::Signature));
        let unknown = signer.sign(&json!({ "alg": "ES256", "kid": "k3" }), &json!({}));
        assert_eq!(open(&unknown, &published), Err(TokenError::UnknownKey("k3".into())));
        for alg in ["none", "HS256", "ES512", ""] {
            let token = signer.sign(&json!({ "alg": alg, "kid": "k1" }), &json!({}));
            assert_eq!(open(&token, &published), Err(TokenError::Algorithm(alg.into())), "{alg}");
        }
        let critical = signer.sign(&json!({ "alg": "ES256", "kid": "k1", "crit": ["b64"] }), &json!({}));
        assert_eq!(open(&critical, &published), Err(TokenError::Form));
        for bad in ["", ".", "..", "a.b.c", &token[..token.len() - 3], &"x".repeat(300_000)] {
            assert!(open(bad, &published).is_err());
        }
    }

    #[test]
    fn a_farewell_is_no_identity_and_an_identity_no_farewell() {
        let expected = Expected { issuer: "https://i", client: "c", nonce: "", now: 1_000_000, skew: 60 };
        let good = json!({ "iss": "https://i", "aud": "c", "sub": "s", "iat": 999_900, "jti": "1", "events": { LOGOUT: {} } });
        let check = |name: &str, value: Value| {
            let mut claims = good.as_object().unwrap().clone();
            claims.insert(name.into(), value);
            expected.farewell(&claims).map(|(subject, at)| (subject.to_owned(), at))
        };
        assert_eq!(check("exp", json!(1_000_020)), Ok(("s".into(), 999_900)));
        for (name, value, what) in [
            ("iss", json!("https://j"), "the issuer"),
            ("aud", json!("d"), "the audience"),
            ("sub", Value::Null, "the subject"),
            ("events", json!({}), "the events"),
            ("events", json!({ LOGOUT: "yes" }), "the events"),
            ("events", json!(LOGOUT), "the events"),
            ("nonce", json!("n"), "the nonce"),
            ("iat", Value::Null, "the time of issue"),
            ("iat", json!(1_000_061), "the time of issue"),
            ("iat", json!(999_819), "the expiry"),
            ("exp", json!(999_940), "the expiry"),
        ] {
            let error = check(name, value.clone()).unwrap_err();
            assert!(
                matches!(error, TokenError::Claim { what: found, .. } if found == what),
                "{name} {value}: {error}"
            );
        }
        let identity = json!({ "iss": "https://i", "aud": "c", "sub": "s", "iat": 1, "exp": 1_000_010 });
        assert!(expected.farewell(identity.as_object().unwrap()).is_err());
    }

    #[test]
    fn claims_must_be_for_this_sign_in_now() {
        let expected = Expected { issuer: "https://i", client: "c", nonce: "n", now: 1_000_000, skew: 60 };
        let good = json!({ "iss": "https://i", "aud": "c", "nonce": "n", "sub": "s", "exp": 1_000_010, "iat": 1_000_050 });
        let check = |name: &str, value: Value| {
            let mut claims = good.as_object().unwrap().clone();
            claims.insert(name.into(), value);
            expected.check(&claims)
        };
        assert_eq!(check("exp", json!(999_941)), Ok(()), "clocks differ a little");
        check("aud", json!(["c"])).unwrap();
        for (name, value, what) in [
            ("iss", json!("https://i/"), "the issuer"),
            ("aud", json!("d"), "the audience"),
            ("aud", json!(["d", "c"]), "the authorised party"),
            ("azp", json!("d"), "the authorised party"),
            ("nonce", json!("m"), "the nonce"),
            ("nonce", Value::Null, "the nonce"),
            ("sub", json!(""), "the subject"),
            ("sub", json!(5), "the subject"),
            ("exp", json!(999_940), "the expiry"),
            ("exp", json!("never"), "the expiry"),
            ("iat", json!(1_000_061), "the time of issue"),
            ("nbf", json!(1_000_061), "the begin"),
        ] {
            let error = check(name, value.clone()).unwrap_err();
            assert!(
                matches!(error, TokenError::Claim { what: found, .. } if found == what),
                "{name} {value}: {error}"
            );
        }
    }
}
