//! An issuer's keys, and the tokens that they sign.

use super::record::remember;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

/// A key pair with a name.
pub struct SigningKey {
    pub id: String,
    pair: Pair,
}

enum Pair {
    Es256 { pair: EcdsaKeyPair, pkcs8: Vec<u8> },
    Rs256(RsaKeyPair),
}

impl SigningKey {
    /// A new key on the curve P-256.
    pub fn es256(id: &str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap().as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, &random).unwrap();
        Self { id: id.to_owned(), pair: Pair::Es256 { pair, pkcs8 } }
    }

    /// The RSA key of all tests: generating one takes too long.
    pub fn rs256(id: &str) -> Self {
        let pem = include_str!("rsa-key-for-tests-only.pem");
        let body = pem.split("-----").nth(2).unwrap().replace('\n', "");
        let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap();
        Self { id: id.to_owned(), pair: Pair::Rs256(pair) }
    }

    /// The key as the issuer publishes it (RFC 7517).
    pub fn jwk(&self) -> Value {
        let id = &self.id;
        match &self.pair {
            Pair::Es256 { pair, .. } => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let (x, y) = (encoded(x), encoded(y));
                json!({"kid": id, "kty": "EC", "crv": "P-256", "use": "sig", "x": x, "y": y})
            }
            Pair::Rs256(pair) => {
                let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
                let (n, e) = (encoded(&public.n), encoded(&public.e));
                json!({"kid": id, "kty": "RSA", "alg": "RS256", "use": "sig", "n": n, "e": e})
            }
        }
    }

    /// The public key in the forms that a careless verifier might use as a shared secret.
    pub fn public_bytes(&self) -> Vec<Vec<u8>> {
        let jwk = self.jwk().to_string().into_bytes();
        match &self.pair {
            Pair::Es256 { pair, .. } => vec![pair.public_key().as_ref().to_vec(), jwk],
            Pair::Rs256(pair) => {
                let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
                vec![public.n, pair.public().as_ref().to_vec(), jwk]
            }
        }
    }

    pub fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Es256 { .. } => "ES256",
            Pair::Rs256(_) => "RS256",
        }
    }

    /// The header of an issuer's token.
    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "kid": self.id, "typ": "at+jwt"})
    }

    pub fn token(&self, claims: &Value) -> String {
        self.signed(&self.header(), claims)
    }

    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        joined(header, claims, |message| self.signature(message))
    }

    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Es256 { pair, .. } => {
                pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Pair::Rs256(pair) => rsa_signature(pair, &RSA_PKCS1_SHA256, message),
        }
    }

    /// A signature in a form that JWTs do not have: DER for ES256, SHA-512 for RS256.
    pub fn other_signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Es256 { pkcs8, .. } => {
                let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &random).unwrap();
                pair.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Pair::Rs256(pair) => rsa_signature(pair, &RSA_PKCS1_SHA512, message),
        }
    }
}

fn rsa_signature(pair: &RsaKeyPair, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

/// The key set of an issuer.
pub fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Header and claims, with the signature that `sign` makes of both.
pub fn joined(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let (header, claims) = (encoded(header.to_string()), encoded(claims.to_string()));
    let message = format!("{header}.{claims}");
    let signature = encoded(sign(message.as_bytes()));
    // Each part of a token is a secret, unless it is short.
    for part in [&claims, &signature].into_iter().filter(|part| part.len() > 16) {
        remember(part);
    }
    format!("{message}.{signature}")
}

pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
