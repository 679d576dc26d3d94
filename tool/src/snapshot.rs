// SPDX-License-Identifier: GPL-2.0

//! Tables of one reading: from the running kernel, or from a file of `record`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::table::{self, Table};
use crate::trouble::{NOTHING, Result, Trouble, failed};

/// The files of the module that are tables, in the order in which they are read. `threads` is first: a later row of a
/// thread that stood still, with the same SWITCHES, belongs to the row there. `contexts` is last, because reading it
/// makes threads.
pub const TABLES: [&str; 10] =
    ["threads", "kstacks", "kframes", "syscalls", "ustacks", "uframes", "segments", "processes", "cpus", "contexts"];

/// The files of the module that are not tables.
pub const OTHERS: [&str; 2] = ["current", "set_pid"];

/// The file of a snapshot that says where and when it was recorded.
pub const META: &str = "meta.json";

/// The version of what `record` and `json` write.
pub const FORMAT: u64 = 1;

/// The most that is read of one table. 100,000 threads take 50 MB in the largest.
const LIMIT: u64 = 512 << 20;

/// The most that is read of a file of `record`.
const LIMIT_IN_ALL: u64 = 1 << 30;

/// The most that is read of a file that is not a table.
const LIMIT_OF_OTHERS: u64 = 1 << 20;

/// `O_NONBLOCK`: opening a FIFO does not wait. `O_NOCTTY`: a terminal does not become that of this process. The values are
/// those of x86-64 and arm64.
const O_NONBLOCK_O_NOCTTY: i32 = 0o4000 | 0o400;

/// Where tables come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The directory of the module in debugfs, or a directory with files of these names.
    Directory(PathBuf),
    /// A file of `record`; `-` is standard input.
    File(PathBuf),
}

/// Where and when the tables were read.
#[derive(Clone, Debug, Default)]
pub struct Meta(Map<String, Value>);

impl Meta {
    /// This machine, now.
    pub fn of_this_machine() -> Meta {
        let kernel = |name: &str| {
            let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).unwrap_or_default();
            table::printable_line(text.trim())
        };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let meta = json!({
            "taskscope": FORMAT,
            "tool": env!("CARGO_PKG_VERSION"),
            "release": kernel("osrelease"),
            "machine": std::env::consts::ARCH,
            "boot_id": kernel("random/boot_id"),
            "time": since_epoch.as_secs(),
        });
        Meta(meta.as_object().cloned().unwrap_or_default())
    }

    fn parse(bytes: &[u8]) -> Option<Meta> {
        match serde_json::from_slice(bytes).map(escaped) {
            Ok(Value::Object(map)) => Some(Meta(map)),
            _ => None,
        }
    }

    /// A text; nothing if it is absent or empty.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.as_str()?;
        (!text.is_empty()).then(|| text.chars().take(200).collect())
    }

    /// The boot of the machine; nothing if it is absent, or no UUID.
    pub fn boot_id(&self) -> Option<String> {
        let is_uuid = |text: &String| {
            let groups: Vec<usize> = text.split('-').map(str::len).collect();
            groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        };
        self.text("boot_id").filter(is_uuid)
    }

    /// When the tables were read, in seconds since 1970.
    pub fn seconds(&self) -> Option<u64> {
        self.0.get("time")?.as_u64().filter(|&seconds| seconds < 1 << 35)
    }

    /// How long it took to read these tables, from the first one to the last one, rounded up.
    pub fn milliseconds(&self, names: &[&str]) -> Option<u64> {
        let times = self.0.get("microseconds")?.as_object()?;
        let of = |at: usize| names.iter().filter_map(move |name| times.get(*name)?.get(at)?.as_u64());
        Some(of(1).max()?.checked_sub(of(0).min()?)?.div_ceil(1000))
    }

    /// When the tables were read, in UTC.
    pub fn time(&self) -> Option<String> {
        let seconds = self.seconds()?;
        Some(humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string())
    }

    /// "7.3.4, x86_64, 2026-11-28T12:00:00Z"
    pub fn title(&self) -> String {
        let parts = [self.text("release"), self.text("machine"), self.time()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "unknown kernel, unknown time".into() } else { parts.join(", ") }
    }

    /// All of it.
    pub fn values(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Adds when each table was read.
    pub fn set_times(&mut self, times: Times) {
        self.set("microseconds", times.microseconds.into());
    }

    /// Adds a value.
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.into(), value);
    }
}

/// When each table was read.
#[derive(Debug)]
pub struct Times {
    start: Instant,
    microseconds: Map<String, Value>,
}

impl Times {
    /// From now on.
    pub fn start() -> Times {
        Times { start: Instant::now(), microseconds: Map::new() }
    }

    /// Reads a table, and keeps the times before and after.
    pub fn of<T>(&mut self, name: &str, read: impl FnOnce() -> T) -> T {
        let before = self.start.elapsed();
        let result = read();
        let times = [before, self.start.elapsed()].map(|at| u64::try_from(at.as_micros()).unwrap_or(u64::MAX));
        self.microseconds.insert(name.into(), times.to_vec().into());
        result
    }
}

/// The value with all texts in it escaped.
fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => table::printable_line(&text).into(),
        Value::Array(values) => values.into_iter().map(escaped).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (table::printable_line(&key), escaped(value))).collect()
        }
        other => other,
    }
}

/// The tables of one reading.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Where and when.
    pub meta: Meta,
    tables: BTreeMap<String, std::result::Result<Table, String>>,
    others: BTreeMap<String, String>,
}

impl Source {
    /// The source that the user has named: a file, or the directory `root`, or where debugfs is mounted.
    pub fn named(file: Option<&Path>, root: Option<&Path>) -> Result<Source> {
        if let Some(file) = file {
            return Ok(Source::File(file.into()));
        }
        if let Some(root) = root {
            return Ok(Source::Directory(root.into()));
        }
        let mounts = fs::read("/proc/mounts").unwrap_or_default();
        match mount_point(&String::from_utf8_lossy(&mounts), "debugfs") {
            Some(path) => Ok(Source::Directory(path.join("taskscope"))),
            None => Err(Trouble::Message(
                NOTHING,
                "debugfs is not mounted here; type:\n    sudo mount -t debugfs none /sys/kernel/debug".into(),
            )),
        }
    }

    /// Reads the tables, or those of them that are there. The error says what to type if there is nothing to read.
    pub fn read(&self, wanted: &[&str]) -> Result<Snapshot> {
        match self {
            Source::Directory(directory) => {
                readable(directory)?;
                let mut snapshot = Snapshot { meta: Meta::of_this_machine(), ..Snapshot::default() };
                let mut times = Times::start();
                for name in TABLES.iter().chain(&OTHERS).filter(|name| wanted.contains(name)) {
                    let bytes = times.of(name, || read_file(&directory.join(name)));
                    snapshot.put(name, bytes.map_err(|error| describe(&error)));
                }
                snapshot.meta.set_times(times);
                if let Ok(bytes) = read_file(&directory.join(META)) {
                    snapshot.meta = Meta::parse(&bytes).unwrap_or_default();
                }
                Ok(snapshot)
            }
            Source::File(path) if path.as_os_str() == "-" => Snapshot::from_tar(io::stdin().lock()),
            Source::File(path) => {
                let file = File::open(path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
                Snapshot::from_tar(io::BufReader::new(file)).map_err(|trouble| match trouble {
                    Trouble::Message(status, message) => {
                        Trouble::Message(status, format!("{}: {message}", path.display()))
                    }
                    other => other,
                })
            }
        }
    }
}

/// Where a file system of this type is mounted, from the text of /proc/mounts.
fn mount_point(mounts: &str, kind: &str) -> Option<PathBuf> {
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(kind))?;
    let path = table::unescape(line.split(' ').nth(1)?);
    Some(PathBuf::from(String::from_utf8(path).ok()?))
}

/// Succeeds if the directory has a table that this process may open; the error says what to type.
pub fn readable(directory: &Path) -> Result<()> {
    let shown = directory.display();
    let message = match fs::metadata(directory.join("threads")).and_then(|_| fs::read_dir(directory)) {
        Ok(_) => match open_file(&directory.join("threads")) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => not_permitted(&shown),
            _ => return Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => not_permitted(&shown),
        Err(_) => format!(
            "there are no tables in {shown}: the module is not loaded; type:\n    sudo insmod taskscope.ko\n\
             or name a file that `taskscope record` has written"
        ),
    };
    Err(Trouble::Message(NOTHING, message))
}

fn not_permitted(directory: &std::path::Display<'_>) -> String {
    format!(
        "the tables in {directory} may not be read by this user, who needs CAP_SYS_ADMIN and CAP_SYS_PTRACE in the \
         initial user namespace; type:\n    sudo taskscope ..."
    )
}

/// Opens a regular file, without waiting for anything. What is none is not opened: opening a device can start something.
pub fn open_file(path: &Path) -> io::Result<File> {
    let refused = || io::Error::other("is no regular file");
    if !path.symlink_metadata()?.is_file() {
        return Err(refused());
    }
    let file = File::options().read(true).custom_flags(O_NONBLOCK_O_NOCTTY).open(path)?;
    // Another file may have taken its place.
    if !file.metadata()?.is_file() {
        return Err(refused());
    }
    Ok(file)
}

/// Reads a table, or another file of the directory.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let is_table = path.file_name().is_some_and(|name| TABLES.iter().any(|table| name == *table));
    read_within(path, if is_table { LIMIT } else { LIMIT_OF_OTHERS })
}

fn read_within(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if open_file(path)?.take(limit + 1).read_to_end(&mut bytes)? as u64 > limit {
        return Err(io::Error::other(format!("is larger than {} MB, the most that is read", limit >> 20)));
    }
    Ok(bytes)
}

/// An error of the module, with what it means.
pub fn describe(error: &io::Error) -> String {
    let meaning = match error.raw_os_error() {
        Some(1) => "the right capability is missing",
        Some(2) => "this version of the module has no such table",
        Some(6) => "the module is being loaded or unloaded",
        _ => return error.to_string(),
    };
    format!("{error}: {meaning}")
}

impl Snapshot {
    /// Reads a file of `record`. Nothing in it is trusted.
    pub fn from_tar(file: impl Read) -> Result<Snapshot> {
        Snapshot::from_tar_within(file, LIMIT_IN_ALL)
    }

    fn from_tar_within(file: impl Read, limit: u64) -> Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        let mut cut = None;
        let mut file = file.take(limit);
        let mut archive = tar::Archive::new(&mut file);
        let entries = archive.entries().map_err(|error| failed(format!("cannot be read: {error}")))?;
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    // The message may quote bytes of the file.
                    cut = Some(table::printable_line(&error.to_string()));
                    break;
                }
            };
            // A sparse file would be larger than what is there.
            if entry.header().entry_type() != tar::EntryType::Regular {
                continue;
            }
            let path = entry.path_bytes();
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            let size = entry.size();
            if (name == META || OTHERS.contains(&name.as_str())) && size > LIMIT_OF_OTHERS {
                return Err(failed(format!("{name} in it is larger than {} MB", LIMIT_OF_OTHERS >> 20)));
            }
            let mut bytes = Vec::new();
            if let Err(error) = entry.take(limit).read_to_end(&mut bytes) {
                cut = Some(table::printable_line(&error.to_string()));
            }
            if (bytes.len() as u64) < size {
                cut.get_or_insert_with(|| "the file ends too early".into());
            }
            if name == META {
                snapshot.meta = Meta::parse(&bytes).unwrap_or_default();
            } else {
                snapshot.put(&name, Ok(bytes));
            }
            if cut.is_some() {
                break;
            }
        }
        if file.limit() == 0 {
            return Err(failed(format!("is larger than {} MB, the most that is read", limit >> 20)));
        }
        if snapshot.tables.is_empty() {
            return Err(failed(format!(
                "has no table of taskscope in it: {}",
                cut.unwrap_or_else(|| "`taskscope record` has not written it".into())
            )));
        }
        if let Some(version) = snapshot.meta.0.get("taskscope").and_then(Value::as_u64).filter(|&v| v > FORMAT) {
            return Err(failed(format!("is of version {version}, and this program knows version {FORMAT}")));
        }
        // What could not be recorded, and what the file has lost.
        let errors = snapshot.meta.0.get("errors").and_then(Value::as_object).cloned().unwrap_or_default();
        for name in TABLES {
            if !snapshot.tables.contains_key(name) {
                let reason = errors.get(name).and_then(Value::as_str).map(str::to_string);
                let reason = reason.or_else(|| cut.clone()).unwrap_or_else(|| "is not in the snapshot".into());
                snapshot.tables.insert(name.into(), Err(reason));
            }
        }
        Ok(snapshot)
    }

    fn put(&mut self, name: &str, bytes: std::result::Result<Vec<u8>, String>) {
        if TABLES.contains(&name) {
            self.tables.insert(name.into(), bytes.and_then(Table::parse));
        } else if let (true, Ok(bytes)) = (OTHERS.contains(&name), bytes) {
            let lines = String::from_utf8_lossy(&bytes).into_owned();
            self.others.insert(name.into(), lines.lines().map(table::printable_line).collect::<Vec<_>>().join("\n"));
        }
    }

    /// A table that a command cannot do without.
    pub fn table(&self, name: &str) -> Result<&Table> {
        match self.tables.get(name) {
            Some(Ok(table)) => Ok(table),
            Some(Err(reason)) => Err(failed(format!("the table {name} cannot be read: {reason}"))),
            None => Err(failed(format!("the table {name} is missing"))),
        }
    }

    /// A table, if there is one.
    pub fn optional(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)?.as_ref().ok()
    }

    /// All tables, in the order in which they are read, with the reasons why some are missing.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, std::result::Result<&Table, &str>)> {
        TABLES.into_iter().filter_map(|name| Some((name, self.tables.get(name)?.as_ref().map_err(String::as_str))))
    }

    /// A file that is not a table.
    pub fn other(&self, name: &str) -> Option<&str> {
        self.others.get(name).map(String::as_str)
    }

    /// What a reader must know of these tables: whose threads set_pid has chosen; then, a line for each table, which are
    /// missing, cut short, or not as the module writes them.
    pub fn complaints(&self, names: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        let wanted = || self.tables().filter(|(name, _)| names.contains(name));
        if let Some((name, line)) = wanted().find_map(|(name, table)| Some((name, table.ok()?.chosen()?))) {
            let line = line.chars().take(200).collect::<String>();
            out.push(format!("set_pid has left out threads ({name} says: {line})"));
        }
        for (name, table) in wanted() {
            let mut of_table = Vec::new();
            match table {
                Err(reason) => of_table.push(format!("cannot be read: {reason}")),
                Ok(table) => {
                    if !table.complete {
                        of_table.push("its end is missing; numbers are \"at least\"".into());
                    }
                    if table.malformed > 0 {
                        of_table.push(format!("malformed rows that are left out: {}", table.malformed));
                    }
                    if table.foreign {
                        of_table.push("has bytes that the module never writes; they are escaped".into());
                    }
                }
            }
            if !of_table.is_empty() {
                out.push(format!("{name}: {}", of_table.join("; ")));
            }
        }
        out
    }

    /// The failure of a command that was asked for a PID without a row.
    pub fn absent(&self, pid: u32) -> Trouble {
        match self.optional("threads") {
            Some(threads) if threads.chosen().is_some() => {
                failed(format!("PID {pid} is not among the threads that set_pid chooses"))
            }
            Some(threads) if !threads.complete => {
                failed(format!("PID {pid} is not in the part of threads that is there"))
            }
            _ => failed(format!("there is no thread with PID {pid}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debugfs_is_found_at_a_path_with_a_space() {
        let mounts = "proc /proc proc rw 0 0\nnone /my\\040debug debugfs rw 0 0\n";
        assert_eq!(mount_point(mounts, "debugfs"), Some(PathBuf::from("/my debug")));
        assert_eq!(mount_point(mounts, "tracefs"), None);
    }

    #[test]
    fn snapshot_that_is_too_large_is_refused() {
        let mut archive = tar::Builder::new(Vec::new());
        let text = "PID COMM\n1 a\n# 1 threads\n".to_string() + &"# x\n".repeat(1 << 19);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, "threads", text.as_bytes()).unwrap();
        let file = archive.into_inner().unwrap();
        let error = Snapshot::from_tar_within(file.as_slice(), 1 << 20).unwrap_err().to_string();
        assert_eq!(error, "is larger than 1 MB, the most that is read");
        assert!(Snapshot::from_tar_within(file.as_slice(), 3 << 20).is_ok());
    }

    #[test]
    fn file_that_is_too_large_is_not_read_in_part() {
        let path = std::env::temp_dir().join(format!("taskscope-large-{}", std::process::id()));
        fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
        let error = read_file(&path).map_err(|error| error.to_string());
        let whole = read_within(&path, (1 << 20) + 1).map(|bytes| bytes.len());
        fs::remove_file(&path).unwrap();
        assert_eq!(error, Err("is larger than 1 MB, the most that is read".into()));
        assert_eq!(whole.unwrap(), (1 << 20) + 1);
    }

    #[test]
    fn time_of_a_snapshot_is_printed_in_utc() {
        let meta = Meta::parse(br#"{"time": 1795880000}"#).unwrap();
        assert_eq!(meta.time().as_deref(), Some("2026-11-28T15:33:20Z"));
        assert_eq!(Meta::parse(br#"{"time": 1e300}"#).unwrap().time(), None);
    }
}
