//! Credentials at rest: AES-256-GCM, a random nonce each, bound to the row they belong to.

use std::fmt;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::StoreError;

/// The first byte of everything sealed; lets a later version change the scheme.
const VERSION: u8 = 1;

/// The key that credentials are sealed with. Never printed.
#[derive(Clone)]
pub struct SecretKey(Arc<LessSafeKey>);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey([redacted])")
    }
}

/// A key that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the encryption key must be 64 hexadecimal digits; make one with `openssl rand -hex 32`")]
pub struct InvalidKey;

impl SecretKey {
    /// From 64 hexadecimal digits.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn from_hex(hex: &str) -> Result<Self, InvalidKey> {
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(InvalidKey);
        }
        let mut bytes = [0u8; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| InvalidKey)?;
        }
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| InvalidKey)?;
        Ok(Self(Arc::new(LessSafeKey::new(key))))
    }

    /// A new random key, as 64 hexadecimal digits.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn generate() -> Result<String, StoreError> {
        let mut bytes = [0u8; 32];
        fill_random(&mut bytes)?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Seals `plain` for the row that `owner` names.
    pub(crate) fn seal(&self, owner: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0u8; NONCE_LEN];
        fill_random(&mut nonce)?;
        let mut sealed = plain.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut sealed)
            .map_err(|_| StoreError::Sealed)?;
        Ok([&[VERSION][..], &nonce, &sealed].concat())
    }

    /// Opens what [`Self::seal`] made for the same owner.
    pub(crate) fn open(&self, owner: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (head, body) = sealed.split_at_checked(1 + NONCE_LEN).ok_or(StoreError::Sealed)?;
        if head[0] != VERSION {
            return Err(StoreError::Sealed);
        }
        let nonce = Nonce::try_assume_unique_for_key(&head[1..]).map_err(|_| StoreError::Sealed)?;
        let mut body = body.to_vec();
        let plain =
            self.0.open_in_place(nonce, Aad::from(owner), &mut body).map_err(|_| StoreError::Sealed)?;
        Ok(plain.to_vec())
    }
}

fn fill_random(bytes: &mut [u8]) -> Result<(), StoreError> {
    SystemRandom::new().fill(bytes).map_err(|_| StoreError::Corrupt("no randomness available".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_hex(&SecretKey::generate().unwrap()).unwrap()
    }

    #[test]
    fn what_was_sealed_for_one_connection_does_not_open_for_another() {
        let key = key();
        let sealed = key.seal("acme/hubspot", b"secret").unwrap();
        assert_eq!(key.open("acme/hubspot", &sealed).unwrap(), b"secret");
        assert!(matches!(key.open("evil/hubspot", &sealed), Err(StoreError::Sealed)));
    }

    #[test]
    fn another_key_a_cut_or_a_flipped_bit_does_not_open() {
        let key_a = key();
        let mut sealed = key_a.seal("o", b"secret").unwrap();
        assert!(key().open("o", &sealed).is_err());
        assert!(key_a.open("o", &sealed[..5]).is_err());
        *sealed.last_mut().unwrap() ^= 1;
        assert!(key_a.open("o", &sealed).is_err());
    }

    #[test]
    fn a_key_is_64_hexadecimal_digits_and_is_never_printed() {
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(63), &"ä".repeat(32)] {
            assert_eq!(SecretKey::from_hex(bad).err(), Some(InvalidKey));
        }
        assert_eq!(format!("{:?}", key()), "SecretKey([redacted])");
    }
}
