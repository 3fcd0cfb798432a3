//! The `[oidc]` section of the configuration: the OpenID provider at which people may sign in.

use std::fmt;
use std::path::PathBuf;

use kizashi_model::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::names::Role;

/// `issuer`, `client_id`, `base_url` and at least one of `roles` and `default_role` are needed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OidcConfig {
    /// The provider's address, exactly as it names itself. It is asked for `/.well-known/openid-configuration` below it.
    pub issuer: String,
    /// What the provider calls this server.
    pub client_id: String,
    /// What this server proves itself with; leave it out for a public client.
    pub client_secret: Option<String>,
    /// The environment variable that holds the client secret, instead of writing it here.
    pub client_secret_env: Option<String>,
    /// Where browsers reach this server, such as `https://kizashi.example.com/`. The provider must allow
    /// `api/v1/session/oidc/callback` below it as redirect URI.
    pub base_url: String,
    /// What is asked of the provider. Default: openid, profile, email.
    pub scopes: Vec<String>,
    /// Certificates (PEM) to trust instead of the system's. Relative to the configuration file.
    pub ca_file: Option<PathBuf>,
    /// What the button on the sign-in page says.
    pub label: Label,
    /// The claim whose values give the role; dots lead into a claim, as in `realm_access.roles`. Default: groups.
    pub role_claim: String,
    /// The first that fits gives role and tenant, at every login.
    pub roles: Vec<RoleRule>,
    /// What somebody has whom no rule fits. Without it they are refused.
    pub default_role: Option<Assigned>,
    /// Whether somebody new is made at the first login; otherwise an administrator adds people with their `oidc_subject`.
    /// Default: true.
    pub create_people: bool,
}

/// One text in each language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Label {
    pub ja: String,
    pub en: String,
}

/// Whoever has this value in the claim has this role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    pub value: String,
    pub role: Role,
    /// The only tenant that they see; without it every one.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// A role and what it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assigned {
    pub role: Role,
    /// The only tenant that they see; without it every one.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

impl Default for Label {
    fn default() -> Self {
        Self { ja: "シングルサインオン".to_owned(), en: "Single sign-on".to_owned() }
    }
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            client_secret_env: None,
            base_url: String::new(),
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            ca_file: None,
            label: Label::default(),
            role_claim: "groups".to_owned(),
            roles: Vec::new(),
            default_role: None,
            create_people: true,
        }
    }
}

/// Without the secret.
impl fmt::Debug for OidcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (issuer, client, base) = (&self.issuer, &self.client_id, &self.base_url);
        f.debug_struct("OidcConfig")
            .field("issuer", issuer)
            .field("client_id", client)
            .field("base_url", base)
            .finish_non_exhaustive()
    }
}

impl OidcConfig {
    /// # Errors
    /// The first thing that is wrong. The text begins with the key and says what to do.
    pub fn validate(&self) -> Result<(), String> {
        let issuer = address("oidc.issuer", &self.issuer)?;
        if issuer.scheme() == "http" && !is_loopback(&issuer) {
            let why = "a login over plain HTTP can be read and changed on its way";
            return Err(format!("oidc.issuer is {issuer}: {why}; use https"));
        }
        self.base()?;
        if self.client_id.is_empty() {
            return Err("oidc.client_id is empty: set it to what the provider calls this server".to_owned());
        }
        if self.client_secret.is_some() && self.client_secret_env.is_some() {
            return Err("oidc.client_secret and client_secret_env are both set: keep one".to_owned());
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return Err("oidc.scopes has no openid, without which there is no login: add it".to_owned());
        }
        let labels = [("oidc.label.ja", &self.label.ja), ("oidc.label.en", &self.label.en)];
        if let Some((key, _)) = labels.iter().find(|(_, text)| !(1..=60).contains(&text.trim().chars().count())) {
            return Err(format!("{key} is what the button says: use 1 to 60 characters"));
        }
        if self.role_claim.is_empty() {
            return Err("oidc.role_claim is empty: name the claim that holds the roles, such as groups".to_owned());
        }
        if self.roles.is_empty() && self.default_role.is_none() {
            return Err(
                "oidc.roles is empty and there is no default_role, so nobody could sign in: add [[oidc.roles]]"
                    .to_owned(),
            );
        }
        let rules = self.roles.iter().map(|rule| ("oidc.roles", rule.role, &rule.tenant));
        let default = self.default_role.iter().map(|one| ("oidc.default_role", one.role, &one.tenant));
        for (key, role, tenant) in rules.chain(default) {
            if role == Role::TenantUser && tenant.is_none() {
                return Err(format!("{key} gives tenant_user without a tenant: add the tenant"));
            }
        }
        Ok(())
    }

    /// Where browsers reach this server, with a slash at its end.
    ///
    /// # Errors
    /// When that is no address.
    pub fn base(&self) -> Result<Url, String> {
        let mut base = address("oidc.base_url", &self.base_url)?;
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        Ok(base)
    }

    /// The role of somebody with these claims; `None` for who may not come in.
    pub fn assign(&self, claims: &Map<String, Value>) -> Option<Assigned> {
        let held = values(claims, &self.role_claim);
        let rule = self.roles.iter().find(|rule| held.contains(&rule.value.as_str()));
        rule.map(|rule| Assigned { role: rule.role, tenant: rule.tenant.clone() }).or_else(|| self.default_role.clone())
    }
}

/// The texts of a claim: of that name, or where its dots lead.
pub fn values<'a>(claims: &'a Map<String, Value>, name: &str) -> Vec<&'a str> {
    let found = claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, part| value.get(part))
    });
    match found {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn address(key: &str, text: &str) -> Result<Url, String> {
    let wrong = |what: &str| format!("{key} is {text:?}, {what}: use an address such as https://login.example.com/");
    let url = Url::parse(text).map_err(|error| wrong(&format!("which is no address ({error})")))?;
    if !["http", "https"].contains(&url.scheme()) || url.host().is_none() {
        return Err(wrong("which is neither http nor https"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("which has more than a host and a path"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> OidcConfig {
        OidcConfig {
            issuer: "https://login.example.com/".into(),
            client_id: "kizashi".into(),
            base_url: "https://kizashi.example.com/ops".into(),
            roles: vec![RoleRule { value: "ops".into(), role: Role::Operator, tenant: None }],
            ..OidcConfig::default()
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        assert_eq!(good().validate(), Ok(()));
        assert_eq!(good().base().unwrap().as_str(), "https://kizashi.example.com/ops/");
        type Change = fn(&mut OidcConfig);
        let cases: [(&str, Change); 11] = [
            ("oidc.issuer", |c| c.issuer = "login.example.com".into()),
            ("oidc.issuer", |c| c.issuer = "http://login.example.com/".into()),
            ("oidc.issuer", |c| c.issuer = "https://login.example.com/?a=b".into()),
            ("oidc.base_url", |c| c.base_url = "javascript:alert(1)".into()),
            ("oidc.client_id", |c| c.client_id.clear()),
            ("oidc.client_secret ", |c| {
                (c.client_secret, c.client_secret_env) = (Some("x".into()), Some("Y".into()));
            }),
            ("oidc.scopes", |c| c.scopes = vec!["email".into()]),
            ("oidc.label.ja", |c| c.label.ja = "  ".into()),
            ("oidc.role_claim", |c| c.role_claim.clear()),
            ("oidc.roles", |c| c.roles.clear()),
            ("oidc.default_role", |c| c.default_role = Some(Assigned { role: Role::TenantUser, tenant: None })),
        ];
        for (key, change) in cases {
            let mut config = good();
            change(&mut config);
            let error = config.validate().unwrap_err();
            assert!(error.starts_with(key), "{key}: {error}");
        }
        let near = OidcConfig { issuer: "http://127.0.0.1:9999".into(), ..good() };
        assert_eq!(near.validate(), Ok(()), "a provider on this machine may speak plain HTTP");
    }

    #[test]
    fn no_debug_text_shows_the_secret() {
        let config = OidcConfig { client_secret: Some("hush".into()), ..good() };
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn the_first_rule_that_fits_gives_the_role() {
        let mut config = good();
        config.roles.push(RoleRule { value: "boss".into(), role: Role::Administrator, tenant: None });
        let role = |config: &OidcConfig, claims: Value| config.assign(claims.as_object().unwrap()).map(|one| one.role);
        assert_eq!(role(&config, json!({ "groups": ["boss", "ops"] })), Some(Role::Operator));
        assert_eq!(role(&config, json!({ "groups": "boss" })), Some(Role::Administrator));
        for nothing in [json!({}), json!({ "groups": ["OPS"] }), json!({ "groups": 3 }), json!({ "roles": ["ops"] })] {
            assert_eq!(role(&config, nothing), None);
        }
        config.role_claim = "realm_access.roles".into();
        assert_eq!(role(&config, json!({ "realm_access": { "roles": ["ops"] } })), Some(Role::Operator));
        assert_eq!(role(&config, json!({ "realm_access.roles": ["boss"] })), Some(Role::Administrator));
        config.default_role = Some(Assigned { role: Role::Analyst, tenant: None });
        assert_eq!(role(&config, json!({})), Some(Role::Analyst));
    }
}
