//! Valid tokens that were altered.

use crate::identity::Role;
use crate::identity::keys::encoded;
use crate::in_process::{INVALID, InProcessAuth, OK, start};
use crate::issuer::{ALL, Issuer, claims, with_value};
use crate::support::random::Random;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The number of different altered tokens.
const MUTANTS: usize = 10_000;

const CHARACTERS: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/~ ,\"\n\0";

#[tokio::test]
async fn of_ten_thousand_altered_tokens_none_is_accepted() {
    let issuer = Issuer::start().await;
    let in_process = InProcessAuth::jwt(&issuer);
    in_process.open_connections(start()).await;
    let ends = start().plus_ms(3_600_000).ms() / 1_000;
    let token = |key: &crate::identity::keys::SigningKey, scope: &str| {
        key.token(&with_value(claims(scope), "exp", ends))
    };
    // Two tokens of each key: one with enough scopes, and one without.
    let originals = [
        token(&issuer.ec, ALL),
        token(&issuer.ec, "view_payments:demo"),
        token(&issuer.rsa, ALL),
        token(&issuer.rsa, "view_payments:demo"),
    ];
    let mut random = Random::new(0x7a4e, 1);
    let mut seen = originals.iter().cloned().collect::<HashSet<_>>();
    while seen.len() < MUTANTS + originals.len() {
        let mut mutant = random.index(originals.len());
        let mut token = originals[mutant].clone();
        for _ in 0..=random.index(3) {
            mutant = random.index(originals.len());
            token = altered(&token, &originals[mutant], &mut random);
        }
        if seen.insert(token.clone()) {
            assert_eq!(in_process.at(start(), &token).await, INVALID, "{token}");
        }
    }
    assert_eq!(in_process.at(start(), &originals[0]).await, OK);
    assert_eq!(in_process.at(start(), &originals[1]).await, "missing scope");
    assert_eq!(in_process.at(start(), &originals[2]).await, OK);
    // A token with another key id is refused, without a key request.
    assert_eq!(issuer.identity.received(Role::Keys).len(), 1);
}

/// An altered copy of the token. `other` is another valid token.
fn altered(token: &str, other: &str, random: &mut Random) -> String {
    let mut bytes = token.as_bytes().to_vec();
    if bytes.is_empty() {
        return other.to_owned();
    }
    let (at, to) = (random.index(bytes.len()), random.index(bytes.len()));
    let (first, last) = (at.min(to), at.max(to));
    match random.below(11) {
        0 => bytes[at] = random.one_of(CHARACTERS),
        1 => bytes.swap(at, to),
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, random.one_of(CHARACTERS)),
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(first..last.min(first + 8))),
        6 => bytes[at] ^= 0x20,
        7 => bytes[first..last].make_ascii_lowercase(),
        // Flips one bit of the encoded text; the last bits carry no data.
        8 => {
            let end = random.one_of(&[bytes.len() - 1, token.find('.').unwrap_or(1) - 1, at]);
            bytes[end] = bytes[end].wrapping_add(1);
        }
        9 => return joined_parts(token, other, random),
        _ => return forged(token, random),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Joins parts of both tokens.
fn joined_parts(token: &str, other: &str, random: &mut Random) -> String {
    let (mine, theirs) = (token.split('.').collect::<Vec<_>>(), other.split('.'));
    let parts = theirs.enumerate().map(|(n, part)| match mine.get(n) {
        Some(mine) if random.percent(50) => *mine,
        _ => part,
    });
    parts.collect::<Vec<_>>().join(".")
}

/// Other claims or another header, correctly encoded, with the same signature.
fn forged(token: &str, random: &mut Random) -> String {
    let mut parts = token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let number = random.index(parts.len().min(2));
    let read = URL_SAFE_NO_PAD.decode(&parts[number]).ok();
    let Some(Value::Object(mut object)) = read.and_then(|json| serde_json::from_slice(&json).ok())
    else {
        return token.to_owned();
    };
    let name = random.one_of(&["alg", "kid", "typ", "scope", "scp", "aud", "iss", "exp", "sub"]);
    let value = random.one_of(&["none", "HS256", "ec-1", "rsa-1", ALL, "other"]);
    match random.below(3) {
        0 => drop(object.remove(name)),
        1 => drop(object.insert(name.to_owned(), json!(value))),
        // The same JSON in another order or with more white space was not signed.
        _ => drop(object.insert(" ".repeat(random.index(9)), Value::Null)),
    }
    parts[number] = encoded(Value::Object(object).to_string());
    parts.join(".")
}
