// SPDX-License-Identifier: GPL-2.0

//! Names that programs choose: escaped, so that a name cannot end a line, fill a column of its own,
//! or reach a terminal as a control sequence.
//!
//! A backslash and three octal digits replace each byte that is not printable ASCII, the backslash
//! itself, and a space that is the first or the last byte of the name. An empty name is `\000`.

use crate::text::line::Line;
use crate::text::scan::{
    is_plain,
    scan, //
};
use core::fmt;
use core::str;
use kernel::prelude::*;

/// The size in bytes of `comm` in `struct task_struct`: a name, and at least one NUL after it.
pub(crate) const COMM_LEN: usize = 16;

/// Room for a name with a newline: if every byte of the longest name is escaped, and brackets are
/// around it, these are 63 bytes.
pub(crate) const LINE_MAX: usize = 2 + 4 * (COMM_LEN - 1) + 2;

/// The name of a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    /// The name, and at least one NUL after it.
    pub(crate) comm: [u8; COMM_LEN],
    /// Whether brackets are around it, as around the names of kernel threads.
    pub(crate) bracketed: bool,
}

impl Name {
    /// A name without brackets.
    #[inline]
    pub(crate) fn unbracketed(comm: [u8; COMM_LEN]) -> Self {
        Self {
            comm,
            bracketed: false,
        }
    }

    /// Writes the name and a newline to the start of `text`. Returns how many bytes these are.
    #[inline]
    pub(crate) fn write_line(&self, text: &mut [u8; LINE_MAX]) -> usize {
        let (len, is_plain) = scan(&self.comm);

        if !is_plain || len == 0 {
            return self.escape_line(text, len);
        }
        // All bytes of the array are copied: to copy some bytes takes a call.
        if !self.bracketed {
            text[..COMM_LEN].copy_from_slice(&self.comm);
            text[len] = b'\n';
            return len + 1;
        }
        text[0] = b'[';
        text[1..1 + COMM_LEN].copy_from_slice(&self.comm);
        text[len + 1] = b']';
        text[len + 2] = b'\n';
        len + 3
    }

    /// Writes the name to the start of `text` with every space escaped, also within the name.
    /// Returns how many bytes these are.
    pub(super) fn write_word(&self, text: &mut [u8; LINE_MAX]) -> usize {
        let mut line = [0; LINE_MAX];
        let len = self.write_line(&mut line) - 1;
        let mut end = 0;

        for byte in &line[..len] {
            let escaped: &[u8] = match byte {
                b' ' => b"\\040",
                byte => &[*byte],
            };

            text[end..end + escaped.len()].copy_from_slice(escaped);
            end += escaped.len();
        }
        end
    }

    /// Returns how many bytes [`Name::write_word`] writes.
    pub(super) fn word_len(&self) -> usize {
        self.write_word(&mut [0; LINE_MAX])
    }

    /// Writes a name of `len` bytes that has to be escaped, as [`Name::write_line`].
    #[cold]
    fn escape_line(&self, text: &mut [u8; LINE_MAX], len: usize) -> usize {
        let start = usize::from(self.bracketed);
        let mut end = start + escape(&mut text[start..], &self.comm[..len]);

        if self.bracketed {
            text[0] = b'[';
            text[end] = b']';
            end += 1;
        }
        text[end] = b'\n';
        end + 1
    }
}

impl fmt::Display for Name {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = [0; LINE_MAX];
        let len = self.write_line(&mut line);

        // All bytes are ASCII.
        text.write_str(str::from_utf8(&line[..len - 1]).map_err(|_| fmt::Error)?)
    }
}

/// Adds a name, or a symbol and what follows it, to `line`.
#[inline]
pub(crate) fn add_escaped(line: &mut Line<'_>, name: &[u8]) {
    if !name.is_empty() && name.iter().all(|&byte| is_plain(byte)) {
        return line.bytes(name);
    }
    let len = (0..name.len())
        .map(|at| if stays(name, at) { 1 } else { 4 })
        .sum();

    if let Some(text) = line.blank(if name.is_empty() { EMPTY.len() } else { len }) {
        escape(text, name);
    }
}

/// What is written for an empty name.
const EMPTY: &[u8] = b"\\000";

/// Returns whether byte `at` of a name is written as it is.
#[inline]
fn stays(name: &[u8], at: usize) -> bool {
    is_plain(name[at]) || name[at] == b' ' && at != 0 && at != name.len() - 1
}

/// Writes a name to the start of `text`, which has room for it, byte by byte. Returns how many
/// bytes these are.
fn escape(text: &mut [u8], name: &[u8]) -> usize {
    let mut len = 0;

    if name.is_empty() {
        text[..EMPTY.len()].copy_from_slice(EMPTY);
        return EMPTY.len();
    }
    for (at, &byte) in name.iter().enumerate() {
        if stays(name, at) {
            text[len] = byte;
            len += 1;
        } else {
            text[len..len + 4].copy_from_slice(&octal(byte));
            len += 4;
        }
    }
    len
}

/// Returns what is written for a byte that is escaped.
pub(super) fn octal(byte: u8) -> [u8; 4] {
    let digit = |shift: u32| b'0' + (byte >> shift) % 8;

    [b'\\', digit(6), digit(3), digit(0)]
}

#[kunit_tests(taskscope_name)]
mod tests {
    use super::*;

    /// Returns whether a name is written as `expected`.
    fn is(name: &[u8], bracketed: bool, expected: &[u8]) -> bool {
        let mut comm = [0; COMM_LEN];
        let mut buf = [0; LINE_MAX];
        let mut line = Line::new(&mut buf);

        comm[..name.len()].copy_from_slice(name);
        write!(line, "{}", Name { comm, bracketed });
        line.as_bytes() == expected
    }

    #[test]
    fn names() {
        assert!(is(b"init", false, b"init"));
        assert!(is(b"kthreadd", true, b"[kthreadd]"));
        assert!(is(b"a b", false, b"a b"));
        assert!(is(b" a ", false, b"\\040a\\040"));
        assert!(is(b" ", false, b"\\040"));
        assert!(is(b"", false, b"\\000"));
        assert!(is(b"", true, b"[\\000]"));
        assert!(is(
            b"a\n1 2\t\x1b[m\\",
            false,
            b"a\\0121 2\\011\\033[m\\134"
        ));
        assert!(is(b"\x7f\x80\xff", false, b"\\177\\200\\377"));
        assert!(is(b"fifteen-letters", true, b"[fifteen-letters]"));
        assert!(is(
            &[b'\n'; 15],
            true,
            b"[\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012]"
        ));
    }

    #[test]
    fn words_have_no_space() {
        for (name, bracketed, expected) in [
            (&b"init"[..], false, &b"init"[..]),
            (b" a b  c ", false, b"\\040a\\040b\\040\\040c\\040"),
            (b"a b", true, b"[a\\040b]"),
            (b"", false, b"\\000"),
        ] {
            let mut comm = [0; COMM_LEN];
            let mut text = [0; LINE_MAX];

            comm[..name.len()].copy_from_slice(name);
            let name = Name { comm, bracketed };
            let len = name.write_word(&mut text);

            assert_eq!(&text[..len], expected);
            assert_eq!(name.word_len(), len);
        }
        let spaces = Name {
            comm: *b"               \0",
            bracketed: true,
        };

        assert_eq!(spaces.word_len(), 2 + 4 * (COMM_LEN - 1));
    }

    #[test]
    fn a_byte_is_plain_or_escaped() {
        for byte in 1..=u8::MAX {
            let escaped = [
                b'\\',
                b'0' + (byte >> 6),
                b'0' + (byte >> 3) % 8,
                b'0' + byte % 8,
            ];
            let is_plain = (b'!'..=b'~').contains(&byte) && byte != b'\\';

            for last in [2, 7, 8, COMM_LEN - 2] {
                for place in 0..=last {
                    let mut name = [b'x'; COMM_LEN - 1];
                    let is_written = is_plain || byte == b' ' && place != 0 && place != last;
                    let text: &[u8] = if is_written { &[byte] } else { &escaped };

                    name[place] = byte;
                    for bracketed in [false, true] {
                        let mut expected = [b'x'; COMM_LEN + 4];
                        let start = usize::from(bracketed);
                        let end = start + last + text.len();

                        expected[start + place..][..text.len()].copy_from_slice(text);
                        if bracketed {
                            expected[0] = b'[';
                            expected[end] = b']';
                        }
                        assert!(is(&name[..=last], bracketed, &expected[..start + end]));
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_after_the_end_are_not_part_of_the_name() {
        for (comm, expected) in [
            (b"sh\0a longer\nname", &b"sh"[..]),
            (b"a\nb\0a longername", b"a\\012b"),
            (b"\0a longer\n name.", b"\\000"),
            (b"7 bytes\0\n longer", b"7 bytes"),
            (b"9 letters\0\nlonge", b"9 letters"),
        ] {
            let mut text = [0; LINE_MAX];
            let len = Name::unbracketed(*comm).write_line(&mut text);

            assert_eq!(text[..len].strip_suffix(b"\n"), Some(expected));
        }
    }

    #[test]
    fn symbols() {
        let mut buf = [0; 64];
        let mut line = Line::new(&mut buf);

        add_escaped(&mut line, b"schedule+0x1/0x2 [m]");
        line.byte(b' ');
        add_escaped(&mut line, b"a\n+0x1/0x2 [m]");
        assert_eq!(line.as_bytes(), b"schedule+0x1/0x2 [m] a\\012+0x1/0x2 [m]");
        for (name, expected) in [
            (&b""[..], &b"\\000"[..]),
            (b" ", b"\\040"),
            (b" a b ", b"\\040a b\\040"),
            (b"a\\b", b"a\\134b"),
            (b"main", b"main"),
        ] {
            let mut line = Line::new(&mut buf);

            add_escaped(&mut line, name);
            assert_eq!(line.as_bytes(), expected);
        }
    }
}
