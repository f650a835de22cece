//! Signatures over artifacts, by ed25519.
//!
//! A signature is a text file beside the artifact. Its first three lines are what is signed: that this
//! is a signature of ours, of which artifact, and by which key. It says nothing of the name and version
//! that the artifact is served under.

use std::fmt;

use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::digest::{Digest, hex, unhex};

/// What a signature's file is called: this after the artifact's name.
pub const SIGNATURE_ENDING: &str = ".sig";

/// No signature is longer.
pub const SIGNATURE_LIMIT_BYTES: usize = 1024;

/// Sets these signatures apart from whatever else a key may have signed.
const DOMAIN: &str = "modelet-signature-v1";

/// Who signs.
pub struct SecretKey(SigningKey);

/// Whose signatures are trusted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// Why a text is not the key that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error(
        "it is no private ed25519 key in PEM; `openssl genpkey -algorithm ed25519 -out key.pem` makes one"
    )]
    Secret,
    #[error(
        "it is no public ed25519 key in PEM; `openssl pkey -in key.pem -pubout -out public.pem` makes one"
    )]
    Public,
}

/// Why an artifact is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    #[error("it is not signed; sign it with `modelet sign`")]
    Unsigned,
    #[error("its signature is damaged: {0}")]
    Damaged(&'static str),
    #[error(
        "it was changed after it was signed: the signature is for {signed:?}, this is {found:?}"
    )]
    Changed { signed: Digest, found: Digest },
    #[error("it is signed by {0}, which is none of the keys that are trusted")]
    OtherKey(PublicKey),
}

impl SecretKey {
    /// Reads PKCS#8 in PEM.
    pub fn from_pem(text: &str) -> Result<SecretKey, InvalidKey> {
        SigningKey::from_pkcs8_pem(text)
            .map(SecretKey)
            .map_err(|_| InvalidKey::Secret)
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The text of a signature's file.
    pub fn sign(&self, artifact: &Digest) -> String {
        let statement = statement(artifact, &self.public());
        let signature = self.0.sign(statement.as_bytes());
        format!("{statement}signature {}\n", hex(&signature.to_bytes()))
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in PEM. A key under which anything verifies is none.
    pub fn from_pem(text: &str) -> Result<PublicKey, InvalidKey> {
        VerifyingKey::from_public_key_pem(text)
            .ok()
            .filter(|key| !key.is_weak())
            .map(|key| PublicKey(key.to_bytes()))
            .ok_or(InvalidKey::Public)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether one of the `trusted` keys signed this very artifact, and which.
pub fn verify(
    signature: Option<&str>,
    artifact: &Digest,
    trusted: &[PublicKey],
) -> Result<PublicKey, Untrusted> {
    let (signed, key) = read(signature.ok_or(Untrusted::Unsigned)?)?;
    if signed != *artifact {
        let found = *artifact;
        return Err(Untrusted::Changed { signed, found });
    }
    match trusted.contains(&key) {
        true => Ok(key),
        false => Err(Untrusted::OtherKey(key)),
    }
}

/// What a signature says, if it holds in itself.
fn read(text: &str) -> Result<(Digest, PublicKey), Untrusted> {
    let lines: Vec<&str> = text.lines().collect();
    let [domain, artifact, key, signature] = lines[..] else {
        return Err(Untrusted::Damaged("it has not the four lines of one"));
    };
    if domain != DOMAIN {
        return Err(Untrusted::Damaged("it is of an unknown kind"));
    }
    let artifact = artifact
        .strip_prefix("artifact ")
        .and_then(|digest| digest.parse().ok())
        .ok_or(Untrusted::Damaged("it names no artifact"))?;
    let key = key
        .strip_prefix("key ed25519:")
        .and_then(unhex)
        .map(PublicKey)
        .ok_or(Untrusted::Damaged("it names no key"))?;
    let signature = signature
        .strip_prefix("signature ")
        .and_then(unhex)
        .map(|bytes| Signature::from_bytes(&bytes))
        .ok_or(Untrusted::Damaged("its last line is no signature"))?;
    VerifyingKey::from_bytes(&key.0)
        .and_then(|verifying| {
            let statement = statement(&artifact, &key);
            verifying.verify_strict(statement.as_bytes(), &signature)
        })
        .map_err(|_| Untrusted::Damaged("it is not what the key it names has signed"))?;
    Ok((artifact, key))
}

fn statement(artifact: &Digest, key: &PublicKey) -> String {
    format!("{DOMAIN}\nartifact {artifact}\nkey {key}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As openssl 3 writes them.
    const SECRET: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAdJbuPdDGGMYKy1IijrQhUlkwTrtYfbIUau1mlnYqe/
-----END PRIVATE KEY-----
";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEApJFUBsqeC3ex26mk0gQFIXWlTTE3fmHxKAYbqn74kQo=
-----END PUBLIC KEY-----
";

    fn secret() -> SecretKey {
        SecretKey::from_pem(SECRET).unwrap()
    }

    fn other() -> SecretKey {
        SecretKey(SigningKey::from_bytes(&[7; 32]))
    }

    fn check(signature: Option<&str>, artifact: &[u8], expected: Result<(), &str>) {
        let trusted = [PublicKey::from_pem(PUBLIC).unwrap()];
        let found = verify(signature, &Digest::of(artifact), &trusted);
        match (found, expected) {
            (Ok(key), Ok(())) => assert_eq!(key, trusted[0]),
            (Err(refused), Err(said)) => {
                assert!(refused.to_string().starts_with(said), "{refused}");
            }
            (found, _) => panic!("{found:?} for {signature:?}"),
        }
    }

    #[test]
    fn keys_are_read_as_openssl_writes_them() {
        assert_eq!(secret().public(), PublicKey::from_pem(PUBLIC).unwrap());
        assert_eq!(SecretKey::from_pem(PUBLIC).err(), Some(InvalidKey::Secret));
        assert_eq!(PublicKey::from_pem(SECRET).err(), Some(InvalidKey::Public));
        assert_eq!(PublicKey::from_pem("").err(), Some(InvalidKey::Public));
    }

    #[test]
    fn only_the_signed_bytes_under_a_trusted_key_are_trusted() {
        let good = secret().sign(&Digest::of(b"model"));
        check(Some(&good), b"model", Ok(()));
        check(Some(&good), b"other", Err("it was changed after"));
        check(None, b"model", Err("it is not signed"));
        let theirs = other().sign(&Digest::of(b"model"));
        check(Some(&theirs), b"model", Err("it is signed by ed25519:"));
    }

    #[test]
    fn every_damage_is_refused_as_damage() {
        let good = secret().sign(&Digest::of(b"model"));
        for at in 0..good.len() - 1 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            let bad = String::from_utf8(bytes).unwrap();
            check(Some(&bad), b"model", Err("its signature is damaged"));
        }
        for bad in ["", "\n\n\n", &good[..good.len() / 2], &good.repeat(2)] {
            check(Some(bad), b"model", Err("its signature is damaged"));
        }
    }

    #[test]
    fn a_trusted_keys_name_over_anothers_signature_is_no_signature() {
        let ours = secret().public().to_string();
        let theirs = other().public().to_string();
        let forged = other().sign(&Digest::of(b"model")).replace(&theirs, &ours);
        check(Some(&forged), b"model", Err("its signature is damaged"));
    }
}
