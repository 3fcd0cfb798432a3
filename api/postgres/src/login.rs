//! Signing in: the password is a token, proved by SCRAM-SHA-256.

use std::collections::HashMap;
use std::fmt::Debug;

use async_trait::async_trait;
use futures::{Sink, SinkExt as _};
use kizashi_desk::{By, LoginRefused};
use pgwire::api::auth::{
    ServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, METADATA_DATABASE, METADATA_USER, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::startup::{Authentication, PasswordMessageFamily};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use crate::error::fatal;
use crate::scram::{Exchange, MECHANISM};
use crate::session::{Account, Session, SigningIn};
use crate::settings::{REPORTED, Settings};
use crate::{ADMIN, DATABASE};

const NONCE_BYTES: usize = 18;
const NAME_CHARS_MAX: usize = 128;
const WRONG: &str = "28P01";
const REFUSED: &str = "28000";

#[async_trait]
impl StartupHandler for Session {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                self.admit()?;
                self.state.lock().await.settings = initial(client.metadata())?;
                let offered = Authentication::SASL(vec![MECHANISM.to_owned()]);
                client.send(PgWireBackendMessage::Authentication(offered)).await?;
            }
            PgWireFrontendMessage::PasswordMessageFamily(message) => {
                let answer = self.prove(client.metadata(), message).await?;
                let ended = matches!(answer, Authentication::SASLFinal(_));
                client.send(PgWireBackendMessage::Authentication(answer)).await?;
                if ended {
                    let (number, key) = self.register().await?;
                    client.set_pid_and_secret_key(number, key);
                    let told = Told(self.state.lock().await.settings.clone());
                    finish_authentication(client, &told).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Session {
    fn admit(&self) -> PgWireResult<()> {
        if !self.secure && !self.peer.to_canonical().is_loopback() {
            return Err(fatal(REFUSED, "connections from other hosts must use TLS: connect with sslmode=require"));
        }
        Ok(())
    }

    /// One step of the exchange.
    async fn prove(
        &self,
        metadata: &HashMap<String, String>,
        message: PasswordMessageFamily,
    ) -> PgWireResult<Authentication> {
        let mut state = self.state.lock().await;
        let Some(signing_in) = state.signing_in.take() else {
            let first = message.into_sasl_initial_response()?;
            if first.auth_method != MECHANISM {
                return Err(fatal(REFUSED, format!("{} is not offered: {MECHANISM} is", first.auth_method)));
            }
            let user = metadata.get(METADATA_USER).cloned().unwrap_or_default();
            let signing_in = self.begin(user, first.data.as_deref().unwrap_or_default()).await?;
            let said = signing_in.exchange.server_first().to_owned();
            state.signing_in = Some(signing_in);
            return Ok(Authentication::SASLContinue(said.into()));
        };
        let last = message.into_sasl_response()?;
        let SigningIn { by, exchange, keys } = signing_in;
        let proved = exchange.finish(&last.data, &keys).map_err(|what| fatal("08P01", what))?;
        let Some((token, said)) = proved else {
            self.door.desk.scram_failed(&by).await.map_err(unavailable)?;
            return Err(fatal(
                WRONG,
                format!("password authentication failed for user {:?}: the password is a token", by.name),
            ));
        };
        state.account = Some(self.account(*token, &by).await?);
        state.settings.signed_in(&by.name);
        Ok(Authentication::SASLFinal(said.into()))
    }

    async fn begin(&self, user: String, first: &[u8]) -> PgWireResult<SigningIn> {
        let by = By { name: recorded(user), address: Some(self.peer) };
        let known = self.door.desk.scram(&by).await.map_err(|refused| match refused {
            LoginRefused::Desk(error) => unavailable(error),
            other => fatal(REFUSED, other.to_string()),
        })?;
        let mut keys: Vec<_> = known.keys.into_iter().map(|(token, keys)| (Some(token), keys)).collect();
        if by.name == ADMIN {
            keys.push((None, self.door.admin));
        }
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| fatal("57P03", "the system gave no random bytes"))?;
        let exchange = Exchange::begin(first, &known.salt, &nonce).map_err(|what| fatal("08P01", what))?;
        Ok(SigningIn { by, exchange, keys })
    }

    /// Who the token belongs to; `None` is the token of the configuration.
    async fn account(&self, token: Option<i64>, by: &By) -> PgWireResult<Account> {
        let Some(token) = token else {
            self.door.desk.scram_configured(by).await;
            return Ok(Account { name: format!("service:{ADMIN}"), tenant: None });
        };
        let bearer = self.door.desk.scram_succeeded(token, by).await.map_err(unavailable)?;
        let bearer = bearer.ok_or_else(|| fatal(WRONG, "the token is over or revoked"))?;
        if !(self.door.may_run_sql)(&bearer) {
            let message = format!("{:?} may not run SQL: the role or the token's scopes lack sql.run", by.name);
            return Err(fatal("42501", message));
        }
        Ok(Account { name: bearer.account(), tenant: bearer.tenant().cloned() })
    }
}

/// The user as it may be written down: what is no name, or a token in its place, is none.
fn recorded(user: String) -> String {
    let plain = user.chars().count() <= NAME_CHARS_MAX && !user.chars().any(char::is_control);
    if plain && !user.starts_with("kzp_") && !user.starts_with("kzs_") { user } else { "?".to_owned() }
}

fn unavailable(why: impl std::fmt::Display) -> PgWireError {
    tracing::error!("nobody can sign in to the PostgreSQL door: {why}");
    fatal("57P03", "the accounts cannot be read now: try again in a moment")
}

/// What a client sets as it connects, also through `options=-c name=value`.
fn initial(metadata: &HashMap<String, String>) -> PgWireResult<Settings> {
    let mut settings = Settings::default();
    let mut set = |name: &str, value: &str| {
        settings.set(&name.to_ascii_lowercase(), Some(value)).map_err(|(code, message)| fatal(code, message))
    };
    for (name, value) in metadata {
        match name.as_str() {
            METADATA_USER => {}
            METADATA_DATABASE if value == DATABASE => {}
            METADATA_DATABASE => {
                let message = format!("database {value:?} does not exist: the only one is {DATABASE}");
                return Err(fatal("3D000", message));
            }
            "replication" => return Err(fatal("0A000", "replication is not offered")),
            "options" => {
                let mut words = value.split_whitespace();
                while let Some(word) = words.next() {
                    let pair = match word {
                        "-c" => words.next(),
                        other => other.strip_prefix("-c").or_else(|| other.strip_prefix("--")),
                    };
                    if let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) {
                        set(name, value)?;
                    }
                }
            }
            name if name.starts_with("_pq_.") => {}
            name => {
                set(name, value)?;
            }
        }
    }
    Ok(settings)
}

struct Told(Settings);

impl ServerParameterProvider for Told {
    fn server_parameters<C: ClientInfo>(&self, _: &C) -> Option<HashMap<String, String>> {
        let value = |name| self.0.show(name).unwrap_or_default().to_owned();
        Some(REPORTED.iter().map(|(name, spelt)| ((*spelt).to_owned(), value(name))).collect())
    }
}
