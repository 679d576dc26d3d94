// SPDX-License-Identifier: GPL-2.0

//! How values are written: numbers, names, columns. Pure, and tested by itself.

use crate::line::Line;
use kernel::prelude::*;

/// Length in bytes of the array that holds a task's name and at least one NUL after it.
pub(crate) const COMM_LEN: usize = 16;

/// The most bytes that [`add_comm`] writes: every byte of the longest name escaped, two brackets.
pub(crate) const COMM_MAX: usize = 2 + 4 * (COMM_LEN - 1);

/// The most bytes that the columns of a row take up, unless a table says otherwise.
pub(crate) const ROW_MAX: usize = 128;

/// The number of digits of an address in hexadecimal, with leading zeros.
pub(crate) const ADDRESS_DIGITS: usize = 2 * size_of::<usize>();

/// A byte in every byte of a word.
const fn each_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Returns how many digits `value` has in decimal.
pub(crate) fn digits(value: u32) -> usize {
    // CAST: There are at most ten digits.
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// The numbers below a hundred, two digits each.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;

    while number < 100 {
        // CAST: The digits are below ten.
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Writes `value` in decimal at the right end of `field`, and leaves what is before it alone.
///
/// Digits for which there is no place are lost: a field is made wide enough beforehand.
#[inline]
pub(crate) fn decimal(mut field: &mut [u8], mut value: u32) {
    while value >= 10 {
        let Some((rest, places)) = field.split_last_chunk_mut() else {
            return;
        };

        *places = PAIRS[(value % 100) as usize];
        value /= 100;
        if value == 0 {
            return;
        }
        field = rest;
    }
    if let Some(place) = field.last_mut() {
        // CAST: The remainder is below ten.
        *place = b'0' + (value % 10) as u8;
    }
}

/// Returns the eight digits of `value` in hexadecimal.
#[inline]
fn hexadecimal(value: u32) -> [u8; 8] {
    // The eight groups of four bits, a byte each, the highest in the highest byte.
    let value = u64::from(value);
    let value = (value | value << 16) & 0x0000_ffff_0000_ffff;
    let value = (value | value << 8) & 0x00ff_00ff_00ff_00ff;
    let value = (value | value << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One in each byte that is ten or more.
    let letters = (value + each_byte(6)) >> 4 & each_byte(1);

    (value + each_byte(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// Returns how many bytes `value` takes up in hexadecimal, with `0x` and without leading zeros.
pub(crate) fn hexadecimal_width(value: usize) -> usize {
    // CAST: There are at most 16 digits.
    2 + value.checked_ilog2().map_or(1, |log| log as usize / 4 + 1)
}

/// Writes `value` in hexadecimal at the right end of `field`, with `0x` and without leading zeros,
/// and leaves what is before it alone.
///
/// A field is made wide enough beforehand; what is not stays as it is.
#[inline]
fn prefixed_hexadecimal(field: &mut [u8], value: usize) {
    let width = hexadecimal_width(value);
    let digits = address(value);

    if let Some(start) = field.len().checked_sub(width) {
        field[start..start + 2].copy_from_slice(b"0x");
        field[start + 2..].copy_from_slice(&digits[ADDRESS_DIGITS + 2 - width..]);
    }
}

/// Returns an address in hexadecimal, with leading zeros.
#[inline]
pub(crate) fn address(value: usize) -> [u8; ADDRESS_DIGITS] {
    let mut digits = [b'0'; ADDRESS_DIGITS];
    let mut value = value as u64;

    for digits in digits.rchunks_exact_mut(8) {
        // CAST: The lower half.
        digits.copy_from_slice(&hexadecimal(value as u32));
        value >>= 32;
    }
    digits
}

/// Adds `value` in decimal to `line`.
pub(crate) fn add_decimal(line: &mut Line<'_>, value: u32) {
    if let Some(field) = line.blank(digits(value)) {
        decimal(field, value);
    }
}

/// Adds a number of things, or of bytes, in decimal to `line`.
pub(crate) fn add_count(line: &mut Line<'_>, count: usize) {
    add_decimal(line, u32::try_from(count).unwrap_or(u32::MAX));
}

/// Adds `value` in hexadecimal to `line`, with at least eight digits.
pub(crate) fn add_hexadecimal(line: &mut Line<'_>, value: usize) {
    // CAST: The halves.
    let (high, low) = ((value as u64 >> 32) as u32, value as u32);

    if high != 0 {
        line.bytes(&hexadecimal(high));
    }
    line.bytes(&hexadecimal(low));
}

/// Adds `value` in hexadecimal to `line`, without leading zeros.
pub(crate) fn add_short_hexadecimal(line: &mut Line<'_>, value: usize) {
    let digits = address(value);
    // Without the `0x`.
    let width = hexadecimal_width(value) - 2;

    line.bytes(&digits[ADDRESS_DIGITS - width..]);
}

/// Returns whether a byte of a name stands for itself wherever it is.
#[inline]
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'\\'
}

/// Returns how many bytes of `word`, the lowest first, come before the first NUL, and whether each
/// of these [`is_plain`].
///
/// All eight bytes are looked at in one: a table has a name in every row.
#[inline]
fn scan(word: u64) -> (usize, bool) {
    const MARKS: u64 = each_byte(0x80);

    // A mark in the first byte that is zero. Those above it may be marked as well, and wrongly.
    let ends = word.wrapping_sub(each_byte(1)) & !word & MARKS;
    let before_end = (ends & ends.wrapping_neg()).wrapping_sub(1);
    // A mark in each byte that is not plain. Only a byte above 127, which is marked itself, carries
    // into the next one.
    let blank = !word.wrapping_add(each_byte(0x80 - b'!'));
    let delete = word.wrapping_add(each_byte(1));
    let backslash = !(word ^ each_byte(b'\\')).wrapping_add(each_byte(0x7f));
    let odd = (word | blank | delete | backslash) & MARKS;

    // CAST: There are at most eight bytes.
    (ends.trailing_zeros() as usize / 8, odd & before_end == 0)
}

/// Adds a task's name to `line`: in brackets if `bracketed`, and up to its first NUL.
///
/// Every byte that is not printable ASCII, and the backslash, becomes a backslash and three octal
/// digits; so does the first or the last byte of the name when it is a space. An empty name is
/// `\000`. A name can therefore never end a line, fill a column of its own, or reach a terminal as
/// a control sequence.
#[inline]
pub(crate) fn add_comm(line: &mut Line<'_>, name: &[u8; COMM_LEN], bracketed: bool) {
    CommWriter::new().add(line, name, bracketed);
}

/// Adds names as [`add_comm`] does, one after the other: threads of a process often share one.
pub(crate) struct CommWriter {
    /// The last name that stood for itself.
    plain: u128,
    /// Its length; 0 if there was none.
    len: usize,
}

impl CommWriter {
    /// Has written none.
    #[inline]
    pub(crate) fn new() -> Self {
        Self { plain: 0, len: 0 }
    }

    /// Adds a name as [`add_comm`] does.
    #[inline(always)]
    pub(crate) fn add(&mut self, line: &mut Line<'_>, name: &[u8; COMM_LEN], bracketed: bool) {
        let word = u128::from_le_bytes(*name);

        if bracketed {
            line.byte(b'[');
        }
        if self.len == 0 || word != self.plain {
            let (len, plain) = scan_name(word);

            if len == 0 || !plain {
                add_escaped(line, &name[..len]);
            } else {
                self.plain = word;
                self.len = len;
                line.stamp(name, len);
            }
        } else {
            line.stamp(name, self.len);
        }
        if bracketed {
            line.byte(b']');
        }
    }
}

/// Returns how long a name is, and whether each byte of it [`is_plain`].
#[inline]
fn scan_name(name: u128) -> (usize, bool) {
    // CAST: The halves.
    let (low, high) = (name as u64, (name >> 64) as u64);
    let (mut len, mut plain) = scan(low);

    if len == size_of::<u64>() {
        let (rest, rest_plain) = scan(high);

        len += rest;
        plain &= rest_plain;
    }
    (len, plain)
}

/// Adds the name of a symbol, and what follows it, to `line`; escaped as described at [`add_comm`].
pub(crate) fn add_symbol(line: &mut Line<'_>, symbol: &[u8]) {
    if symbol.iter().all(|&byte| is_plain(byte) || byte == b' ') {
        line.bytes(symbol);
    } else {
        add_escaped(line, symbol);
    }
}

/// Adds a name of which some byte may have to be escaped, as described at [`add_comm`].
#[cold]
pub(crate) fn add_escaped(line: &mut Line<'_>, name: &[u8]) {
    let last = name.len().saturating_sub(1);

    if name.is_empty() {
        line.bytes(b"\\000");
    }
    for (at, &byte) in name.iter().enumerate() {
        let is_inner = at != 0 && at != last;

        if is_plain(byte) || byte == b' ' && is_inner {
            line.byte(byte);
        } else {
            let octal = |shift: u32| b'0' + (byte >> shift) % 8;

            line.bytes(&[b'\\', octal(6), octal(3), octal(0)]);
        }
    }
}

/// Returns `word`, followed by spaces.
pub(crate) const fn padded<const WIDTH: usize>(word: &str) -> [u8; WIDTH] {
    let word = word.as_bytes();
    let mut text = [b' '; WIDTH];
    let mut at = 0;

    while at < word.len() {
        text[at] = word[at];
        at += 1;
    }
    text
}

/// On which side of its column a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A column of a table: its name, which is its contract, and where its values stand.
pub(crate) struct Column {
    /// The name in the header.
    pub(crate) name: &'static str,
    /// The side on which the name and the values stand.
    pub(crate) side: Side,
    /// The most bytes that a value has.
    pub(crate) max: usize,
}

impl Column {
    /// A column of text.
    pub(crate) const fn text(name: &'static str, max: usize) -> Self {
        Self {
            name,
            side: Side::Left,
            max,
        }
    }

    /// A column of numbers.
    pub(crate) const fn number(name: &'static str, max: usize) -> Self {
        Self {
            name,
            side: Side::Right,
            max,
        }
    }

    /// Returns the most bytes that `columns` take up in a row, with the space after each.
    pub(crate) const fn width_max(columns: &[Column]) -> usize {
        let mut width = 0;
        let mut at = 0;

        while at < columns.len() {
            let name = columns[at].name.len();
            let value = columns[at].max;

            width += if name > value { name } else { value } + 1;
            at += 1;
        }
        width
    }
}

/// Where each column of a table stands in its rows.
///
/// The last column of a table, a name that runs to the end of the line, is not among these. `ROOM` is
/// the most bytes that the others take up.
pub(crate) struct Layout<const N: usize, const ROOM: usize = ROW_MAX> {
    columns: &'static [Column; N],
    starts: [usize; N],
    ends: [usize; N],
    width: usize,
}

impl<const N: usize, const ROOM: usize> Layout<N, ROOM> {
    /// Lays out `columns` for values of at most `widths` bytes, separated by single spaces.
    pub(crate) fn new(columns: &'static [Column; N], widths: [usize; N]) -> Self {
        let mut layout = Self {
            columns,
            starts: [0; N],
            ends: [0; N],
            width: 0,
        };

        for (at, column) in columns.iter().enumerate() {
            let width = widths[at].min(column.max).max(column.name.len());

            layout.starts[at] = layout.width;
            layout.ends[at] = layout.width + width;
            layout.width = layout.ends[at] + 1;
        }
        layout
    }

    /// Adds the header: the names of the columns, and `last` for the one that ends each line.
    pub(crate) fn header(&self, line: &mut Line<'_>, last: &str) {
        let mut row = self.row();

        for (at, column) in self.columns.iter().enumerate() {
            row.text(at, column.name);
        }
        row.add_to(line);
        line.bytes(last.as_bytes());
        line.byte(b'\n');
    }

    /// Begins a row, with nothing in its columns.
    #[inline]
    pub(crate) fn row(&self) -> Row<'_, N, ROOM> {
        Row {
            layout: self,
            text: [b' '; ROOM],
            values: [Value::Nothing; N],
        }
    }

    /// Returns how many bytes a row takes up without its last column.
    #[inline]
    pub(crate) fn width(&self) -> usize {
        self.width
    }
}

/// What a column of a [`Row`] says, as far as that is remembered.
#[derive(Clone, Copy)]
enum Value {
    /// Nothing, and it is blank.
    Nothing,
    /// Something that is not remembered.
    Other,
    /// A number in decimal.
    Number(i64),
    /// A number in hexadecimal.
    Hexadecimal(usize),
    /// A word.
    Word(&'static str),
}

/// A row being filled in, and then changed into the next one.
///
/// Threads that come one after the other have much in common. A value that stands in its column
/// already is not written again.
pub(crate) struct Row<'a, const N: usize, const ROOM: usize = ROW_MAX> {
    layout: &'a Layout<N, ROOM>,
    text: [u8; ROOM],
    values: [Value; N],
}

impl<const N: usize, const ROOM: usize> Row<'_, N, ROOM> {
    /// Adds the row to `line`. There must be room for `ROOM` bytes, however many are used.
    #[inline]
    pub(crate) fn add_to(&self, line: &mut Line<'_>) {
        line.stamp(&self.text, self.layout.width);
    }

    /// Returns the bytes of column `at`.
    fn field(&mut self, at: usize) -> &mut [u8] {
        &mut self.text[self.layout.starts[at]..self.layout.ends[at]]
    }

    /// Makes column `at` blank.
    #[cold]
    fn clear(&mut self, at: usize) {
        self.field(at).fill(b' ');
    }

    /// Writes a number in column `at`, on the right.
    #[inline]
    pub(crate) fn decimal(&mut self, at: usize, value: u32) {
        let number = i64::from(value);

        if matches!(self.values[at], Value::Number(before) if before == number) {
            return;
        }
        let end = self.layout.ends[at];

        match core::mem::replace(&mut self.values[at], Value::Number(number)) {
            Value::Number(before) if (0..number).contains(&before) => {
                // It has no more digits than this one. PIDs often follow each other, so that no
                // digit changes but the last.
                if number - before <= number % 10 {
                    decimal(&mut self.text[..end], value % 10);
                    return;
                }
            }
            Value::Nothing => {}
            _ => self.clear(at),
        }
        decimal(&mut self.text[..end], value);
    }

    /// Returns whether column `at` stands for something else than `key`, and remembers that it does
    /// now. What is written there, and in others along with it, is up to the caller.
    #[inline]
    pub(crate) fn is_new(&mut self, at: usize, key: u32) -> bool {
        let key = key.into();

        match core::mem::replace(&mut self.values[at], Value::Number(key)) {
            Value::Number(before) => before != key,
            _ => true,
        }
    }

    /// Writes a number that may be negative in column `at`, on the right.
    pub(crate) fn signed(&mut self, at: usize, value: i32) {
        let magnitude = value.unsigned_abs();

        if value >= 0 {
            return self.decimal(at, magnitude);
        }
        self.clear(at);
        self.values[at] = Value::Nothing;
        self.decimal(at, magnitude);
        let sign = self.layout.ends[at] - digits(magnitude) - 1;

        self.text[sign] = b'-';
        self.values[at] = Value::Number(value.into());
    }

    /// Writes a number in hexadecimal, with `0x` and without leading zeros, in column `at`, on the
    /// right.
    #[inline]
    pub(crate) fn hexadecimal(&mut self, at: usize, value: usize) {
        match self.values[at] {
            Value::Hexadecimal(before) if before == value => return,
            Value::Nothing => {}
            _ => self.clear(at),
        }
        self.values[at] = Value::Hexadecimal(value);
        prefixed_hexadecimal(&mut self.text[..self.layout.ends[at]], value);
    }

    /// Writes bytes at the left end of column `at`, which has room for them. A column that this is
    /// used for is written in no other way, and always with as many bytes.
    #[inline]
    pub(crate) fn bytes<const WIDTH: usize>(&mut self, at: usize, bytes: &[u8; WIDTH]) {
        let start = self.layout.starts[at];

        self.text[start..start + WIDTH].copy_from_slice(bytes);
    }

    /// Writes a word in column `at`, on its side; what has no place is cut off.
    #[inline]
    pub(crate) fn word(&mut self, at: usize, word: &'static str) {
        if let Value::Word(before) = self.values[at] {
            // The same word is the same piece of memory, most of the time.
            if core::ptr::eq(before, word) {
                return;
            }
        }
        self.text(at, word);
        self.values[at] = Value::Word(word);
    }

    /// Writes text in column `at`, on its side; what has no place is cut off.
    pub(crate) fn text(&mut self, at: usize, text: &str) {
        let side = self.layout.columns[at].side;

        self.clear(at);
        self.values[at] = Value::Other;
        let field = self.field(at);
        let len = text.len().min(field.len());
        let start = match side {
            Side::Left => 0,
            Side::Right => field.len() - len,
        };

        field[start..start + len].copy_from_slice(&text.as_bytes()[..len]);
    }
}

#[kunit_tests(taskscope_text)]
mod tests {
    use super::*;
    use core::mem::MaybeUninit;

    /// Returns whether `write` writes `expected`, and fails when there is a byte less for it.
    fn writes(expected: &[u8], write: impl Fn(&mut Line<'_>)) -> bool {
        let mut buf = [MaybeUninit::uninit(); 256];
        let mut line = Line::new(&mut buf);

        write(&mut line);
        let is_right = line.as_bytes() == expected;
        let has_fit = line.finish() == Some(expected.len());

        let mut short = Line::new(&mut buf[..expected.len() - 1]);
        write(&mut short);
        is_right && has_fit && short.finish().is_none()
    }

    /// Returns whether a name is written as `expected`.
    fn escapes(name: &[u8], bracketed: bool, expected: &[u8]) -> bool {
        let mut comm = [0; COMM_LEN];

        comm[..name.len()].copy_from_slice(name);
        writes(expected, |line| add_comm(line, &comm, bracketed))
    }

    #[test]
    fn a_word_is_scanned_as_its_bytes_are() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                for after in [b'x', 0, 0xff] {
                    let mut bytes = [b'x'; 8];

                    bytes[at] = byte;
                    bytes[at + 1..].fill(after);
                    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(8);
                    let plain = bytes[..len].iter().all(|&byte| is_plain(byte));

                    assert_eq!(scan(u64::from_le_bytes(bytes)), (len, plain));
                }
            }
        }
    }

    #[test]
    fn decimals() {
        assert!(writes(b"0", |line| add_decimal(line, 0)));
        assert!(writes(b"9", |line| add_decimal(line, 9)));
        assert!(writes(b"10", |line| add_decimal(line, 10)));
        assert!(writes(b"109", |line| add_decimal(line, 109)));
        assert!(writes(b"4194303", |line| add_decimal(line, 4194303)));
        assert!(writes(b"4294967295", |line| add_decimal(line, u32::MAX)));
    }

    #[test]
    fn decimals_stand_on_the_right() {
        let mut field = *b"      ";

        decimal(&mut field, 1204);
        assert_eq!(&field, b"  1204");

        let mut narrow = *b"  ";
        decimal(&mut narrow[1..], 57);
        assert_eq!(narrow[0], b' ');
    }

    #[test]
    fn hexadecimals() {
        assert_eq!(&hexadecimal(0), b"00000000");
        assert_eq!(&hexadecimal(0x09af_1b7e), b"09af1b7e");
        assert_eq!(&address(0xffff_8a5b_09af_1b7e), b"ffff8a5b09af1b7e");
        assert_eq!(&address(0x1b7e), b"0000000000001b7e");
        assert!(writes(b"80010200", |line| add_hexadecimal(
            line,
            0x8001_0200
        )));
    }

    #[test]
    fn short_hexadecimals() {
        assert!(writes(b"0", |line| add_short_hexadecimal(line, 0)));
        assert!(writes(b"1b7e", |line| add_short_hexadecimal(line, 0x1b7e)));
        assert!(writes(b"ffffffffffffffff", |line| {
            add_short_hexadecimal(line, usize::MAX)
        }));
    }

    #[test]
    fn prefixed_hexadecimals() {
        for (value, text) in [
            (0, &b"   0x0"[..]),
            (0xf, b"   0xf"),
            (0x10, b"  0x10"),
            (0xabcd, b"0xabcd"),
            // Wider than the field.
            (0xabcde, b"      "),
        ] {
            let mut field = *b"      ";

            prefixed_hexadecimal(&mut field, value);
            assert_eq!(&field, text);
        }
        assert_eq!(hexadecimal_width(usize::MAX), 2 + ADDRESS_DIGITS);
    }

    #[test]
    fn names() {
        assert!(escapes(b"init", false, b"init"));
        assert!(escapes(b"kthreadd", true, b"[kthreadd]"));
        assert!(escapes(b"a b", false, b"a b"));
        assert!(escapes(b" a ", false, b"\\040a\\040"));
        assert!(escapes(b" ", false, b"\\040"));
        assert!(escapes(b"", false, b"\\000"));
        assert!(escapes(b"", true, b"[\\000]"));
        assert!(escapes(
            b"a\n1 2\t\x1b[m\\",
            false,
            b"a\\0121 2\\011\\033[m\\134"
        ));
        assert!(escapes(b"\x7f\x80\xff", false, b"\\177\\200\\377"));
    }

    #[test]
    fn a_name_may_come_again() {
        let names: [(&[u8], bool); 7] = [
            (b"init", false),
            (b"init", false),
            (b"init", true),
            (b"in it", false),
            (b"init", false),
            (b"", false),
            (b"initial", false),
        ];
        let mut writer = CommWriter::new();
        let mut buf = [MaybeUninit::uninit(); 256];
        let mut line = Line::new(&mut buf);

        for (name, bracketed) in names {
            let mut comm = [0; COMM_LEN];

            comm[..name.len()].copy_from_slice(name);
            writer.add(&mut line, &comm, bracketed);
            line.byte(b' ');
        }
        assert_eq!(line.as_str(), "init init [init] in it init \\000 initial ");
    }

    #[test]
    fn symbols() {
        assert!(writes(b"schedule+0x1/0x2 [m]", |line| add_symbol(
            line,
            b"schedule+0x1/0x2 [m]"
        )));
        assert!(writes(b"a\\012+0x1/0x2 [m]", |line| add_symbol(
            line,
            b"a\n+0x1/0x2 [m]"
        )));
    }

    #[test]
    fn the_longest_name_fits() {
        let name = [b'\n'; COMM_LEN - 1];
        let mut comm = [0; COMM_LEN];
        let mut buf = [MaybeUninit::uninit(); COMM_MAX];
        let mut line = Line::new(&mut buf);

        comm[..name.len()].copy_from_slice(&name);
        add_comm(&mut line, &comm, true);
        assert_eq!(line.finish(), Some(COMM_MAX));
    }

    #[test]
    fn columns() {
        static COLUMNS: [Column; 3] = [
            Column::number("PID", 10),
            Column::text("S", 1),
            Column::text("KIND", 6),
        ];

        let layout: Layout<3> = Layout::new(&COLUMNS, [5, 1, 6]);
        let mut buf = [MaybeUninit::uninit(); 2 * ROW_MAX];
        let mut line = Line::new(&mut buf);

        layout.header(&mut line, "COMM");
        assert_eq!(line.as_bytes(), b"  PID S KIND   COMM\n");

        let mut line = Line::new(&mut buf);
        let mut row = layout.row();
        row.decimal(0, 12345);
        row.bytes(1, b"R");
        row.bytes(2, b"user  ");
        row.add_to(&mut line);
        assert_eq!(line.as_bytes(), b"12345 R user   ");

        let mut short = Line::new(&mut buf[..ROW_MAX - 1]);
        row.add_to(&mut short);
        assert!(short.finish().is_none());
    }

    /// What is written to a column of numbers and to one of text.
    type Writes = (fn(&mut Row<'_, 2>), fn(&mut Row<'_, 2>), &'static [u8]);

    #[test]
    fn a_row_is_changed_into_the_next() {
        static COLUMNS: [Column; 2] = [Column::number("N", 11), Column::text("TEXT", 11)];
        const WRITES: [Writes; 14] = [
            (
                |row| row.decimal(0, 9),
                |row| row.word(1, "ok"),
                b"     9 ok     ",
            ),
            (
                |row| row.decimal(0, 9),
                |row| row.word(1, "ok"),
                b"     9 ok     ",
            ),
            (
                |row| row.decimal(0, 123),
                |row| row.word(1, "on-cpu"),
                b"   123 on-cpu ",
            ),
            (
                |row| row.decimal(0, 45),
                |row| row.word(1, "on"),
                b"    45 on     ",
            ),
            (
                |row| row.signed(0, -45),
                |row| row.text(1, "x"),
                b"   -45 x      ",
            ),
            (
                |row| row.signed(0, 45),
                |row| row.word(1, "on"),
                b"    45 on     ",
            ),
            (
                |row| row.signed(0, -1),
                |row| row.word(1, "on"),
                b"    -1 on     ",
            ),
            (
                |row| row.signed(0, -1),
                |row| row.decimal(1, 0),
                b"    -1      0 ",
            ),
            (
                |row| row.decimal(0, 0),
                |row| row.decimal(1, 1),
                b"     0      1 ",
            ),
            (
                |row| row.word(0, "-"),
                |row| row.word(1, "-"),
                b"     - -      ",
            ),
            (
                |row| row.hexadecimal(0, 0xff),
                |row| row.word(1, "-"),
                b"  0xff -      ",
            ),
            (
                |row| row.hexadecimal(0, 1),
                |row| row.text(1, ""),
                b"   0x1        ",
            ),
            (
                |row| row.decimal(0, 1),
                |row| row.word(1, "-"),
                b"     1 -      ",
            ),
            (
                |row| row.decimal(0, 654321),
                |row| row.word(1, "too long"),
                b"654321 too lo ",
            ),
        ];
        let layout: Layout<2> = Layout::new(&COLUMNS, [6, 6]);
        let mut row = layout.row();

        for (first, second, expected) in WRITES {
            let mut buf = [MaybeUninit::uninit(); ROW_MAX];
            let mut line = Line::new(&mut buf);

            first(&mut row);
            second(&mut row);
            row.add_to(&mut line);
            assert_eq!(line.as_bytes(), expected);
        }
    }
}
