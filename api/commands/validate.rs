//! `kizashi validate`: everything that can be known to be wrong before starting.

use anyhow::{Context as _, Result, bail};
use kizashi_foresight::{Foresight, Registry};
use kizashi_lake::steps::Steps as _;

use crate::cli::{Place, Schema, ValidateArgs};
use crate::config::{self, load};

pub fn run(place: &Place, args: &ValidateArgs) -> Result<()> {
    if let Some(schema) = args.schema {
        let schema = match schema {
            Schema::Configuration => config::schema(),
            Schema::Dashboard => kizashi_dashboards::schema(),
        };
        say!("{}", serde_json::to_string_pretty(&schema)?);
        return Ok(());
    }
    let loaded = load(place)?;
    for file in &loaded.files {
        say!("{}: good", file.display());
    }
    say!("{} checks: good", loaded.checks.len());
    if loaded.config.http.tls().map_err(anyhow::Error::msg)?.is_some() {
        say!("certificate and key: good");
    }
    let (postgres, flight) = (&loaded.config.postgres, &loaded.config.flight);
    let doors = [
        ("postgres", &postgres.tls_cert_file, &postgres.tls_key_file),
        ("flight", &flight.tls_cert_file, &flight.tls_key_file),
    ];
    for (door, certificate, key) in doors {
        if let (Some(certificate), Some(key)) = (certificate, key) {
            kizashi_postgres::tls::server(certificate, key).with_context(|| format!("the certificate of {door}"))?;
            say!("certificate and key of {door}: good");
        }
    }
    if crate::up::oidc(&loaded, &crate::clock::system())?.is_some() {
        say!("sign-in at the OpenID provider: good");
    }

    let runtime = crate::runtime()?;
    runtime.block_on(async {
        let steps = super::test::all(&loaded).await?;
        let engine = crate::up::engine(&loaded.data.join("lake"), &loaded, steps.tables())?;
        let registry = Registry::load(loaded.queries.as_deref())?;
        Foresight::new(engine, registry).check(&loaded.config.host.tenant).await?;
        say!("{} dashboards: good", super::dashboards::check(&loaded, steps.tables()).await?);
        anyhow::Ok(())
    })?;
    if args.run {
        let mut bad = 0;
        for definition in loaded.checks.iter().filter(|d| d.enabled) {
            let outcome = runtime.block_on(kizashi_checks::run_once(
                definition,
                &crate::clock::system(),
                None,
                loaded.config.checks.guard(),
            ));
            let result = &outcome.result;
            bad += usize::from(!result.state.is_ok());
            say!(
                "{:8} {}/{}: {} ({} ms)",
                result.state,
                result.tenant,
                result.check_id,
                result.output,
                result.duration_ms
            );
        }
        if bad > 0 {
            bail!("{bad} checks are not OK now");
        }
    }
    Ok(())
}
