// SPDX-License-Identifier: GPL-2.0

//! `record`: one file with the tables as they are.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Map, Value};

use crate::snapshot::{META, Meta, OTHERS, TABLES, Times, describe, read_file, readable};
use crate::trouble::{Result, failed};

/// Writes a tar of all tables of the directory. Returns the reasons why some are missing. The names of tables in
/// `without` are not read.
pub fn record(directory: &Path, without: &[&str], out: impl Write) -> Result<Vec<String>> {
    readable(directory)?;
    let mut meta = Meta::of_this_machine();
    let time = meta.values().get("time").and_then(Value::as_u64).unwrap_or_default();
    let (mut read, mut errors, mut times) = (Vec::new(), Map::new(), Times::start());
    for name in TABLES.into_iter().chain(OTHERS).filter(|name| !without.contains(name)) {
        match times.of(name, || read_file(&directory.join(name))) {
            Ok(bytes) => read.push((name, bytes)),
            Err(error) => {
                errors.insert(name.into(), describe(&error).into());
            }
        }
    }
    for name in without {
        errors.insert((*name).into(), "was left out, as record was told".into());
    }
    meta.set_times(times);
    meta.set("errors", errors.clone().into());

    let mut archive = tar::Builder::new(out);
    let text = serde_json::to_vec_pretty(meta.values()).map_err(|error| failed(error.to_string()))?;
    for (name, bytes) in [(META, text)].into_iter().chain(read) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o400);
        header.set_mtime(time);
        archive.append_data(&mut header, format!("taskscope/{name}"), bytes.as_slice())?;
    }
    archive.into_inner()?.flush()?;
    errors.retain(|name, _| !without.contains(&name.as_str()));
    Ok(errors.iter().map(|(name, reason)| format!("{name}: {}", reason.as_str().unwrap_or_default())).collect())
}

/// The same, to a new file that its owner alone may read. A file that is there stays as it is.
pub fn record_to(path: &Path, directory: &Path, without: &[&str]) -> Result<Vec<String>> {
    readable(directory)?;
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| failed(format!("{}: {error}", path.display())))?;
    record(directory, without, file).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}
