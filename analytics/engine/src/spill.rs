//! Where sorts and joins put what does not fit in memory. The folder is made when the first statement needs it: opening an
//! engine and asking it small things writes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::spill_file::{SpillFile, TempFileFactory};

/// The disk of one statement: a folder of its own below `dir`, gone with its last file.
pub(crate) struct SpillDir {
    dir: PathBuf,
    bytes_max: u64,
    made: Mutex<Option<Arc<DiskManager>>>,
}

impl SpillDir {
    pub fn new(dir: &Path, bytes_max: u64) -> Self {
        Self { dir: dir.to_owned(), bytes_max, made: Mutex::new(None) }
    }

    fn files(&self) -> Result<Arc<DiskManager>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = made.as_ref() {
            return Ok(files.clone());
        }
        std::fs::create_dir_all(&self.dir).map_err(|error| self.error(&error))?;
        let files = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![self.dir.clone()]))
            .with_max_temp_directory_size(self.bytes_max)
            .build()
            .map_err(|error| self.error(&error))?;
        Ok(made.insert(Arc::new(files)).clone())
    }

    fn error(&self, error: &dyn std::fmt::Display) -> DataFusionError {
        let text = format!("{}: no intermediate rows can be put here: {error}", self.dir.display());
        DataFusionError::IoError(std::io::Error::other(text))
    }
}

impl TempFileFactory for SpillDir {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        self.files()?.create_tmp_file(description).map_err(|error| self.error(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_folder_and_its_parents_are_made_with_the_first_file_and_the_bound_on_disk_holds() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data").join("spill");
        let spill = SpillDir::new(&dir, 1_000);
        assert!(!root.path().join("data").exists());
        let file = spill.create_temp_file("a sort").unwrap();
        assert!(file.path().unwrap().starts_with(&dir));
        let mut writer = file.open_writer().unwrap();
        writer.write_all(&[0; 900]).unwrap();
        let refused = writer.write_all(&[0; 200]).unwrap_err().to_string();
        assert!(refused.contains("disk space during the spilling"), "{refused}");
        drop((writer, file, spill));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("data"), "a file").unwrap();
        let dir = root.path().join("data").join("spill");
        let error = SpillDir::new(&dir, 1_000).create_temp_file("a sort").err().unwrap().to_string();
        assert!(error.contains(&dir.display().to_string()), "{error}");
    }
}
