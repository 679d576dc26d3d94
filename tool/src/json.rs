// SPDX-License-Identifier: GPL-2.0

//! `json`: the tables as NDJSON, a line for each row.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::snapshot::{FORMAT, Snapshot};
use crate::table::Row;
use crate::trouble::Result;

/// The columns that have decimal numbers. A value that is no number, such as "running", stays a text.
const NUMBERS: [&str; 15] = [
    "TGID", "PID", "PPID", "UID", "EUID", "NTHR", "CPU", "SWITCHES", "START", "SIZE", "USED", "RLIM_CUR", "RLIM_MAX",
    "DEPTH", "NR",
];

fn value(table: &str, column: &str, text: &str) -> Value {
    // Every thread has a name, which may be "-". In `contexts` and `cpus`, "-" says that there was no thread.
    if text == "-" && (column != "COMM" || table == "contexts" || table == "cpus") {
        return Value::Null;
    }
    // In `segments`, START is an address.
    if NUMBERS.contains(&column) && !(column == "START" && table != "threads" && table != "processes") {
        if let Ok(number) = text.parse::<i64>() {
            return number.into();
        }
        if let Ok(number) = text.parse::<u64>() {
            return number.into();
        }
    }
    text.into()
}

fn object(table: &str, row: &Row<'_>) -> Map<String, Value> {
    row.values().map(|(column, text)| (column.to_string(), value(table, column, text))).collect()
}

/// Writes a line about the snapshot, and then a line for each row, summary line and missing table.
pub fn write(snapshot: &Snapshot, out: &mut impl Write) -> Result<()> {
    let mut meta = Map::from_iter([("taskscope".to_string(), Value::from(FORMAT))]);
    meta.extend(snapshot.meta.values().clone());
    // The version of these lines, not that of the snapshot
    meta.insert("taskscope".into(), FORMAT.into());
    writeln!(out, "{}", Value::from(meta))?;
    for (name, table) in snapshot.tables() {
        let table = match table {
            Ok(table) => table,
            Err(reason) => {
                writeln!(out, "{}", json!({ "table": name, "error": reason }))?;
                continue;
            }
        };
        for row in table.rows() {
            writeln!(out, "{}", json!({ "table": name, "row": object(name, &row) }))?;
        }
        for line in table.summary() {
            writeln!(out, "{}", json!({ "table": name, "summary": line }))?;
        }
        if !table.complete {
            writeln!(out, "{}", json!({ "table": name, "error": "its end is missing" }))?;
        }
    }
    if let Some(text) = snapshot.other("current") {
        let row: Map<String, Value> = text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key.to_string(), Value::from(value)))
            .collect();
        writeln!(out, "{}", json!({ "table": "current", "row": row }))?;
    }
    if let Some(text) = snapshot.other("set_pid") {
        let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        writeln!(out, "{}", json!({ "table": "set_pid", "row": { "PIDS": pids } }))?;
    }
    Ok(())
}
