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
    let path = args.tenant.as_ref().map_or_else(|| "/api/v1/sql".to_owned(), |t| format!("/api/v1/sql?tenant={t}"));
    let (bytes, truncated) =
        client.post_noting(&path, &json!({"sql": statement, "format": args.format.name()}), "kizashi-truncated")?;
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
        eprintln!("kizashi: only the first rows are shown; add a limit, or raise sql.rows_max");
    }
    Ok(())
}
