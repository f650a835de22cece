//! Which files of the repository the demo asks about.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Of each file name ending one file, the largest: there is most to tell from.
pub fn one_of_each_kind(root: &Path) -> Result<Vec<PathBuf>> {
    let mut kinds = BTreeMap::new();
    visit(root, &mut kinds)?;
    // The modelet itself is a file of this project, too.
    kinds.insert("wasm".into(), (0, root.join("target/demo/magika.wasm")));
    Ok(kinds.into_values().map(|(_, path)| path).collect())
}

fn visit(folder: &Path, kinds: &mut BTreeMap<OsString, (u64, PathBuf)>) -> Result<()> {
    let unreadable = || format!("{} cannot be read", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let path = entry.path();
        let metadata = entry.metadata().with_context(unreadable)?;
        if metadata.is_dir() {
            if ![".git", "target", "__pycache__"]
                .map(OsString::from)
                .contains(&entry.file_name())
            {
                visit(&path, kinds)?;
            }
            continue;
        }
        let kind = path.extension().unwrap_or(path.as_os_str()).to_owned();
        let largest = kinds.entry(kind).or_insert((metadata.len(), path.clone()));
        if metadata.len() > largest.0 {
            *largest = (metadata.len(), path);
        }
    }
    Ok(())
}
