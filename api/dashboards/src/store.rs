//! The folder of dashboards: one file each, written whole or not at all. Those that are shipped lie below; a file of the same
//! name covers one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::{Dashboard, Fault, Source, shipped};

const BYTES_MAX: u64 = 512 * 1024;
const FILES_MAX: usize = 500;

/// What a dashboard is called: its file's name without `.toml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if (1..=60).contains(&name.len()) && name.chars().all(good) {
            return Ok(Self(name));
        }
        let shown: String = name.chars().take(60).collect();
        Err(format!("a dashboard cannot be called {shown:?}: use a-z, 0-9, - and _, at most 60"))
    }
}

/// A dashboard as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub name: Name,
    /// Where it is written.
    pub file: String,
    /// It comes with Kizashi and cannot be changed under this name.
    pub shipped: bool,
    pub text: String,
    pub parsed: Result<Dashboard, Vec<Fault>>,
}

impl Found {
    /// Names this content.
    #[must_use]
    pub fn tag(&self) -> String {
        Sha256::digest(&self.text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no dashboard {0}")]
    NotFound(String),
    #[error("dashboard {0} comes with Kizashi: save it under another name")]
    Shipped(String),
    #[error("there are {FILES_MAX} dashboards already: remove one first")]
    Full,
    #[error("dashboard {0} is no longer what you have seen: read it again, then decide")]
    Changed(String),
    #[error("{path} cannot be {action}: {reason}")]
    Io { path: PathBuf, action: &'static str, reason: String },
}

/// On what terms something is written; the content's tag is [`Found::tag`].
pub type Unless<'a> = &'a dyn Fn(Option<&Found>) -> bool;

/// Clones share the folder's lock.
#[derive(Clone, Debug)]
pub struct Dashboards {
    folder: PathBuf,
    /// Held from the look at what is there to the end of a write.
    writing: Arc<Mutex<()>>,
}

impl Dashboards {
    /// The folder need not exist; it is made with the first file.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, writing: Arc::default() }
    }

    /// Every dashboard by name, those with a fault too. Blocks.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Found>, StoreError> {
        let ours = shipped::all().into_iter().filter_map(|(name, text)| {
            let name = Name::try_from(name).ok()?;
            Some((name.clone(), found(name, None, text)))
        });
        let mut all: BTreeMap<Name, Found> = ours.collect();
        for path in self.files()? {
            let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            let Some(name) = name.and_then(|name| Name::try_from(name).ok()) else { continue };
            all.insert(name.clone(), at(name, &path));
        }
        Ok(all.into_values().collect())
    }

    /// One of them. Blocks.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn read(&self, name: &Name) -> Result<Found, StoreError> {
        let path = self.path(name);
        if path.is_file() {
            return Ok(at(name.clone(), &path));
        }
        let ours = shipped::all().into_iter().find(|(ours, _)| ours == name.as_str());
        let (_, text) = ours.ok_or_else(|| StoreError::NotFound(name.0.clone()))?;
        Ok(found(name.clone(), None, text))
    }

    /// Writes the text, which the caller has judged, unless `refuse` says no to what is there. Blocks.
    ///
    /// # Errors
    /// `Shipped`, `Changed`, `Full`, or `Io` with the old file in place.
    pub fn write(&self, name: &Name, text: &str, refuse: Unless<'_>) -> Result<Found, StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.may_change(name, refuse)?;
        let path = self.path(name);
        if !path.exists() && self.files()?.len() >= FILES_MAX {
            return Err(StoreError::Full);
        }
        fs::create_dir_all(&self.folder).map_err(io(&self.folder, "made"))?;
        let beside = self.folder.join(format!(".{}.new", name.0));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(io(&path, "written"))?;
        Ok(at(name.clone(), &path))
    }

    /// Removes the file; a shipped one that it covered is there again. Blocks.
    ///
    /// # Errors
    /// `NotFound`, `Shipped`, `Changed`, or `Io`.
    pub fn remove(&self, name: &Name, refuse: Unless<'_>) -> Result<(), StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.may_change(name, refuse)?.is_none() {
            return Err(StoreError::NotFound(name.0.clone()));
        }
        let path = self.path(name);
        fs::remove_file(&path).map_err(io(&path, "removed"))
    }

    fn may_change(&self, name: &Name, refuse: Unless<'_>) -> Result<Option<Found>, StoreError> {
        let there = match self.read(name) {
            Ok(there) => Some(there),
            Err(StoreError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        if there.as_ref().is_some_and(|there| there.shipped) {
            return Err(StoreError::Shipped(name.0.clone()));
        }
        if refuse(there.as_ref()) {
            return Err(StoreError::Changed(name.0.clone()));
        }
        Ok(there)
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(format!("{}.toml", name.0))
    }

    fn files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(&self.folder, "read")(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(io(&self.folder, "read"))?.path();
            if path.extension().is_some_and(|end| end == "toml") && path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        files.truncate(FILES_MAX);
        Ok(files)
    }
}

fn found(name: Name, file: Option<String>, text: String) -> Found {
    let shipped = file.is_none();
    let file = file.unwrap_or_else(|| format!("dashboards/shipped/{}.toml", name.0));
    let parsed = Source(&text).parse();
    Found { name, file, shipped, text, parsed }
}

/// A file that cannot be read is a dashboard with a fault.
fn at(name: Name, path: &Path) -> Found {
    let file = path.display().to_string();
    let size = fs::metadata(path).map(|about| about.len());
    let text = match size {
        Ok(size) if size > BYTES_MAX => Err(format!("the file has {size} bytes; at most {BYTES_MAX} are read")),
        Ok(_) => fs::read_to_string(path).map_err(|error| format!("the file cannot be read: {error}")),
        Err(error) => Err(format!("the file cannot be read: {error}")),
    };
    match text {
        Ok(text) => found(name, Some(file), text),
        Err(message) => {
            let fault = Fault { line: 1, key: String::new(), message };
            Found { name, file, shipped: false, text: String::new(), parsed: Err(vec![fault]) }
        }
    }
}

fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { path, action, reason: error.to_string() }
}
