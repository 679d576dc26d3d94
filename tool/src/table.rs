// SPDX-License-Identifier: GPL-2.0

//! The text of a table: its columns by name, its rows, its summary.

use std::fmt::Write;
use std::ops::Range;

/// A table. Its text is printable ASCII, because every other byte is escaped when the table is parsed.
#[derive(Debug)]
pub struct Table {
    text: String,
    columns: Vec<String>,
    rows: Vec<Range<usize>>,
    summary: Vec<Range<usize>>,
    /// Whether the end of the text is there. The module ends each table with a summary line.
    pub complete: bool,
    /// The number of lines that are no rows of this table.
    pub malformed: usize,
    /// Whether the text had bytes that the module never writes.
    pub foreign: bool,
}

/// A row of a table.
#[derive(Debug)]
pub struct Row<'a> {
    columns: &'a [String],
    fields: Vec<&'a str>,
}

/// More columns than any table has.
const MAX_COLUMNS: usize = 64;

/// Escapes every byte that is not printable ASCII as the module does: a backslash and three octal digits. Keeps
/// newlines, and the backslashes of what is escaped already.
fn printable(bytes: Vec<u8>) -> (String, bool) {
    let foreign = bytes.iter().any(|&byte| byte != b'\n' && !(b' '..=b'~').contains(&byte));
    if !foreign {
        // Cannot fail: the bytes are ASCII.
        return (String::from_utf8(bytes).unwrap_or_default(), false);
    }
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\n' | b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    (text, true)
}

/// A text of one line from an untrusted place, escaped as names in the tables are.
pub fn printable_line(text: &str) -> String {
    printable(text.replace('\n', "\\012").into_bytes()).0
}

/// The bytes of a name, from the text in which it is escaped.
pub fn unescape(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    while let [first, rest @ ..] = bytes {
        match bytes {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                out.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                bytes = rest;
            }
            _ => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    out
}

impl Table {
    /// Parses the text of a table. The error says why it is none.
    pub fn parse(bytes: Vec<u8>) -> Result<Table, String> {
        let (text, foreign) = printable(bytes);
        let mut lines = Lines { text: &text, at: 0 };
        let header = lines.next().filter(|line| line.ended).ok_or("has no line with the names of columns")?;
        let columns: Vec<String> = text[header.range].split_ascii_whitespace().map(str::to_string).collect();
        if columns.is_empty() || columns[0].starts_with('#') {
            return Err("has no line with the names of columns".into());
        }
        if columns.len() > MAX_COLUMNS {
            return Err(format!("has more than {MAX_COLUMNS} columns"));
        }
        if let Some(twice) = columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name)) {
            return Err(format!("has two columns named {}", twice.1));
        }

        let (mut rows, mut summary, mut malformed, mut ended) = (Vec::new(), Vec::new(), 0, true);
        for line in lines {
            let content = &text[line.range.clone()];
            if !line.ended {
                ended = false;
            } else if content.starts_with('#') {
                summary.push(line.range);
            } else if summary.is_empty() && fields(content, columns.len()).is_some() {
                rows.push(line.range);
            } else {
                malformed += 1;
            }
        }
        let complete = ended && !summary.is_empty();
        Ok(Table { columns, rows, summary, complete, malformed, foreign, text })
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether the table has a column of this name.
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows, in the order of the table.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().filter_map(|range| {
            let fields = fields(&self.text[range.clone()], self.columns.len())?;
            Some(Row { columns: &self.columns, fields })
        })
    }

    /// The lines of the summary, without their '#'.
    pub fn summary(&self) -> impl Iterator<Item = &str> {
        self.summary.iter().map(|range| self.text[range.clone()].trim_start_matches('#').trim())
    }

    /// The line of the summary that says that set_pid has left out threads.
    pub fn chosen(&self) -> Option<&str> {
        self.summary().find(|line| line.contains("left out by set_pid"))
    }
}

impl<'a> Row<'a> {
    /// The value as it is in the table; nothing if the table lacks the column.
    pub fn raw(&self, column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.fields.get(at).copied()
    }

    /// The value; nothing if it is `-`, or if the table lacks the column.
    pub fn value(&self, column: &str) -> Option<&'a str> {
        self.raw(column).filter(|&value| value != "-")
    }

    /// The value as a number; nothing if it is `-` or no number.
    pub fn number(&self, column: &str) -> Option<u64> {
        self.raw(column)?.parse().ok()
    }

    /// The value as a hexadecimal number, with or without 0x.
    pub fn address(&self, column: &str) -> Option<u64> {
        let value = self.raw(column)?;
        u64::from_str_radix(value.strip_prefix("0x").unwrap_or(value), 16).ok()
    }

    /// A PID; nothing if it is none.
    pub fn pid(&self, column: &str) -> Option<u32> {
        pid(self.raw(column)?)
    }

    /// The values with the names of their columns, in the order of the table.
    pub fn values(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.columns.iter().map(String::as_str).zip(self.fields.iter().copied())
    }
}

/// A PID; nothing if the text is none.
pub fn pid(text: &str) -> Option<u32> {
    // PID_MAX_LIMIT
    text.parse().ok().filter(|&pid| pid < 4_194_304)
}

/// The fields of a line, of which the last one runs to its end; nothing if there are too few.
fn fields(line: &str, count: usize) -> Option<Vec<&str>> {
    let mut fields = Vec::with_capacity(count);
    let mut rest = line.trim_start_matches(' ');
    for _ in 1..count {
        let (field, after) = rest.split_once(' ')?;
        fields.push(field);
        rest = after.trim_start_matches(' ');
    }
    (!rest.is_empty()).then(|| fields.push(rest))?;
    Some(fields)
}

/// A line without its newline, and whether it had one.
struct Line {
    range: Range<usize>,
    ended: bool,
}

struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let end = rest.find('\n').map(|at| start + at);
        self.at = end.map_or(self.text.len(), |end| end + 1);
        Some(Line { range: start..end.unwrap_or(self.text.len()), ended: end.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_spaces_runs_to_the_end_of_the_line() {
        let table = Table::parse(b"PID COMM\n  1 a b  c\n# 1 threads\n".to_vec()).unwrap();
        let row = table.rows().next().unwrap();
        assert_eq!((row.pid("PID"), row.value("COMM")), (Some(1), Some("a b  c")));
        assert!(table.complete);
    }

    #[test]
    fn row_without_all_columns_is_counted() {
        let table = Table::parse(b"PID USED COMM\n  1 a\n  2 3 b\n# 2 threads\n".to_vec()).unwrap();
        assert_eq!((table.len(), table.malformed), (1, 1));
    }

    #[test]
    fn last_line_without_newline_is_no_row() {
        let table = Table::parse(b"PID COMM\n  1 init\n  2 kthr".to_vec()).unwrap();
        assert_eq!((table.len(), table.complete), (1, false));
    }

    #[test]
    fn control_bytes_are_escaped() {
        let table = Table::parse(b"PID COMM\n1 \x1b[31m\xff\n#\n".to_vec()).unwrap();
        assert_eq!(table.rows().next().unwrap().value("COMM"), Some("\\033[31m\\377"));
        assert!(table.foreign);
    }

    #[test]
    fn names_are_unescaped() {
        assert_eq!(unescape("a\\040\\134b\\"), b"a \\b\\");
        assert_eq!(unescape("\\777"), b"\\777");
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        assert!(Table::parse(b"PID PID\n1 2\n#\n".to_vec()).is_err());
    }
}
