//! `kizashi sql`: asks the running product.

use std::fs::File;
use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::cli::{Format, Place, SqlArgs};
use crate::client::Client;
use crate::config::load;

const STATEMENT_BYTES_MAX: u64 = 1024 * 1024;

pub fn run(place: &Place, args: &SqlArgs) -> Result<()> {
    let loaded = load(place)?;
    let mut statement = args.statement.clone();
    if statement == "-" {
        statement.clear();
        std::io::stdin()
            .take(STATEMENT_BYTES_MAX)
            .read_to_string(&mut statement)
            .context("standard input is not text")?;
    }
    let client = Client::new(place, &loaded)?;
    let mut request = json!({"sql": statement, "format": args.format.name()});
    match (args.rows, args.format) {
        (Some(rows), _) => request["rows"] = json!(rows),
        (None, Format::Table) => {}
        (None, _) => request["rows"] = json!(loaded.config.http.sql_rows_max),
    }
    let waiting = super::waiting("asking");
    let path = args.tenant.as_ref().map_or_else(|| "/api/v1/sql".to_owned(), |t| format!("/api/v1/sql?tenant={t}"));
    let (bytes, truncated) = client.post_noting(&path, &request, "kizashi-truncated")?;
    waiting.finish_and_clear();
    match &args.output {
        Some(path) => File::create(path)
            .and_then(|mut f| f.write_all(&bytes))
            .with_context(|| format!("{} cannot be written", path.display()))?,
        None if args.format == Format::Parquet && std::io::IsTerminal::is_terminal(&std::io::stdout()) => {
            bail!("Parquet is not for a terminal; write it to a file with --output FILE")
        }
        None => match std::io::stdout().write_all(&bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            other => other.context("standard output cannot be written")?,
        },
    }
    if truncated {
        bail!(
            "there are more rows than were given; ask for more with --rows (at most http.sql_rows_max), or for fewer in SQL"
        );
    }
    Ok(())
}
