//! OAuth tokens: which are good, and until when. Pure; time comes in as a number.

use std::collections::BTreeMap;

/// The one OAuth app that the lab knows.
pub(crate) const CLIENT_ID: &str = "lab-client";
pub(crate) const CLIENT_SECRET: &str = "lab-client-secret";

/// How long an access token is good, says the vendor.
const LIFETIME_MS: u64 = 1_800_000;
/// Of so many access tokens the lab remembers when they expire; an older one is no token at all.
const ISSUED_MAX: usize = 10_000;

/// All OAuth tokens of a lab. Static tokens are not in it: they are good for ever.
#[derive(Debug)]
pub(crate) struct Tokens {
    lifetime_ms: u64,
    rotates: bool,
    issued: BTreeMap<u64, Issued>,
    /// How often the refresh token of a portal was replaced.
    rotations: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Issued {
    portal: u64,
    expires_ms: i64,
}

/// Whose an access token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// This portal's.
    Portal(u64),
    /// It was this portal's.
    Expired { portal: u64, expired_ms: i64 },
    /// Nobody's.
    Unknown,
}

/// What a refresh gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) portal: u64,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// Seconds.
    pub(crate) expires_in: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { lifetime_ms: LIFETIME_MS, rotates: false, issued: BTreeMap::new(), rotations: BTreeMap::new() }
    }
}

impl Tokens {
    pub(crate) fn set_lifetime_ms(&mut self, lifetime_ms: u64) {
        self.lifetime_ms = lifetime_ms;
    }

    /// Whether each refresh replaces the refresh token, too, and ends the old one.
    pub(crate) fn set_rotates(&mut self, rotates: bool) {
        self.rotates = rotates;
    }

    /// The refresh token of a portal that is good now.
    pub(crate) fn refresh_token(&self, portal: u64) -> String {
        format!("refresh-lab-{portal}-{}", self.rotations.get(&portal).copied().unwrap_or(0))
    }

    /// A new access token of the portal whose refresh token it is; `None` if it is nobody's (any more).
    pub(crate) fn refresh(&mut self, refresh_token: &str, now_ms: i64) -> Option<Granted> {
        let (portal, _) = refresh_token.strip_prefix("refresh-lab-")?.split_once('-')?;
        let portal = number(portal)?;
        if self.refresh_token(portal) != refresh_token {
            return None;
        }
        if self.rotates {
            *self.rotations.entry(portal).or_default() += 1;
        }
        Some(self.issue(portal, now_ms))
    }

    /// A new access token of the portal.
    pub(crate) fn issue(&mut self, portal: u64, now_ms: i64) -> Granted {
        let lifetime_ms = i64::try_from(self.lifetime_ms).unwrap_or(i64::MAX);
        let id = self.issued.last_key_value().map_or(1, |(last, _)| last + 1);
        self.issued.insert(id, Issued { portal, expires_ms: now_ms.saturating_add(lifetime_ms) });
        if self.issued.len() > ISSUED_MAX {
            self.issued.pop_first();
        }
        Granted {
            portal,
            access_token: format!("pat-lab-{portal}-oauth-{id}"),
            refresh_token: self.refresh_token(portal),
            expires_in: self.lifetime_ms / 1_000,
        }
    }

    /// All access tokens that are good now expire now.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        for issued in self.issued.values_mut() {
            issued.expires_ms = issued.expires_ms.min(now_ms);
        }
    }

    /// `pat-lab-<portal>`, optionally followed by `-` and anything; after `-oauth-` it must be one that was issued.
    pub(crate) fn bearer(&self, token: &str, now_ms: i64) -> Bearer {
        let Some(rest) = token.strip_prefix("pat-lab-") else { return Bearer::Unknown };
        let (portal, rest) = rest.split_once('-').unwrap_or((rest, ""));
        let Some(portal) = number(portal) else { return Bearer::Unknown };
        let Some(id) = rest.strip_prefix("oauth-") else { return Bearer::Portal(portal) };
        match number(id).and_then(|id| self.issued.get(&id)) {
            Some(issued) if issued.portal != portal => Bearer::Unknown,
            Some(issued) if issued.expires_ms <= now_ms => {
                Bearer::Expired { portal, expired_ms: issued.expires_ms }
            }
            Some(_) => Bearer::Portal(portal),
            None => Bearer::Unknown,
        }
    }
}

impl Bearer {
    /// Whose requests it counts among.
    pub(crate) fn portal(self) -> Option<u64> {
        match self {
            Self::Portal(portal) | Self::Expired { portal, .. } => Some(portal),
            Self::Unknown => None,
        }
    }
}

/// `parse` alone would take a plus sign.
fn number(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_is_good_for_its_lifetime_and_its_portal_alone() {
        let mut tokens = Tokens::default();
        tokens.set_lifetime_ms(1_000);
        let granted = tokens.issue(42, 500);
        assert_eq!((granted.access_token.as_str(), granted.expires_in), ("pat-lab-42-oauth-1", 1));
        assert_eq!(tokens.bearer("pat-lab-42-oauth-1", 1_499), Bearer::Portal(42));
        let expired = Bearer::Expired { portal: 42, expired_ms: 1_500 };
        assert_eq!(tokens.bearer("pat-lab-42-oauth-1", 1_500), expired);
        for nobodys in ["pat-lab-43-oauth-1", "pat-lab-42-oauth-2", "pat-lab-42-oauth-x", "pat-lab-+42", "x"]
        {
            assert_eq!(tokens.bearer(nobodys, 0), Bearer::Unknown, "{nobodys}");
        }
    }

    #[test]
    fn a_static_token_never_expires() {
        let mut tokens = Tokens::default();
        tokens.expire(i64::MAX);
        for token in ["pat-lab-42", "pat-lab-42-other"] {
            assert_eq!(tokens.bearer(token, i64::MAX), Bearer::Portal(42));
        }
    }

    #[test]
    fn what_was_expired_stays_so_and_what_comes_after_is_good() {
        let mut tokens = Tokens::default();
        let old = tokens.issue(1, 0);
        tokens.expire(7);
        let new = tokens.issue(1, 7);
        let expired = Bearer::Expired { portal: 1, expired_ms: 7 };
        assert_eq!(tokens.bearer(&old.access_token, 8), expired);
        assert_eq!(tokens.bearer(&new.access_token, 8), Bearer::Portal(1));
    }

    #[test]
    fn a_refresh_token_is_good_until_it_is_rotated() {
        let mut tokens = Tokens::default();
        let first = tokens.refresh_token(42);
        let granted = tokens.refresh(&first, 0).unwrap();
        assert_eq!((granted.portal, &granted.refresh_token), (42, &first));
        tokens.set_rotates(true);
        let second = tokens.refresh(&first, 0).unwrap().refresh_token;
        assert_ne!(second, first);
        assert_eq!(tokens.refresh(&first, 0), None);
        assert!(tokens.refresh(&second, 0).is_some());
        assert_eq!(tokens.refresh("refresh-lab-x-0", 0), None);
    }
}
