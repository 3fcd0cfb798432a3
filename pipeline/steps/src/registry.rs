//! The files: steps that the product ships, embedded, and those of the user's folder.

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::StepError;
use crate::header::{Header, is_name};
use crate::reference::{self, Reference};

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../queries/steps");
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// One step as its file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file's name without `.sql`.
    pub name: String,
    /// Where it comes from, for people: a path.
    pub file: String,
    pub header: Header,
    pub sql: String,
    /// The text of `NAME.test.toml` beside it.
    pub(crate) test: Option<String>,
}

impl Source {
    /// # Errors
    /// With file and line: a name or a header that is wrong.
    pub(crate) fn parse(name: &str, file: &str, sql: &str, test: Option<String>) -> Result<Self, StepError> {
        if !is_name(name) {
            let how = format!("a step cannot be named {name:?}: use a-z, 0-9 and _, a letter first");
            return Err(StepError::file(file, 1, how));
        }
        let header = Header::parse(sql).map_err(|(line, message)| StepError::file(file, line, message))?;
        Ok(Self { name: name.to_owned(), file: file.to_owned(), header, sql: sql.to_owned(), test })
    }

    /// The path of the test file.
    pub(crate) fn test_file(&self) -> String {
        format!("{}.test.toml", self.file.trim_end_matches(".sql"))
    }
}

/// Steps and reference tables: the shipped steps and what is in `user_dir/steps` and `user_dir/reference`, where these
/// exist. A file of the user's takes the place of a shipped one of the same name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    pub steps: BTreeMap<String, Source>,
    pub references: Vec<Reference>,
}

/// # Errors
/// With file and line: a header, or a row of a reference table, that is wrong. Also when a folder or file cannot be read.
pub fn load(user_dir: Option<&Path>) -> Result<Files, StepError> {
    let mut files = Files::default();
    for file in SHIPPED.files() {
        let Some((name, sql)) =
            file.path().to_str().and_then(|name| name.strip_suffix(".sql")).zip(file.contents_utf8())
        else {
            continue;
        };
        let test = SHIPPED.get_file(format!("{name}.test.toml")).and_then(|test| test.contents_utf8());
        let source = Source::parse(name, &format!("queries/steps/{name}.sql"), sql, test.map(str::to_owned))?;
        files.steps.insert(name.to_owned(), source);
    }
    if let Some(dir) = user_dir {
        for path in listed(&dir.join("steps"), "sql")? {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let beside = path.with_extension("test.toml");
            let test = if beside.exists() { Some(text(&beside)?) } else { None };
            let source = Source::parse(&name, &path.display().to_string(), &text(&path)?, test)?;
            files.steps.insert(name, source);
        }
        for path in listed(&dir.join("reference"), "csv")? {
            files.references.push(reference::read(&path)?);
        }
    }
    Ok(files)
}

/// The files of a folder that need not exist, in order.
fn listed(dir: &Path, extension: &str) -> Result<Vec<std::path::PathBuf>, StepError> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |error: std::io::Error| StepError::read(dir, error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|of| of == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> Result<String, StepError> {
    let length = path.metadata().map_err(|error| StepError::read(path, error))?.len();
    if length > FILE_BYTES_MAX {
        return Err(StepError::read(path, format!("{length} bytes; it may have {FILE_BYTES_MAX}")));
    }
    std::fs::read_to_string(path).map_err(|error| StepError::read(path, error))
}
