//! Signing in at an OpenID provider: the authorization code flow with PKCE, state and nonce. What the provider says is
//! believed only with its signature; who comes in with which role is decided here, by the configuration.

mod config;
mod pending;
mod provider;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use kizashi_desk::{Desk, Language, Provided, ProvidedRefused, SignedIn, Subject};
use kizashi_model::Clock;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenFields, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse, StandardTokenResponse,
    TokenResponse as _, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

pub use config::{Assigned, Label, OidcConfig};
use pending::{Begun, Pending};
use provider::{Provider, chain};

/// Below `base_url`.
const CALLBACK: &str = "api/v1/session/oidc/callback";
/// Of the place in the portal to go to afterwards.
const TO_BYTES_MAX: usize = 1_024;
/// Those that need a key that only the provider has: not `none`, and not one that whoever knows the client secret could make.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// How long a browser may take to come back, in seconds.
pub const WAIT_S: i64 = pending::WAIT_MS / 1_000;

/// Why a login is refused. The sign-in page knows each by its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was not begun by this browser, was finished already, or took too long.
    State,
    /// The person, or the provider, said no.
    Denied,
    /// The provider is away or answers what cannot be understood.
    Provider,
    /// What the provider said does not hold: signature, audience, nonce, time.
    Token,
    /// No rule gives them a role.
    Role,
    /// Nobody here, and people are not made.
    Unknown,
    Disabled,
    /// Too many logins at once.
    Busy,
    Internal(String),
}

impl Refused {
    pub fn code(&self) -> &'static str {
        match self {
            Self::State => "oidc_state",
            Self::Denied => "oidc_denied",
            Self::Provider => "oidc_provider",
            Self::Token => "oidc_token",
            Self::Role => "oidc_role",
            Self::Unknown => "oidc_unknown",
            Self::Disabled => "oidc_disabled",
            Self::Busy => "oidc_busy",
            Self::Internal(_) => "oidc_failed",
        }
    }
}

/// What the provider sends a browser back with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    pub code: Option<String>,
    pub state: Option<String>,
    pub error: Option<String>,
    /// The issuer (RFC 9207).
    pub iss: Option<String>,
}

/// A login at its end: who came in, and where in the portal they wanted to go.
#[derive(Debug)]
pub struct Finished {
    pub signed_in: SignedIn,
    pub to: String,
}

/// The door of one provider. Clones share it.
#[derive(Clone, Debug)]
pub struct Oidc {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: OidcConfig,
    secret: Option<ClientSecret>,
    base: Url,
    redirect: RedirectUrl,
    clock: Clock,
    provider: Provider,
    pending: Mutex<Pending>,
}

/// Every claim that is not one of the standard ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Extra {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Extra {}

type Fields = IdTokenFields<
    Extra,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type RelyingParty = Client<
    Extra,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why a token was not believed.
enum Doubt {
    /// Perhaps the provider has a new key.
    NoSuchKey,
    Wrong(String),
}

impl Oidc {
    /// # Errors
    /// When the configuration is not valid, or what it names is not there; the text begins with the key.
    pub fn new(config: OidcConfig, clock: Clock) -> Result<Self, String> {
        config.validate()?;
        let secret = match &config.client_secret_env {
            Some(name) => Some(std::env::var(name).map_err(|_| {
                format!("oidc.client_secret_env names {name}, which is not set: set it to the client's secret")
            })?),
            None => config.client_secret.clone(),
        };
        let base = config.base()?;
        let redirect = RedirectUrl::new(format!("{base}{CALLBACK}")).map_err(|e| format!("oidc.base_url: {e}"))?;
        let provider = Provider::new(&config, clock.clone())?;
        let secret = secret.map(ClientSecret::new);
        let pending = Mutex::default();
        Ok(Self { inner: Arc::new(Inner { config, secret, base, redirect, clock, provider, pending }) })
    }

    pub fn label(&self) -> &Label {
        &self.inner.config.label
    }

    pub fn issuer(&self) -> &str {
        self.inner.provider.issuer().as_str()
    }

    /// Whether browsers reach this server by TLS.
    pub fn is_encrypted(&self) -> bool {
        self.inner.base.scheme() == "https"
    }

    /// Where a browser is sent at the end.
    pub fn portal(&self, to: &str) -> String {
        format!("{}#{to}", self.inner.base)
    }

    /// The address at the provider where the browser goes. `browser` is the secret in its cookie.
    ///
    /// # Errors
    /// `Provider` or `Busy`.
    pub async fn begin(&self, browser: &str, from: Option<IpAddr>, to: Option<&str>) -> Result<Url, Refused> {
        let metadata = self.inner.provider.metadata().await?;
        let client = self.client(&metadata);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let begun_with = (CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random);
        let mut request = client.authorize_url(begun_with.0, begun_with.1, begun_with.2).set_pkce_challenge(challenge);
        for scope in self.inner.config.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        let begun = Begun { nonce, verifier, to: place(to) };
        let now = self.inner.clock.now();
        let mut pending = self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.put(now, state.secret(), browser, from, begun) { Ok(url) } else { Err(Refused::Busy) }
    }

    /// Judges what the browser came back with, and signs the person in. What fails is recorded.
    ///
    /// # Errors
    /// Why nobody comes in.
    pub async fn finish(
        &self,
        desk: &Desk,
        answer: Answer,
        browser: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Finished, Refused> {
        let finished = self.judge(desk, answer, browser, from).await;
        // These two the desk has recorded with the person.
        let recorded = matches!(finished, Ok(_) | Err(Refused::Unknown | Refused::Disabled));
        if let Err(refused) = &finished
            && !recorded
        {
            let why = format!("{} ({})", self.issuer(), refused.code());
            if let Err(error) = desk.provided_login_failed(&why, from).await {
                tracing::warn!("a failed login could not be recorded: {error}");
            }
        }
        finished
    }

    async fn judge(
        &self,
        desk: &Desk,
        answer: Answer,
        browser: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Finished, Refused> {
        let (Some(state), Some(browser)) = (&answer.state, browser) else { return Err(Refused::State) };
        let begun = {
            let mut pending = self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.take(self.inner.clock.now(), state, browser).ok_or(Refused::State)?
        };
        if answer.iss.as_deref().is_some_and(|iss| iss != self.issuer()) {
            return Err(Refused::Token);
        }
        if let Some(error) = &answer.error {
            let code: String = error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
            tracing::warn!("the OpenID provider refused a login: {code}");
            return Err(if error == "access_denied" { Refused::Denied } else { Refused::Provider });
        }
        let code = AuthorizationCode::new(answer.code.ok_or(Refused::Provider)?);
        let claims = self.claims(code, begun.verifier, begun.nonce).await?;
        let signed_in = self.enter(desk, &claims, from).await?;
        Ok(Finished { signed_in, to: begun.to })
    }

    /// What the provider says, once everything about it holds.
    async fn claims(
        &self,
        code: AuthorizationCode,
        verifier: PkceCodeVerifier,
        nonce: Nonce,
    ) -> Result<Map<String, Value>, Refused> {
        let metadata = self.inner.provider.metadata().await?;
        let client = self.client(&metadata);
        let asking = client.clone();
        let exchange = self.inner.provider.ask(move |http| {
            let request = asking.exchange_code(code).map_err(|error| chain(&error))?;
            request.set_pkce_verifier(verifier).request(&http).map_err(|error| chain(&error))
        });
        let tokens = exchange.await?.map_err(|why| {
            tracing::warn!("the OpenID provider gave no token: {why}");
            Refused::Provider
        })?;
        let mut claims = match self.believed(&client, &tokens, &nonce) {
            Err(Doubt::NoSuchKey) => {
                let renewed = self.client(&*self.inner.provider.renewed().await?);
                self.believed(&renewed, &tokens, &nonce)
            }
            judged => judged,
        }
        .map_err(|doubt| {
            let why = match doubt {
                Doubt::NoSuchKey => "it is signed with a key that the provider does not name".to_owned(),
                Doubt::Wrong(why) => why,
            };
            tracing::warn!("the OpenID provider's token does not hold: {why}");
            Refused::Token
        })?;
        if config::values(&claims, &self.inner.config.role_claim).is_empty() && metadata.userinfo_endpoint().is_some() {
            for (name, value) in self.more(client, &tokens, &claims).await? {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(claims)
    }

    /// The claims of the ID token, if it is the provider's, for this server, of now, and of this login.
    fn believed(&self, client: &RelyingParty, tokens: &Tokens, nonce: &Nonce) -> Result<Map<String, Value>, Doubt> {
        let wrong = |error: &dyn std::error::Error| match chain(error) {
            text if text.contains("No matching key found") => Doubt::NoSuchKey,
            text => Doubt::Wrong(text),
        };
        let clock = self.inner.clock.clone();
        let now = move || DateTime::<Utc>::from_timestamp_millis(clock.now().0).unwrap_or_default();
        let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS).set_time_fn(now);
        let token = tokens.id_token().ok_or_else(|| Doubt::Wrong("there is no ID token".to_owned()))?;
        let claims = token.claims(&verifier, nonce).map_err(|error| wrong(&error))?;
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = token.signing_alg().map_err(|error| wrong(&error))?;
            let key = token.signing_key(&verifier).map_err(|error| wrong(&error))?;
            let found = AccessTokenHash::from_token(tokens.access_token(), algorithm, key);
            if found.map_err(|error| wrong(&error))? != *expected {
                return Err(Doubt::Wrong("the access token is not the one that the ID token names".to_owned()));
            }
        }
        match serde_json::to_value(claims) {
            Ok(Value::Object(claims)) => Ok(claims),
            Ok(_) => Err(Doubt::Wrong("the claims are no object".to_owned())),
            Err(error) => Err(Doubt::Wrong(error.to_string())),
        }
    }

    /// What the provider says about the person beyond the ID token. It must be about the same one.
    async fn more(
        &self,
        client: RelyingParty,
        tokens: &Tokens,
        claims: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Refused> {
        let subject = claims.get("sub").and_then(Value::as_str).map(|sub| sub.to_owned()).ok_or(Refused::Token)?;
        let token = tokens.access_token().clone();
        let asked = self.inner.provider.ask(move |http| {
            let subject = openidconnect::SubjectIdentifier::new(subject);
            let request = client.user_info(token, Some(subject)).map_err(|error| chain(&error))?;
            request.request::<Extra, CoreGenderClaim, _>(&http).map_err(|error| chain(&error))
        });
        let more: UserInfoClaims<Extra, CoreGenderClaim> = asked.await?.map_err(|why| {
            tracing::warn!("the OpenID provider told nothing more about a person: {why}");
            Refused::Provider
        })?;
        match serde_json::to_value(&more) {
            Ok(Value::Object(more)) => Ok(more),
            _ => Err(Refused::Provider),
        }
    }

    async fn enter(&self, desk: &Desk, claims: &Map<String, Value>, from: Option<IpAddr>) -> Result<SignedIn, Refused> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let subject = text("sub").ok_or(Refused::Token)?;
        let Assigned { role, tenant } = self.inner.config.assign(claims).ok_or(Refused::Role)?;
        let provided = Provided {
            who: Subject { issuer: self.issuer().to_owned(), subject: subject.to_owned() },
            name: text("preferred_username").or_else(|| text("email")).unwrap_or(subject).to_owned(),
            display_name: text("name").map(str::to_owned),
            role: role.into(),
            tenant,
            language: text("locale").and_then(|locale| Language::from_name(locale.get(..2)?)),
        };
        let entered = desk.login_provided(&provided, self.inner.config.create_people, from).await;
        entered.map_err(|refused| match refused {
            ProvidedRefused::Unknown => Refused::Unknown,
            ProvidedRefused::Disabled => Refused::Disabled,
            ProvidedRefused::Desk(error) => Refused::Internal(error.to_string()),
        })
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> RelyingParty {
        let inner = &self.inner;
        let id = ClientId::new(inner.config.client_id.clone());
        let methods = metadata.token_endpoint_auth_methods_supported();
        // The header is what every provider must take, unless it says otherwise.
        let header = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let way = if header { AuthType::BasicAuth } else { AuthType::RequestBody };
        RelyingParty::from_provider_metadata(metadata.clone(), id, inner.secret.clone())
            .set_redirect_uri(inner.redirect.clone())
            .set_auth_type(way)
    }
}

/// Where in the portal to go: a place behind its `#`, so that it leads nowhere else; the beginning for anything odd.
fn place(to: Option<&str>) -> String {
    let plain = |to: &&str| to.starts_with('/') && to.len() <= TO_BYTES_MAX && to.bytes().all(|b| b.is_ascii_graphic());
    to.filter(plain).unwrap_or("/").to_owned()
}
