//! The data folder: one process at a time, one format, and the token that was made at first start.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Raised when older products could not read what this one writes.
const FORMAT: u32 = 1;
const TOKEN_BYTES: usize = 24;

/// Held for as long as the process works on the folder; the lock goes with it, also when it is killed.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    _lock: File,
}

/// The administrator's token, and whether it was made just now.
#[derive(Debug)]
pub struct Token {
    pub text: String,
    pub new: bool,
}

impl DataFolder {
    /// # Errors
    /// When the folder cannot be written, is in use, or has a newer format.
    pub fn open(root: &Path) -> Result<Self> {
        let shown = root.display();
        std::fs::create_dir_all(root).with_context(|| {
            format!("the data folder {shown} cannot be made; set `data` or --data to a folder that this user may write")
        })?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .with_context(|| format!("the data folder {shown} cannot be written; set `data` or --data to a folder that this user may write"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "the data folder {shown} is in use by another kizashi; stop it, or give this one its own folder with --data"
                )
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{shown}/lock cannot be locked"));
            }
        }
        let folder = Self { root: root.to_path_buf(), _lock: lock };
        folder.check_format()?;
        Ok(folder)
    }

    fn check_format(&self) -> Result<()> {
        let path = self.root.join("format");
        if !path.exists() {
            return write_whole(&path, format!("{FORMAT}\n").as_bytes(), 0o644);
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let format: u32 =
            text.trim().parse().with_context(|| format!("{} should hold a number, not {text:?}", path.display()))?;
        if format > FORMAT {
            bail!(
                "the data folder {} has format {format}, and this kizashi knows formats up to {FORMAT}; start the newer kizashi that wrote it",
                self.root.display()
            );
        }
        Ok(())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The given token, else the stored one, else a new one, stored for this user only so that the commands find it.
    ///
    /// # Errors
    /// When it cannot be stored, or the given one is too short.
    pub fn token(&self, given: Option<&str>) -> Result<Token> {
        let path = token_path(&self.root);
        if let Some(text) = given {
            if text.len() < 16 {
                bail!("KIZASHI_ADMIN_TOKEN is shorter than 16 characters; make one with `openssl rand -hex 24`");
            }
            write_whole(&path, text.as_bytes(), 0o600)?;
            return Ok(Token { text: text.to_owned(), new: false });
        }
        if let Some(text) = stored_token(&self.root)? {
            return Ok(Token { text, new: false });
        }
        let mut random = [0_u8; TOKEN_BYTES];
        getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("the system gave no random bytes: {e}"))?;
        let text: String = random.iter().map(|b| format!("{b:02x}")).collect();
        write_whole(&path, text.as_bytes(), 0o600)?;
        Ok(Token { text, new: true })
    }
}

fn token_path(root: &Path) -> PathBuf {
    root.join("admin.token")
}

/// What `up` left for this user, if it is there and readable.
///
/// # Errors
/// When it is there and cannot be read.
pub fn stored_token(root: &Path) -> Result<Option<String>> {
    let path = token_path(root);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("{} cannot be read; give the token with --token", path.display()))
        }
    }
}

/// Where the running product can be reached, as `up` wrote it.
pub fn stored_url(root: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(root.join("url")).ok()?.take(1024).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

/// All of the content or none: written beside, synced, renamed.
///
/// # Errors
/// When a step fails; the old content is then still there.
pub fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}
