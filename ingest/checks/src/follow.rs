//! Reads the new lines of a log file, across rotation and restarts.
//!
//! A position is an inode, an offset, and a hash of the bytes before the offset. A file continues when all three agree.
//! When they do not, the log was rotated: by renaming (the old inode has another name now) or by copying and truncating
//! (a file beside it has the same bytes before the offset). Either way the rest of the old file is found and read first,
//! then what was rotated after it, then the log itself. The newest rotated file is looked at once more in the next run,
//! for a writer that was slow to move on.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const TAIL_BYTES: u64 = 1024;
const CHUNK_BYTES: usize = 64 * 1024;
/// Entries of the log's folder that are looked at to find a rotated file.
const ENTRIES_MAX: usize = 10_000;
/// Rotated files that are opened to find the right one.
const BESIDE_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    device: u64,
    inode: u64,
    /// Everything before it was read.
    offset: u64,
    /// The offset is inside a line that was too long: its rest is passed over.
    skipping: bool,
    /// Hash of up to [`TAIL_BYTES`] before the offset.
    tail: String,
}

/// Where the last run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// A mark of another file means nothing.
    pub path: PathBuf,
    now: Position,
    /// The rotated file, for one more look.
    before: Option<Position>,
}

/// Bounds of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of a longer line, this much is seen.
    pub line_bytes_max: usize,
    /// More than `line_bytes_max`.
    pub bytes_max: u64,
    pub deadline: Instant,
}

#[derive(Debug)]
pub(crate) struct Followed {
    pub mark: Mark,
    /// A bound was reached; the next run goes on from here.
    pub behind: bool,
    /// The log was rotated and the rest of the old file is nowhere beside it.
    pub lost: bool,
}

/// Hands every new line to `line`. Without a mark the first run starts at the end of the file, or at its start. Blocking.
///
/// # Errors
/// When the file cannot be read, or is not a regular one.
pub(crate) fn follow(
    path: &Path,
    mark: Option<&Mark>,
    from_start: bool,
    limits: Limits,
    line: &mut dyn FnMut(&[u8]),
) -> io::Result<Followed> {
    let file = open(path)?;
    let mut reader = Reader { left: limits.bytes_max, limits, line };
    let Some(mark) = mark else {
        let offset = if from_start { 0 } else { file.metadata()?.len() };
        let (now, complete) = reader.read(&file, &position(&file, offset, false)?, false)?;
        return Ok(Followed { mark: Mark { path: path.into(), now, before: None }, behind: !complete, lost: false });
    };
    if let Some(at) = &mark.before
        && let Some(older) = rotated(path, at, None, &file).into_iter().next()
    {
        reader.read(&older, at, true)?;
    }

    let mut start = mark.now.clone();
    let (mut before, mut lost) = (None, false);
    if !continues(&file, &mark.now)? {
        let old = rotated(path, &mark.now, mark.before.as_ref(), &file);
        lost = old.is_empty() && mark.now.offset > 0;
        for older in old {
            let (rest, complete) = reader.read(&older, &start, false)?;
            if !complete {
                return Ok(Followed { mark: Mark { path: path.into(), now: rest, before: None }, behind: true, lost });
            }
            before = Some(rest);
            start = position(&older, 0, false)?;
        }
        start = position(&file, 0, false)?;
    }
    let (now, complete) = reader.read(&file, &start, false)?;
    Ok(Followed { mark: Mark { path: path.into(), now, before }, behind: !complete, lost })
}

/// Does not wait for a writer, as opening a named pipe would.
fn open(path: &Path) -> io::Result<File> {
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

fn tail(file: &File, offset: u64) -> io::Result<String> {
    let length = offset.min(TAIL_BYTES);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut bytes, offset - length)?;
    Ok(Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

fn position(file: &File, offset: u64, skipping: bool) -> io::Result<Position> {
    let metadata = file.metadata()?;
    Ok(Position { device: metadata.dev(), inode: metadata.ino(), offset, skipping, tail: tail(file, offset)? })
}

fn has_its_bytes(file: &File, at: &Position) -> io::Result<bool> {
    Ok(file.metadata()?.len() >= at.offset && tail(file, at.offset)? == at.tail)
}

fn continues(file: &File, at: &Position) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(metadata.dev() == at.device && metadata.ino() == at.inode && has_its_bytes(file, at)?)
}

/// Beside `path` and named after it: the file that holds what was read up to the position, by inode or else a copy by its
/// bytes, and those that were rotated after it, oldest first. Empty when the first is not there. `done` was read before,
/// however late it was written to.
fn rotated(path: &Path, at: &Position, done: Option<&Position>, current: &File) -> Vec<File> {
    let mut beside = beside(path, current);
    let by_inode = beside.iter().position(|file| continues(&file.file, at).unwrap_or(false));
    let by_bytes = || beside.iter().position(|file| at.offset > 0 && has_its_bytes(&file.file, at).unwrap_or(false));
    let Some(first) = by_inode.or_else(by_bytes) else { return Vec::new() };
    let first = beside.swap_remove(first);
    let is_done = |file: &Beside| done.is_some_and(|done| file.id == (done.device, done.inode));
    let follows = |file: &Beside| file.is_generation && file.modified > first.modified && !is_done(file);
    let mut later: Vec<Beside> = beside.into_iter().filter(follows).collect();
    later.sort_by_key(|file| file.modified);
    std::iter::once(first).chain(later).map(|file| file.file).collect()
}

struct Beside {
    file: File,
    /// Device and inode.
    id: (u64, u64),
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Named as rotation does, with a number or a date; not another log that happens to begin alike.
    is_generation: bool,
}

fn beside(path: &Path, current: &File) -> Vec<Beside> {
    let Some(name) = path.file_name().map(OsStr::as_encoded_bytes) else { return Vec::new() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let current = current.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let mut found = Vec::new();
    for entry in entries.take(ENTRIES_MAX).flatten() {
        let other = entry.file_name();
        let Some(suffix) = other.as_encoded_bytes().strip_prefix(name).filter(|suffix| !suffix.is_empty()) else {
            continue;
        };
        let Ok(file) = open(&entry.path()) else { continue };
        let Ok(metadata) = file.metadata() else { continue };
        let id = (metadata.dev(), metadata.ino());
        if Some(id) == current {
            continue;
        }
        let is_generation = suffix.iter().all(|byte| byte.is_ascii_digit() || b".-_".contains(byte));
        found.push(Beside { file, id, modified: (metadata.mtime(), metadata.mtime_nsec()), is_generation });
        if found.len() == BESIDE_MAX {
            break;
        }
    }
    found
}

struct Reader<'a> {
    limits: Limits,
    left: u64,
    line: &'a mut dyn FnMut(&[u8]),
}

impl Reader<'_> {
    /// Reads whole lines from a position to the end; `last` also takes a final line without a line end. Gives the new
    /// position and whether the end was reached.
    fn read(&mut self, file: &File, from: &Position, last: bool) -> io::Result<(Position, bool)> {
        let (mut offset, mut skipping) = (from.offset, from.skipping);
        let mut cursor = offset;
        let mut begun: Vec<u8> = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut complete = false;
        while self.left > 0 && Instant::now() < self.limits.deadline {
            let room = usize::try_from(self.left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let read = file.read_at(&mut chunk[..room], cursor)?;
            if read == 0 {
                complete = true;
                break;
            }
            cursor += read as u64;
            self.left = self.left.saturating_sub(read as u64);
            let mut rest = &chunk[..read];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let (text, after) = (&rest[..end], &rest[end + 1..]);
                if !skipping {
                    self.take(&mut begun, text);
                }
                skipping = false;
                begun.clear();
                rest = after;
                offset = cursor - rest.len() as u64;
            }
            if !skipping {
                begun.extend_from_slice(rest);
                skipping = begun.len() >= self.limits.line_bytes_max;
                if skipping {
                    self.take(&mut Vec::new(), &begun);
                    begun.clear();
                }
            }
            if skipping {
                offset = cursor;
            }
        }
        if last && complete && !begun.is_empty() {
            self.take(&mut Vec::new(), &begun);
            offset = cursor;
        }
        Ok((position(file, offset, skipping)?, complete))
    }

    /// Hands over the line that `begun` and `text` make up.
    fn take(&mut self, begun: &mut Vec<u8>, text: &[u8]) {
        let whole = if begun.is_empty() {
            text
        } else {
            begun.extend_from_slice(text);
            begun
        };
        let seen = &whole[..whole.len().min(self.limits.line_bytes_max)];
        (self.line)(seen.strip_suffix(b"\r").unwrap_or(seen));
    }
}

#[cfg(test)]
mod tests;
