//! Reads the configuration file and its folder. An error names file, line and key, and all of them are told at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use kizashi_checks::Definition;
use serde::Deserialize;

use super::Config;
use crate::cli::Place;

const FILE: &str = "kizashi.toml";
const FOLDER: &str = "kizashi.d";
const DATA: &str = "kizashi-data";
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A configuration that holds together.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// Every check: those of this host, of the file and of the folder. The ids are unique per tenant.
    pub checks: Vec<Definition>,
    pub data: PathBuf,
    /// The user's own views, detectors and predictions, if the folder is there.
    pub queries: Option<PathBuf>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
}

impl Loaded {
    /// The user's own views, if the folder is there.
    pub fn views(&self) -> Option<PathBuf> {
        self.queries.as_ref().map(|queries| queries.join("views")).filter(|views| views.is_dir())
    }
}

/// A file of kizashi.d: checks only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChecksFile {
    #[serde(default)]
    check: Vec<Definition>,
}

/// # Errors
/// Everything that is wrong, one line each.
pub fn load(place: &Place) -> Result<Loaded> {
    let file = match &place.config {
        Some(path) => Some(path.clone()),
        None => Some(PathBuf::from(FILE)).filter(|p| p.exists()),
    };
    let home = file.as_deref().and_then(Path::parent).map_or_else(PathBuf::new, Path::to_path_buf);
    let mut files = Vec::new();
    let mut wrong = Vec::new();

    let config: Config = match &file {
        Some(path) => {
            files.push(path.clone());
            parse(path)?
        }
        None => Config::default(),
    };
    let at = |path: &Path, what: &str| format!("{}: {what}", path.display());
    let main = file.unwrap_or_else(|| PathBuf::from(FILE));
    wrong.extend(config.problems().iter().map(|p| at(&main, p)));

    let mut named: Vec<(PathBuf, Definition)> = config.check.iter().map(|d| (main.clone(), d.clone())).collect();
    let folder = home.join(FOLDER);
    for path in toml_files(&folder)? {
        match parse::<ChecksFile>(&path) {
            Ok(found) => named.extend(found.check.into_iter().map(|d| (path.clone(), d))),
            Err(error) => wrong.push(format!("{error:#}")),
        }
        files.push(path);
    }
    wrong.extend(
        named
            .iter()
            .filter_map(|(path, d)| d.validate().err().map(|e| at(path, &format!("check {:?}: {e}", d.id.as_str())))),
    );
    wrong.extend(doubles(&named));
    if !wrong.is_empty() {
        bail!("the configuration is not valid:\n  {}", wrong.join("\n  "));
    }

    let mut checks: Vec<Definition> = named.into_iter().map(|(_, d)| d).collect();
    if config.host.enabled {
        for default in Definition::host_defaults(&config.host.tenant) {
            if !checks.iter().any(|d| d.tenant == default.tenant && d.id == default.id) {
                checks.push(default);
            }
        }
    }
    let data = place.data.clone().unwrap_or_else(|| home.join(config.data.clone().unwrap_or_else(|| DATA.into())));
    let data = std::path::absolute(&data).with_context(|| format!("the data folder {}", data.display()))?;
    let queries = Some(folder.join("queries")).filter(|p| p.is_dir());
    Ok(Loaded { config, checks, data, queries, files })
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let size = std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?.len();
    if size > FILE_BYTES_MAX {
        bail!("{}: {size} bytes; a configuration file has at most {FILE_BYTES_MAX}", path.display());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        anyhow::anyhow!("{}:{line}: {}", path.display(), error.to_string().trim_end())
    })
}

fn toml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn doubles(named: &[(PathBuf, Definition)]) -> Vec<String> {
    let mut first: BTreeMap<(&str, &str), &Path> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (path, definition) in named {
        let key = (definition.tenant.as_str(), definition.id.as_str());
        if let Some(earlier) = first.get(&key) {
            wrong.push(format!(
                "{}: check {:?} of tenant {:?} is already in {}; give one of them another id",
                path.display(),
                key.1,
                key.0,
                earlier.display()
            ));
        } else {
            first.insert(key, path);
        }
    }
    wrong
}
