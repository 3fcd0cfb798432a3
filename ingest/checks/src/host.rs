//! The checks that every host has without a line of configuration: processor, memory, the product's own pipeline, and each
//! real file system.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kizashi_model::{CheckId, Span, TenantId};
use sysinfo::{DiskRefreshKind, Disks};

use crate::Definition;
use crate::kinds::{Cpu, Disk, Kind, Memory, Pipeline};

/// File systems that keep files on a device of this host. The rest is kernel state, memory, network or a layer above one
/// of these.
const REAL: &[&str] = &[
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "nilfs2", "reiserfs", "bcachefs", "vfat", "exfat",
    "ntfs", "ntfs3", "fuseblk", "apfs", "hfs", "ufs",
];
const ID_LENGTH_MAX: usize = 128;

impl Definition {
    /// The checks of this host: `cpu`, `memory`, `pipeline`, and `disk:<mount point>` once per device, `disk:/` among them. Blocking.
    #[must_use]
    pub fn host_defaults(tenant: &TenantId) -> Vec<Self> {
        let mut definitions = Vec::new();
        let mut add = |id: &str, kind: Kind| {
            if let Ok(id) = CheckId::new(id) {
                definitions.push(Self { tenant: tenant.clone(), ..Self::new(id, kind) });
            }
        };
        add("cpu", Cpu::default().into());
        add("memory", Memory::default().into());
        add("pipeline", Pipeline::default().into());
        for mount in file_systems() {
            add(&id_of(&mount), Disk::new(mount).into());
        }
        for definition in definitions.iter_mut().filter(|d| matches!(d.kind, Kind::Cpu(_))) {
            // A busy processor is a problem when it stays busy: ten minutes of it.
            definition.attempts = 20;
            definition.retry_interval = Span::from_secs(30);
        }
        definitions
    }
}

/// Mount points, `/` first, one per device.
fn file_systems() -> Vec<PathBuf> {
    let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing());
    let mut mounts: Vec<(&Path, String)> = disks
        .list()
        .iter()
        .filter(|disk| REAL.contains(&disk.file_system().to_string_lossy().as_ref()))
        .map(|disk| (disk.mount_point(), disk.name().to_string_lossy().into_owned()))
        .collect();
    mounts.sort_by_key(|(path, _)| (path.as_os_str().len(), *path));

    let root = Path::new("/");
    let named = |path: &Path| mounts.iter().find(|(mount, _)| *mount == path).map(|(_, device)| device.clone());
    let mut devices: BTreeSet<String> = named(root).into_iter().collect();
    let mut numbers: BTreeSet<u64> = fs::metadata(root).iter().map(MetadataExt::dev).collect();
    let mut found = vec![root.to_path_buf()];
    for (path, device) in &mounts {
        let Ok(metadata) = fs::metadata(path) else { continue };
        // A file that is mounted over another, as containers do, is no file system.
        if metadata.is_dir() && numbers.insert(metadata.dev()) && devices.insert(device.clone()) {
            found.push((*path).to_path_buf());
        }
    }
    found
}

/// `disk:/var/log`. What an id may not hold becomes `_`, and a hash of the path then keeps two of them apart.
fn id_of(mount: &Path) -> String {
    let path = mount.to_string_lossy();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:/@".contains(c);
    let plain: String = path.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    let id = format!("disk:{plain}");
    if plain == path && id.len() <= ID_LENGTH_MAX {
        return id;
    }
    let number = crate::plan::hash(&path);
    let kept: String = id.chars().take(ID_LENGTH_MAX - 20).collect();
    format!("{kept}@{number:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_its_checks() {
        let tenant = TenantId::new("acme").unwrap();
        let definitions = Definition::host_defaults(&tenant);
        let ids: Vec<&str> = definitions.iter().map(|d| d.id.as_str()).collect();
        assert!(ids.starts_with(&["cpu", "memory", "pipeline", "disk:/"]), "{ids:?}");
        for definition in &definitions {
            assert_eq!(definition.validate(), Ok(()), "{}", definition.id);
            assert_eq!(definition.tenant, tenant);
        }
        let unique: BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len());
        assert!(
            !ids.iter()
                .any(|id| id.starts_with("disk:/proc") || id.starts_with("disk:/sys") || id.starts_with("disk:/dev"))
        );
    }

    #[test]
    fn any_mount_point_gives_a_valid_id_of_its_own() {
        assert_eq!(id_of(Path::new("/var/log")), "disk:/var/log");
        let long = format!("/{}", "x".repeat(300));
        let odd = [
            id_of(Path::new("/mnt/a b")),
            id_of(Path::new("/mnt/a?b")),
            id_of(Path::new(&long)),
            id_of(Path::new("/データ")),
        ];
        for id in &odd {
            assert!(CheckId::new(id.clone()).is_ok(), "{id}");
        }
        assert_ne!(odd[0], odd[1]);
    }
}
