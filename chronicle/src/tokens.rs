//! Access tokens: JWT (RFC 9068 profile) signed with Ed25519, for 30 minutes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use domain::ids::{PersonId, SessionId};
use ed25519_dalek::SigningKey;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::keys::Keyring;

/// Seconds for which an access token lives.
pub const ACCESS_SECONDS: u64 = 1_800;
/// Seconds by which another node's clock may differ.
const LEEWAY: i64 = 2;
const TYPE: &str = "at+jwt";

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    pub person: PersonId,
    pub session: SessionId,
    /// When it dies, whole seconds.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    iss: String,
    aud: String,
    sub: PersonId,
    sid: SessionId,
    iat: i64,
    exp: i64,
}

/// Why a token does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is not a token")]
    Malformed,
    #[error("its algorithm is not EdDSA")]
    Algorithm,
    #[error("it is not an access token")]
    Type,
    #[error("its key is none of ours")]
    Key,
    #[error("its signature is wrong")]
    Signature,
    #[error("another installation issued it")]
    Issuer,
    #[error("it is meant for another installation")]
    Audience,
    #[error("it has expired")]
    Expired,
}

struct Key {
    kid: String,
    /// The public key, base64url.
    x: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Key {
    fn new(seed: &[u8; 32]) -> Self {
        let public = SigningKey::from_bytes(seed).verifying_key();
        let x = URL_SAFE_NO_PAD.encode(public.as_bytes());
        // RFC 7638: the members in this order, without white space.
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        // RFC 8410: a PKCS #8 version 1 key is this prefix and the seed.
        let mut der = Zeroizing::new(PKCS8_PREFIX.to_vec());
        der.extend_from_slice(seed);
        Self {
            kid: URL_SAFE_NO_PAD.encode(thumbprint),
            encoding: EncodingKey::from_ed_der(&der),
            decoding: DecodingKey::from_ed_der(public.as_bytes()),
            x,
        }
    }
}

const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Issues and verifies access tokens with the signing keys that the key store held when it was made.
pub struct Tokens {
    /// Both issuer and audience: the installation, never its URL.
    name: String,
    keys: Vec<Key>,
    validation: Validation,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.name)
    }
}

impl Tokens {
    pub fn new(keyring: &Keyring) -> Self {
        let name = format!("letopis:{}", keyring.log_id());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.set_issuer(&[&name]);
        validation.set_audience(&[&name]);
        // Checked below against the time that is passed in; the library reads a clock of its own.
        validation.validate_exp = false;
        let keys = keyring.signing_seeds().iter().map(|seed| Key::new(seed)).collect();
        Self { name, keys, validation }
    }

    /// The token of `person` in `session`, issued at `at`: always the same for the same three.
    pub fn issue(&self, person: PersonId, session: SessionId, at: Timestamp) -> String {
        let key = self.keys.last().expect("a key store holds a signing key from its beginning");
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.kid.clone());
        let iat = at.0.div_euclid(Timestamp::SECOND);
        let claims = Wire {
            iss: self.name.clone(),
            aud: self.name.clone(),
            sub: person,
            sid: session,
            iat,
            exp: iat + ACCESS_SECONDS as i64,
        };
        jsonwebtoken::encode(&header, &claims, &key.encoding).expect("strings, numbers and a good key")
    }

    /// Whom the token speaks for, if it holds at `now`. `jwk` and `jku` in its header are not looked
    /// at.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
            // An unknown algorithm, `none` among them, fails to be read as one.
            ErrorKind::Json(_) | ErrorKind::InvalidAlgorithmName => TokenError::Algorithm,
            _ => TokenError::Malformed,
        })?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::Algorithm);
        }
        if header.typ.as_deref() != Some(TYPE) {
            return Err(TokenError::Type);
        }
        let key =
            self.keys.iter().find(|key| Some(&key.kid) == header.kid.as_ref()).ok_or(TokenError::Key)?;
        let claims = jsonwebtoken::decode::<Wire>(token, &key.decoding, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => TokenError::Signature,
                ErrorKind::InvalidIssuer => TokenError::Issuer,
                ErrorKind::InvalidAudience => TokenError::Audience,
                ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
                _ => TokenError::Malformed,
            })?
            .claims;
        if now.0.div_euclid(Timestamp::SECOND) >= claims.exp.saturating_add(LEEWAY) {
            return Err(TokenError::Expired);
        }
        Ok(Claims {
            person: claims.sub,
            session: claims.sid,
            expires_at: Timestamp(claims.exp.saturating_mul(Timestamp::SECOND)),
        })
    }

    /// The public keys as a JWK set (RFC 7517, 8037), the newest last.
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self
            .keys
            .iter()
            .map(|key| {
                serde_json::json!({
                    "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid, "x": key.x,
                })
            })
            .collect();
        serde_json::json!({ "keys": keys })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::entropy::Seeded;
    use crate::keys::{SqliteKeyStore, create_master_key};

    const AT: Timestamp = Timestamp(1_800_000_000 * Timestamp::SECOND + 5);

    fn keyring(seed: u64) -> Keyring {
        let folder = tempfile::tempdir().expect("a folder");
        let master = create_master_key(&folder.path().join("m"), &*Seeded::from(seed)).expect("a key");
        let store = SqliteKeyStore::open(std::path::Path::new(":memory:")).expect("a store");
        Keyring::begin(Arc::new(store), &master, Uuid::from_u128(7), Seeded::from(seed)).expect("begun")
    }

    fn ids() -> (PersonId, SessionId) {
        (PersonId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)))
    }

    fn issued(tokens: &Tokens) -> String {
        tokens.issue(ids().0, ids().1, AT)
    }

    /// A token like ours but for what `change` does to header and claims, well signed.
    fn forged(tokens: &Tokens, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let token = issued(tokens);
        let part = |n: usize| -> Value {
            let text = token.split('.').nth(n).expect("three parts");
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
        };
        let (mut header, mut claims) = (part(0), part(1));
        change(&mut header, &mut claims);
        let b64 = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", b64(&header), b64(&claims));
        let key = &tokens.keys.last().expect("a key").encoding;
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), key, Algorithm::EdDSA).expect("signed");
        format!("{message}.{signature}")
    }

    #[test]
    fn a_token_holds_for_its_time_and_is_the_same_each_time() {
        let tokens = Tokens::new(&keyring(1));
        let token = issued(&tokens);
        assert_eq!(token, issued(&tokens));
        let claims = tokens.verify(&token, AT).expect("holds");
        assert_eq!((claims.person, claims.session), ids());
        assert_eq!(claims.expires_at, Timestamp(1_800_001_800 * Timestamp::SECOND));
        assert_eq!(tokens.verify(&forged(&tokens, |_, _| ()), AT), Ok(claims), "the forger signs well");
        assert!(tokens.verify(&token, AT.plus(1_799 * Timestamp::SECOND)).is_ok());
        assert_eq!(tokens.verify(&token, AT.plus(1_802 * Timestamp::SECOND)), Err(TokenError::Expired));
    }

    #[test]
    fn every_check_can_fail() {
        let tokens = Tokens::new(&keyring(1));
        let verify = |token: &str| tokens.verify(token, AT);
        let other = "letopis:00000000-0000-0000-0000-000000000008";
        let cases = [
            (forged(&tokens, |_, claims| claims["iss"] = json!(other)), TokenError::Issuer),
            (forged(&tokens, |_, claims| claims["aud"] = json!(other)), TokenError::Audience),
            (forged(&tokens, |header, _| header["typ"] = json!("JWT")), TokenError::Type),
            (forged(&tokens, |header, _| header["alg"] = json!("none")), TokenError::Algorithm),
            (forged(&tokens, |header, _| header["alg"] = json!("ES256")), TokenError::Algorithm),
            (forged(&tokens, |header, _| header["kid"] = json!("other")), TokenError::Key),
            (forged(&tokens, |_, claims| claims["exp"] = json!(1_799_999_990)), TokenError::Expired),
            (forged(&tokens, |_, claims| claims["exp"] = Value::Null), TokenError::Malformed),
            (String::from("a.b.c"), TokenError::Malformed),
            (String::new(), TokenError::Malformed),
        ];
        for (token, error) in cases {
            assert_eq!(verify(&token), Err(error), "{token}");
        }
        let mut stripped = forged(&tokens, |_, _| ());
        stripped.truncate(stripped.rfind('.').expect("three parts") + 1);
        assert!(matches!(verify(&stripped), Err(TokenError::Signature | TokenError::Malformed)));
    }

    #[test]
    fn claims_cannot_be_changed_under_a_signature() {
        let tokens = Tokens::new(&keyring(1));
        let (a, b) = (issued(&tokens), forged(&tokens, |_, claims| claims["sub"] = json!(ids().1)));
        let (a, b): (Vec<&str>, Vec<&str>) = (a.split('.').collect(), b.split('.').collect());
        let mixed = format!("{}.{}.{}", a[0], b[1], a[2]);
        assert_eq!(tokens.verify(&mixed, AT), Err(TokenError::Signature));
    }

    #[test]
    fn a_mac_with_the_public_key_is_no_signature() {
        let tokens = Tokens::new(&keyring(1));
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(tokens.keys[0].kid.clone());
        let claims: Value = jsonwebtoken::dangerous::insecure_decode(issued(&tokens)).expect("JSON").claims;
        let public = URL_SAFE_NO_PAD.decode(&tokens.keys[0].x).expect("base64url");
        let token =
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&public)).expect("a token");
        assert_eq!(tokens.verify(&token, AT), Err(TokenError::Algorithm));
    }

    #[test]
    fn a_key_that_the_token_brings_along_is_not_trusted() {
        let (ours, theirs) = (Tokens::new(&keyring(1)), Tokens::new(&keyring(2)));
        let kid = ours.keys[0].kid.clone();
        let jwk = theirs.jwks()["keys"][0].clone();
        let token = forged(&theirs, |header, _| {
            header["kid"] = json!(kid);
            header["jwk"] = jwk;
            header["jku"] = json!("https://example.org/jwks");
        });
        assert_eq!(ours.verify(&token, AT), Err(TokenError::Signature));
        assert_eq!(ours.verify(&issued(&theirs), AT), Err(TokenError::Key));
    }

    #[test]
    fn older_keys_go_on_verifying_after_a_rotation() {
        let keyring = keyring(1);
        let before = Tokens::new(&keyring);
        let token = issued(&before);
        keyring.rotate_signing_key().expect("rotated");
        let after = Tokens::new(&keyring);
        assert!(after.verify(&token, AT).is_ok());
        assert_ne!(issued(&after), token, "the newest signs");
        assert_eq!(before.verify(&issued(&after), AT), Err(TokenError::Key));
        let published = after.jwks();
        assert_eq!(published["keys"].as_array().expect("a list").len(), 2);
        assert_eq!(published["keys"][0]["kid"], json!(before.keys[0].kid));
    }
}
