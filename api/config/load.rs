//! Reads the configuration file and its folder. An error names file, line and key, and all of them are told at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use kizashi_checks::Definition;
use kizashi_dashboards::Dashboards;
use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::Config;
use super::lines::{Lines, line};
use crate::cli::Place;

const FILE: &str = "kizashi.toml";
const FOLDER: &str = "kizashi.d";
/// What the portal writes; a file of the folder like the others.
const MANAGED: &str = "portal.toml";
const DATA: &str = "kizashi-data";
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A configuration that holds together.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// Every check: those of this host, of the file and of the folder. The ids are unique per tenant.
    pub checks: Vec<Definition>,
    pub data: PathBuf,
    /// Where more checks, the user's own queries and dashboards lie; it need not exist.
    pub folder: PathBuf,
    /// The user's own views, detectors and predictions, if the folder is there.
    pub queries: Option<PathBuf>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// The checks of the files, each with its place; those of this host are in none.
    pub written: Vec<Named>,
}

/// A text to take for the file's of this path, whether that is there or not.
#[derive(Clone, Copy, Debug)]
pub struct Instead<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Loaded {
    /// The file whose checks the portal writes.
    pub fn managed(&self) -> PathBuf {
        self.folder.join(MANAGED)
    }

    /// The user's own dashboards.
    pub fn dashboards(&self) -> Dashboards {
        Dashboards::new(self.folder.join("dashboards"))
    }

    /// The user's own views, if the folder is there.
    pub fn views(&self) -> Option<PathBuf> {
        self.queries.as_ref().map(|queries| queries.join("views")).filter(|views| views.is_dir())
    }
}

/// A check and where it is written: `file:line`.
#[derive(Clone, Debug)]
pub struct Named {
    pub path: PathBuf,
    pub line: usize,
    pub definition: Definition,
}

impl Named {
    pub fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line)
    }
}

/// # Errors
/// Everything that is wrong, one line each.
pub fn load(place: &Place) -> Result<Loaded> {
    load_with(place, None)
}

/// As [`load`], with one file of the folder as it would be.
///
/// # Errors
/// As [`load`].
pub fn load_with(place: &Place, instead: Option<Instead<'_>>) -> Result<Loaded> {
    let file = match &place.config {
        Some(path) => Some(path.clone()),
        None => Some(PathBuf::from(FILE)).filter(|p| p.exists()),
    };
    let home = file.as_deref().and_then(Path::parent).map_or_else(PathBuf::new, Path::to_path_buf);
    let mut files = Vec::new();
    let mut wrong = Vec::new();
    let mut named = Vec::new();

    let mut config = Config::default();
    if let Some(path) = file {
        let text = read(&path)?;
        if let Some(document) = noted(Document::parse(&path, &text), &mut wrong) {
            let (document, checks) = document.checks(&mut wrong);
            named.extend(checks);
            config = document.config(&mut wrong);
        }
        files.push(path);
    }
    config.beside(&home);
    config.check = named.iter().map(|n: &Named| n.definition.clone()).collect();

    let folder = home.join(FOLDER);
    let mut paths = toml_files(&folder)?;
    if let Some(Instead { path, .. }) = instead {
        let same = |one: &PathBuf| one.file_name() == path.file_name();
        if !paths.iter().any(same) {
            paths.extend(path.file_name().map(|name| folder.join(name)));
            paths.sort();
        }
    }
    for path in paths {
        let text = match instead.filter(|instead| instead.path.file_name() == path.file_name()) {
            Some(instead) => instead.text.to_owned(),
            None => read(&path)?,
        };
        if let Some(document) = noted(Document::parse(&path, &text), &mut wrong) {
            let (document, checks) = document.checks(&mut wrong);
            named.extend(checks);
            document.nothing_else(&mut wrong);
        }
        files.push(path);
    }
    wrong.extend(doubles(&named));
    if !wrong.is_empty() {
        bail!("the configuration is not valid:\n  {}", wrong.join("\n").replace('\n', "\n  "));
    }

    let mut checks: Vec<Definition> = named.iter().map(|n| n.definition.clone()).collect();
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
    let folder = std::path::absolute(&folder).with_context(|| format!("the folder {}", folder.display()))?;
    Ok(Loaded { config, checks, data, folder, queries, files, written: named })
}

fn read(path: &Path) -> Result<String> {
    let size = std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?.len();
    if size > FILE_BYTES_MAX {
        bail!("{}: {size} bytes; a configuration file has at most {FILE_BYTES_MAX}", path.display());
    }
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn noted<T>(result: Result<T, String>, wrong: &mut Vec<String>) -> Option<T> {
    result.map_err(|fault| wrong.push(fault)).ok()
}

/// One file, parsed. What is taken out of it is checked, and every fault becomes `file:line: what`.
struct Document<'t> {
    path: &'t Path,
    text: &'t str,
    root: Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    fn parse(path: &'t Path, text: &'t str) -> Result<Self, String> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Self { path, text, root }),
            Err(error) => Err(told(path, text, error)),
        }
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// Takes the checks out, each by itself, so that a fault in one is on its own line and does not hide the next.
    fn checks(mut self, wrong: &mut Vec<String>) -> (Self, Vec<Named>) {
        let Some((key, value)) = self.root.get_mut().remove_entry("check") else { return (self, Vec::new()) };
        let DeValue::Array(written) = value.into_inner() else {
            let place = self.place(line(self.text, key.span().start));
            wrong.push(format!("{place}: check is not a list: begin each check with [[check]]"));
            return (self, Vec::new());
        };
        let mut found = Vec::new();
        for check in written {
            let first = line(self.text, check.span().start);
            let lines = check.get_ref().as_table().map(|table| Lines::new(self.text, table, first));
            match Definition::deserialize(ValueDeserializer::from(check)) {
                Ok(definition) => {
                    found.push(Named { path: self.path.to_owned(), line: first, definition });
                }
                // The faults of a whole check say which one it is, with a key each; those of the parser have their place.
                Err(error) if error.message().starts_with("check \"") => {
                    for fault in error.message().lines() {
                        let what = fault.split_once("\": ").map_or(fault, |(_, what)| what);
                        let line = lines.as_ref().map_or(first, |lines| lines.of(what));
                        wrong.push(format!("{}: {fault}", self.place(line)));
                    }
                }
                Err(error) => wrong.push(told(self.path, self.text, error)),
            }
        }
        (self, found)
    }

    /// Everything but the checks.
    fn config(self, wrong: &mut Vec<String>) -> Config {
        let lines = Lines::new(self.text, self.root.get_ref(), 1);
        let (path, text) = (self.path, self.text);
        match Config::deserialize(toml::Deserializer::from(self.root)) {
            Ok(config) => {
                let faults = config.problems();
                wrong.extend(faults.iter().map(|fault| format!("{}:{}: {fault}", path.display(), lines.of(fault))));
                config
            }
            Err(error) => {
                wrong.push(told(path, text, error));
                Config::default()
            }
        }
    }

    /// A file of kizashi.d has checks only.
    fn nothing_else(&self, wrong: &mut Vec<String>) {
        wrong.extend(self.root.get_ref().keys().map(|key| {
            let place = self.place(line(self.text, key.span().start));
            format!("{place}: {} is not known here: a file of {FOLDER} has [[check]] only", key.get_ref())
        }));
    }
}

/// A fault of the parser, with the line that it shows.
fn told(path: &Path, text: &str, mut error: toml::de::Error) -> String {
    error.set_input(Some(text));
    let line = error.span().map_or(1, |span| line(text, span.start));
    format!("{}:{line}: {}", path.display(), error.to_string().trim_end())
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

fn doubles(named: &[Named]) -> Vec<String> {
    let mut first: BTreeMap<(&str, &str), String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for one in named {
        let (place, definition) = (one.place(), &one.definition);
        let key = (definition.tenant.as_str(), definition.id.as_str());
        if let Some(earlier) = first.get(&key) {
            wrong.push(format!(
                "{place}: check {:?} of tenant {:?} is already in {earlier}; give one of them another id",
                key.1, key.0
            ));
        } else {
            first.insert(key, place);
        }
    }
    wrong
}
