// SPDX-License-Identifier: GPL-2.0

//! The values in columns, and how they are written.

use crate::text::hexadecimal::ADDRESS_DIGITS;
use crate::text::kernel_address::KernelAddress;
use crate::text::line::Line;
use crate::text::name::{
    self,
    Name, //
};
use crate::text::number;

/// On which side of its column a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// What a column shows of a row.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// Nothing applies.
    Nothing,
    /// A number in decimal.
    Number(u64),
    /// A number in decimal that may be negative.
    Signed(i64),
    /// A number in hexadecimal, with `0x` and without leading zeros.
    Hexadecimal(usize),
    /// A number in hexadecimal, with at least eight digits, as user addresses in `/proc/PID/maps`.
    PaddedHexadecimal(usize),
    /// A kernel address.
    KernelAddress(KernelAddress),
    /// A letter.
    Letter(u8),
    /// A word.
    Word(&'static str),
    /// A word, a colon, and a number in decimal if it is known.
    Numbered(&'static str, Option<u32>),
    /// The name of a thread, in which spaces are escaped.
    Name(Name),
}

/// What is printed for [`Value::Nothing`].
const NOTHING: &str = "-";

impl Value {
    /// Writes the value into `field`, on its side. The rest of the field, which may have a value
    /// from before, becomes blank.
    #[inline(always)]
    pub(super) fn write(self, field: &mut [u8], side: Side) {
        match self {
            Self::Nothing => write_text(field, side, NOTHING.as_bytes()),
            Self::Number(number) => number::write_decimal(field, number),
            Self::Signed(number) => number::write_signed(field, number),
            Self::Hexadecimal(number) => number::write_prefixed(field, number),
            Self::PaddedHexadecimal(number) => number::write_padded(field, number),
            Self::KernelAddress(address) => match field.first_chunk_mut() {
                Some(place) => address.write(place),
                None => write_text(field, side, &address.text()),
            },
            Self::Letter(letter) => write_text(field, side, &[letter]),
            Self::Word(word) => write_text(field, side, word.as_bytes()),
            Self::Numbered(word, number) => write_numbered(field, side, word, number),
            Self::Name(name) => {
                let mut text = [0; name::LINE_MAX];
                let len = name.write_word(&mut text);

                write_text(field, side, &text[..len]);
            }
        }
    }
}

/// Returns how many bytes [`Value::Numbered`] has.
pub(super) fn numbered_width(word: &str, number: Option<u32>) -> usize {
    word.len() + 1 + number.map_or(NOTHING.len(), |number| number::decimal_width(number.into()))
}

/// Writes [`Value::Numbered`] into `field`, on its side.
fn write_numbered(field: &mut [u8], side: Side, word: &str, number: Option<u32>) {
    let mut text = [0; 64];
    let mut line = Line::new(&mut text);

    line.bytes(word.as_bytes());
    line.byte(b':');
    match number {
        Some(number) => write!(line, "{number}"),
        None => line.bytes(NOTHING.as_bytes()),
    }
    write_text(field, side, line.as_bytes());
}

/// Writes text into `field`, on its side. The rest of the field, which may have a word from before,
/// becomes blank. Text that does not fit is cut off.
#[inline]
pub(super) fn write_text(field: &mut [u8], side: Side, text: &[u8]) {
    let text = &text[..text.len().min(field.len())];

    match side {
        Side::Left => {
            let mut bytes = text.iter();

            for place in field {
                match bytes.next() {
                    Some(byte) => *place = *byte,
                    None if *place == b' ' => return,
                    None => *place = b' ',
                }
            }
        }
        Side::Right => {
            let (rest, place) = field.split_at_mut(field.len() - text.len());

            place.copy_from_slice(text);
            number::blank(rest);
        }
    }
}

/// A number that is shown in hexadecimal, with at least eight digits: a user address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PaddedHexadecimal(pub(crate) usize);

/// A letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter(pub(crate) u8);

/// A number that is shown in hexadecimal, with `0x`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hexadecimal(pub(crate) usize);

/// The name of a thread in a column that is not the last. The value of such a column has no space:
/// every space is escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WithoutSpaces(pub(crate) Name);

/// What a column shows: two equal values are written the same.
pub(crate) trait Cell: PartialEq {
    /// The width in bytes of a column of such values, if it does not depend on the values.
    const WIDTH: Option<usize> = None;

    /// Returns what is written.
    fn value(self) -> Value;
}

/// Says how values of a type are written.
macro_rules! cell {
    ($($type:ty, $width:expr, $cell:ident => $value:expr;)*) => {$(
        impl Cell for $type {
            const WIDTH: Option<usize> = $width;

            #[inline(always)]
            fn value(self) -> Value {
                let $cell = self;

                $value
            }
        }
    )*};
}

cell! {
    Value, None, value => value;
    u32, None, number => Value::Number(number.into());
    u64, None, number => Value::Number(number);
    // CAST: `usize` has 64 bits.
    usize, None, number => Value::Number(number as u64);
    i32, None, number => Value::Signed(number.into());
    bool, None, holds => Value::Word(if holds { "yes" } else { "no" });
    &'static str, None, word => Value::Word(word);
    KernelAddress, Some(ADDRESS_DIGITS), address => Value::KernelAddress(address);
    PaddedHexadecimal, None, number => Value::PaddedHexadecimal(number.0);
    Letter, Some(1), letter => Value::Letter(letter.0);
    Hexadecimal, None, number => Value::Hexadecimal(number.0);
    WithoutSpaces, None, name => Value::Name(name.0);
}

impl<T: Cell> Cell for Option<T> {
    #[inline(always)]
    fn value(self) -> Value {
        match self {
            Some(cell) => cell.value(),
            None => Value::Nothing,
        }
    }
}
