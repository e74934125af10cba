//! What requests are authorized with: a token that stays, or one that is refreshed with OAuth.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::Instrument;
use url::{Url, form_urlencoded};

use super::api::address;
use super::errors::HubspotDialect;
use super::objects::{SPEC, TOKEN_PATH};
use super::position::Millis;
use crate::budget::Stake;
use crate::http::{Call, HttpClient, Unreadable};
use crate::{Credentials, ErrorClass, Host, SourceError};

/// A token is replaced so long before it expires: a request may have to wait for its budget.
const EARLY_MS: i64 = 60_000;

/// What the requests of a session are authorized with.
pub(super) enum Tokens {
    /// A service key or a private app's token.
    Static(Token),
    /// Access tokens that last for half an hour.
    Oauth(Arc<Oauth>),
}

/// What a request is authorized with.
#[derive(Clone)]
pub(super) struct Token {
    header: HeaderValue,
    /// Which of the session's tokens it is.
    number: u64,
}

/// Where tokens come from.
pub(super) struct Door {
    pub(super) http: Arc<HttpClient>,
    pub(super) base_url: Url,
    pub(super) budget: Stake,
    pub(super) dialect: Arc<HubspotDialect>,
}

pub(super) struct Oauth {
    door: Door,
    host: Arc<dyn Host>,
    /// Held while a token is fetched, so that all who need one wait for the same.
    held: Arc<Mutex<Held>>,
}

struct Held {
    /// As they are stored.
    credentials: Credentials,
    token: Option<Token>,
    /// `None` if nobody said when it expires: then it is used until it is refused.
    refresh_at: Option<Millis>,
    /// Issued, and not stored yet. The refresh token before it may be dead.
    unsaved: Option<Issued>,
    /// HubSpot does not take the refresh token; asking again is no use.
    refused: Option<SourceError>,
}

/// HubSpot's answer.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    refresh_token: Option<String>,
    /// Seconds.
    expires_in: Option<u32>,
}

/// The same, fit for use.
struct Issued {
    answer: Answer,
    header: HeaderValue,
    at: Millis,
}

impl Token {
    /// Puts it on a request, in place of an earlier one.
    pub(super) fn authorize(&self, request: &mut Request) {
        request.headers_mut().insert(AUTHORIZATION, self.header.clone());
    }
}

impl Tokens {
    /// Takes a connection's credentials. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorClass::Unauthorized`] if something is missing.
    pub(super) fn new(
        credentials: Credentials,
        host: Arc<dyn Host>,
        dialect: &HubspotDialect,
        door: impl FnOnce() -> Door,
    ) -> Result<Self, SourceError> {
        if let Some(missing) = SPEC.missing_credentials(|name| credentials.field(name).is_some()) {
            return Err(SourceError::new(ErrorClass::Unauthorized, missing));
        }
        for name in ["accessToken", "refreshToken", "clientSecret"] {
            credentials.field(name).into_iter().for_each(|secret| dialect.keep_secret(secret));
        }
        let token = match credentials.field("accessToken").map(header) {
            None => None,
            Some(Some(header)) => Some(Token { header, number: 0 }),
            Some(None) => {
                let message = "the connection's `accessToken` has characters that no token has";
                return Err(SourceError::new(ErrorClass::Unauthorized, message));
            }
        };
        match (token, credentials.field("refreshToken")) {
            (Some(token), None) => Ok(Self::Static(token)),
            (token, _) => {
                let expires_at = credentials.field("expiresAt").and_then(parse);
                let refresh_at = expires_at.map(|at| Millis(at.0.saturating_sub(EARLY_MS)));
                let held = Held { credentials, token, refresh_at, unsaved: None, refused: None };
                Ok(Self::Oauth(Arc::new(Oauth { door: door(), host, held: Arc::new(Mutex::new(held)) })))
            }
        }
    }

    /// A token to send a request with. Fetches one if there is none that lasts.
    ///
    /// # Errors
    /// [`ErrorClass::Unauthorized`] if the account has to be connected again; or why none could be fetched or stored.
    pub(super) async fn token(&self) -> Result<Token, SourceError> {
        let oauth = match self {
            Self::Static(token) => return Ok(token.clone()),
            Self::Oauth(oauth) => oauth,
        };
        let held = Arc::clone(&oauth.held).lock_owned().await;
        let is_due = held.refresh_at.is_some_and(|at| at <= Millis::now());
        match &held.token {
            Some(token) if !is_due => Ok(token.clone()),
            _ => oauth.renew_to_the_end(held).await,
        }
    }

    /// Another token than this one, which was refused; `None` if there can be no other.
    ///
    /// # Errors
    /// As [`Tokens::token`].
    pub(super) async fn instead_of(&self, refused: &Token) -> Result<Option<Token>, SourceError> {
        let Self::Oauth(oauth) = self else { return Ok(None) };
        let held = Arc::clone(&oauth.held).lock_owned().await;
        match &held.token {
            // Somebody else was refused, too, and faster.
            Some(token) if token.number != refused.number => Ok(Some(token.clone())),
            _ => oauth.renew_to_the_end(held).await.map(Some),
        }
    }
}

impl Oauth {
    /// Renews in a task of its own: whoever waits may be dropped at any moment, because the job is cancelled or its time
    /// is over, and a vendor that has issued new credentials may take the old ones no more.
    async fn renew_to_the_end(
        self: &Arc<Self>,
        mut held: OwnedMutexGuard<Held>,
    ) -> Result<Token, SourceError> {
        let oauth = Arc::clone(self);
        let renewing = async move { oauth.renew(&mut held).await };
        #[expect(
            clippy::disallowed_methods,
            reason = "a request and a write, each bounded; must outlive its caller"
        )]
        let renewed = tokio::spawn(renewing.in_current_span()).await;
        renewed.unwrap_or_else(|error| {
            tracing::error!(error = %error, "renewing a token failed");
            Err(SourceError::new(ErrorClass::Transient, "A token could not be renewed"))
        })
    }

    /// Fetches a token and has it stored, and only then lets it be used.
    async fn renew(&self, held: &mut Held) -> Result<Token, SourceError> {
        if let Some(refused) = &held.refused {
            return Err(refused.clone());
        }
        let issued = match held.unsaved.take() {
            Some(issued) => issued,
            None => match self.ask(&held.credentials).await {
                Err(error) if error.class == ErrorClass::Unauthorized => {
                    held.refused = Some(error.clone());
                    return Err(error);
                }
                asked => asked?,
            },
        };
        let credentials = issued.credentials(&held.credentials);
        let token = Token { header: issued.header.clone(), number: held.number() + 1 };
        let refresh_at = issued.refresh_at();
        held.unsaved = Some(issued);
        self.host.save_credentials(&credentials).await?;
        tracing::debug!(expires_at = credentials.field("expiresAt"), "the access token was refreshed");
        *held = Held { credentials, token: Some(token.clone()), refresh_at, unsaved: None, refused: None };
        Ok(token)
    }

    async fn ask(&self, credentials: &Credentials) -> Result<Issued, SourceError> {
        let field = |name| credentials.field(name).unwrap_or_default();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", field("clientId"))
            .append_pair("client_secret", field("clientSecret"))
            .append_pair("refresh_token", field("refreshToken"))
            .finish();
        let Door { http, base_url, budget, dialect } = &self.door;
        let mut request = Request::new(Method::POST, address(base_url, TOKEN_PATH));
        let headers = request.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert("accept", HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(form.into());
        let issued = http.call(&Call { request, budget, dialect: &**dialect }, Issued::read).await?;
        dialect.keep_secret(&issued.answer.access_token);
        issued.answer.refresh_token.iter().for_each(|token| dialect.keep_secret(token));
        Ok(issued)
    }
}

impl Held {
    fn number(&self) -> u64 {
        self.token.as_ref().map_or(0, |token| token.number)
    }
}

impl Issued {
    fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let mut answer: Answer = serde_json::from_slice(body)?;
        answer.refresh_token = answer.refresh_token.filter(|token| !token.is_empty());
        let no_token = || Unreadable("without a token that can be sent".to_owned());
        let header = header(&answer.access_token).filter(|_| !answer.access_token.is_empty());
        Ok(Self { header: header.ok_or_else(no_token)?, answer, at: Millis::now() })
    }

    /// What was stored, with what is new.
    fn credentials(&self, old: &Credentials) -> Credentials {
        let mut fields = old.expose().clone();
        fields["accessToken"] = json!(self.answer.access_token);
        // Mostly the same one comes back; what comes back is the one that is good.
        if let Some(refresh_token) = &self.answer.refresh_token {
            fields["refreshToken"] = json!(refresh_token);
        }
        if let Some(object) = fields.as_object_mut() {
            object.remove("expiresAt");
            let expires_at = self.lifetime_ms().and_then(|ms| format(Millis(self.at.0.saturating_add(ms))));
            object.extend(expires_at.map(|at| ("expiresAt".to_owned(), Value::String(at))));
        }
        Credentials::new(fields)
    }

    /// `None` if it does not say.
    fn lifetime_ms(&self) -> Option<i64> {
        self.answer.expires_in.filter(|seconds| *seconds > 0).map(|seconds| i64::from(seconds) * 1_000)
    }

    /// A token that lasts for less than twice [`EARLY_MS`] is used for half its life.
    fn refresh_at(&self) -> Option<Millis> {
        let lifetime_ms = self.lifetime_ms()?;
        Some(Millis(self.at.0.saturating_add(lifetime_ms - EARLY_MS.min(lifetime_ms / 2))))
    }
}

fn header(token: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn parse(text: &str) -> Option<Millis> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(Millis::from)
}

fn format(at: Millis) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000)).ok()?;
    at.format(&Rfc3339).ok()
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
