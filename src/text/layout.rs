// SPDX-License-Identifier: GPL-2.0

//! The widths of columns, the header, and rows.

use crate::text::columns::{
    Columns,
    Row, //
};
use crate::text::hexadecimal::ADDRESS_DIGITS;
use crate::text::line::Line;
use crate::text::name::Name;
use crate::text::number;
use crate::text::row_text::RowText;
use crate::text::value::{
    numbered_width,
    write_text, //
    Cell,
    Side,
    Value,
};
use core::ops::Range;
use kernel::prelude::*;

/// The most columns of a table, without the last one.
pub(crate) const COLUMNS_MAX: usize = 16;

/// The most bytes of all columns of a row together, without the last one.
pub(crate) const WIDTH_MAX: usize = u8::MAX as usize;

/// How wide a column has to be: its largest values so far.
#[derive(Clone, Copy)]
struct Width {
    /// The most bytes of text.
    text: usize,
    /// The largest number in decimal, without its sign.
    number: u64,
    /// The lowest number in decimal, if one is negative.
    lowest: i64,
    /// The largest [`Value::Hexadecimal`]; 0 if there is none.
    hexadecimal: usize,
    /// The largest [`Value::PaddedHexadecimal`]; 0 if there is none.
    padded: usize,
}

impl Width {
    /// The width of a column without values.
    const EMPTY: Self = Self {
        text: 0,
        number: 0,
        lowest: 0,
        hexadecimal: 0,
        padded: 0,
    };

    /// Takes a value into account.
    #[inline(always)]
    fn add(&mut self, value: Value) {
        match value {
            // The name of a column is not shorter.
            Value::Nothing | Value::Letter(_) => {}
            Value::Number(number) => self.number = self.number.max(number),
            Value::Signed(number) => {
                self.number = self.number.max(number.unsigned_abs());
                self.lowest = self.lowest.min(number);
            }
            // Zero is as wide as one.
            Value::Hexadecimal(number) => self.hexadecimal = self.hexadecimal.max(number | 1),
            Value::PaddedHexadecimal(number) => self.padded = self.padded.max(number | 1),
            Value::KernelAddress(_) => self.text = self.text.max(ADDRESS_DIGITS),
            Value::Word(word) => self.text = self.text.max(word.len()),
            Value::Numbered(word, number) => {
                self.text = self.text.max(numbered_width(word, number));
            }
            Value::Name(name) => self.text = self.text.max(name.word_len()),
        }
    }

    /// Returns the number of bytes.
    fn bytes(&self) -> usize {
        let if_any = |value: usize, width: fn(usize) -> usize| match value {
            0 => 0,
            value => width(value),
        };
        let sign = usize::from(self.lowest < 0);

        self.text
            .max(number::decimal_width(self.number))
            .max(sign + number::decimal_width(self.lowest.unsigned_abs()))
            .max(if_any(self.hexadecimal, number::prefixed_width))
            .max(if_any(self.padded, number::padded_width))
    }
}

/// The widths of the columns of a table, while its rows are looked at.
pub(crate) struct Widths {
    columns: [Width; COLUMNS_MAX],
    count: usize,
}

impl Widths {
    /// Columns as wide as their names.
    ///
    /// # Errors
    ///
    /// `E2BIG` if `R` has more than [`COLUMNS_MAX`] columns.
    pub(crate) fn new<R: Row>() -> Result<Self> {
        let mut widths = Self {
            columns: [Width::EMPTY; COLUMNS_MAX],
            count: 0,
        };

        R::columns(&mut Names(&mut widths));
        if widths.count > COLUMNS_MAX {
            return Err(E2BIG);
        }
        Ok(widths)
    }

    /// Makes the columns wide enough for a row.
    #[inline(always)]
    pub(crate) fn add<R: Row>(&mut self, row: &R) {
        R::columns(&mut Measure {
            widths: self,
            row,
            at: 0,
        });
    }
}

/// Where each column of a table stands in its rows. One space separates two columns.
pub(crate) struct Layout {
    /// Where each column starts and ends. Bytes, so that the compiler knows that a column lies
    /// within the row.
    places: [(u8, u8); COLUMNS_MAX],
    /// The number of bytes of a row before its last column.
    width: usize,
}

impl Layout {
    /// Lays out columns of these widths.
    ///
    /// # Errors
    ///
    /// `E2BIG` if the columns have more than [`WIDTH_MAX`] bytes together.
    pub(crate) fn new(widths: &Widths) -> Result<Self> {
        let mut layout = Self {
            places: [(0, 0); COLUMNS_MAX],
            width: 0,
        };

        for (place, width) in layout
            .places
            .iter_mut()
            .zip(&widths.columns[..widths.count])
        {
            let end = layout.width + width.bytes();
            let [start, end] = [layout.width, end].map(u8::try_from);

            *place = (start.map_err(|_| E2BIG)?, end.map_err(|_| E2BIG)?);
            layout.width = usize::from(place.1) + 1;
        }
        Ok(layout)
    }

    /// Returns where column `at` starts and ends in a row.
    #[inline(always)]
    pub(super) fn place(&self, at: usize) -> Range<usize> {
        let (start, end) = self.places[at];

        start.into()..end.into()
    }

    /// Returns the number of bytes of a row before its last column.
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Adds the header to `line`.
    pub(crate) fn header<R: Row>(&self, line: &mut Line<'_>) {
        let mut text = RowText::new(self);
        let mut header = Header {
            text: &mut text,
            at: 0,
            last: "",
        };

        R::columns(&mut header);
        let last = header.last;

        text.add_to(line);
        line.bytes(last.as_bytes());
        line.byte(b'\n');
    }

    /// Adds `rows`, which follow each other in the table, to `line`.
    #[inline(always)]
    pub(crate) fn rows<R: Row>(&self, rows: impl Iterator<Item = R>, line: &mut Line<'_>) {
        let mut text = RowText::new(self);
        let mut before: Option<R> = None;

        for row in rows {
            text.write(before.as_ref(), &row);
            text.add_to(line);
            R::columns(&mut Rest { row: &row, line });
            before = Some(row);
        }
    }
}

/// Makes each column as wide as its name, and counts them.
struct Names<'a>(&'a mut Widths);

impl<R> Columns<R> for Names<'_> {
    fn column<V: Cell>(&mut self, name: &'static str, _: Side, _: impl Fn(&R) -> V) {
        if let Some(width) = self.0.columns.get_mut(self.0.count) {
            width.text = name.len().max(V::WIDTH.unwrap_or(0));
        }
        self.0.count += 1;
    }

    fn own_text(&mut self, name: &'static str, _: impl Fn(&R) -> &[u8]) {
        self.column(name, Side::Left, |_: &R| Value::Nothing);
    }
}

/// Makes each column wide enough for a row.
struct Measure<'a, R> {
    widths: &'a mut Widths,
    row: &'a R,
    at: usize,
}

impl<R> Columns<R> for Measure<'_, R> {
    #[inline(always)]
    fn column<V: Cell>(&mut self, _: &'static str, _: Side, value: impl Fn(&R) -> V) {
        if V::WIDTH.is_none() {
            self.widths.columns[self.at].add(value(self.row).value());
        }
        self.at += 1;
    }

    fn own_text(&mut self, _: &'static str, value: impl Fn(&R) -> &[u8]) {
        let width = &mut self.widths.columns[self.at];

        width.text = width.text.max(value(self.row).len());
        self.at += 1;
    }
}

/// Writes the names of the columns.
struct Header<'a, 'b> {
    text: &'a mut RowText<'b>,
    at: usize,
    last: &'static str,
}

impl<R> Columns<R> for Header<'_, '_> {
    fn column<V: Cell>(&mut self, name: &'static str, side: Side, _: impl Fn(&R) -> V) {
        write_text(self.text.field(self.at), side, name.as_bytes());
        self.at += 1;
    }

    fn own_text(&mut self, name: &'static str, _: impl Fn(&R) -> &[u8]) {
        self.column(name, Side::Left, |_: &R| Value::Nothing);
    }

    fn name(&mut self, name: &'static str, _: impl Fn(&R) -> Name) {
        self.last = name;
    }

    fn rest(&mut self, name: &'static str, _: impl Fn(&R, &mut Line<'_>)) {
        self.last = name;
    }
}

/// Adds a last column of any length.
struct Rest<'a, 'b, R> {
    row: &'a R,
    line: &'a mut Line<'b>,
}

impl<R> Columns<R> for Rest<'_, '_, R> {
    #[inline(always)]
    fn column<V: Cell>(&mut self, _: &'static str, _: Side, _: impl Fn(&R) -> V) {}

    #[inline(always)]
    fn own_text(&mut self, _: &'static str, _: impl Fn(&R) -> &[u8]) {}

    #[inline(always)]
    fn rest(&mut self, _: &'static str, write: impl Fn(&R, &mut Line<'_>)) {
        write(self.row, self.line);
        self.line.byte(b'\n');
    }
}

#[kunit_tests(taskscope_layout)]
mod tests {
    use super::*;
    use crate::text::kernel_address::Shown;
    use crate::text::name;
    use crate::text::value::{
        Hexadecimal,
        Letter,
        PaddedHexadecimal, //
    };
    use core::cell::Cell as Counter;

    /// A row of a table with each kind of value.
    #[derive(Clone, Copy)]
    struct Thread {
        pid: u32,
        nr: i32,
        sp: Option<usize>,
        state: u8,
        valid: &'static str,
        comm: &'static str,
    }

    impl Row for Thread {
        fn columns(columns: &mut impl Columns<Self>) {
            columns.number("PID", |thread| thread.pid);
            columns.number("NR", |thread| thread.nr);
            columns.number("SP", |thread| thread.sp.map(PaddedHexadecimal));
            columns.number("HEX", |thread| Hexadecimal(thread.sp.unwrap_or(0)));
            columns.text("S", |thread| Letter(thread.state));
            columns.text("VALID", |thread| thread.valid);
            columns.name("COMM", |thread| {
                let mut comm = [0; name::COMM_LEN];

                comm[..thread.comm.len()].copy_from_slice(thread.comm.as_bytes());
                Name {
                    comm,
                    bracketed: thread.state == b'R',
                }
            });
        }
    }

    const THREADS: [Thread; 6] = {
        let thread = Thread {
            pid: 9,
            nr: 0,
            sp: None,
            state: b'R',
            valid: "on-cpu",
            comm: "init",
        };

        [
            thread,
            Thread { pid: 10, ..thread },
            Thread {
                pid: 100_000,
                nr: -1,
                sp: Some(0x7ffd_1234_5678),
                valid: "ok",
                comm: "a longer name",
                ..thread
            },
            Thread {
                pid: 11,
                nr: 230,
                sp: Some(0x1000),
                state: b'S',
                valid: "ok",
                comm: "sh",
            },
            Thread {
                pid: 12,
                valid: "outside",
                comm: "sh",
                ..thread
            },
            Thread {
                pid: 7,
                valid: "ok",
                comm: "sh",
                ..thread
            },
        ]
    };

    /// Returns a layout for [`THREADS`].
    fn layout() -> Result<Layout> {
        let mut widths = Widths::new::<Thread>()?;

        for thread in &THREADS {
            widths.add(thread);
        }
        Layout::new(&widths)
    }

    const TEXT: &str = "   PID  NR           SP            HEX S VALID   COMM\n\
                         \x20    9   0            -            0x0 R on-cpu  [init]\n\
                         \x20   10   0            -            0x0 R on-cpu  [init]\n\
                         100000  -1 7ffd12345678 0x7ffd12345678 R ok      [a longer name]\n\
                         \x20   11 230     00001000         0x1000 S ok      sh\n\
                         \x20   12   0            -            0x0 R outside [sh]\n\
                         \x20    7   0            -            0x0 R ok      [sh]\n";

    #[test]
    fn columns_are_as_wide_as_their_values() -> Result {
        let layout = layout()?;
        let mut buf = [0; 1024];
        let mut line = Line::new(&mut buf);

        layout.header::<Thread>(&mut line);
        layout.rows(THREADS.into_iter(), &mut line);
        assert_eq!(line.as_bytes(), TEXT.as_bytes());
        Ok(())
    }

    /// A row is the same, whichever row is before it.
    #[test]
    fn a_row_does_not_depend_on_the_row_before() -> Result {
        let layout = layout()?;

        for before in THREADS {
            for (thread, expected) in THREADS.iter().zip(TEXT.lines().skip(1)) {
                let mut buf = [0; 1024];
                let mut line = Line::new(&mut buf);

                layout.rows([before, *thread].into_iter(), &mut line);
                let row = line.as_bytes().split(|&byte| byte == b'\n').nth(1);
                assert_eq!(row, Some(expected.as_bytes()));
            }
        }
        Ok(())
    }

    /// A number that counts how often any such number is made into text.
    #[derive(Clone, Copy)]
    struct Counted<'a> {
        number: u32,
        written: &'a Counter<usize>,
    }

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.number == other.number
        }
    }

    impl Cell for Counted<'_> {
        fn value(self) -> Value {
            self.written.set(self.written.get() + 1);
            Value::Number(self.number.into())
        }
    }

    impl Row for Counted<'_> {
        fn columns(columns: &mut impl Columns<Self>) {
            columns.number("N", |counted| *counted);
            columns.rest("R", |_, _| ());
        }
    }

    /// To write them costs most of a row.
    #[test]
    fn values_of_the_row_before_are_not_written_again() -> Result {
        let layout = Layout::new(&Widths::new::<Counted<'_>>()?)?;
        let written = Counter::new(0);
        let rows = [1, 1, 2, 2, 2, 1].map(|number| Counted {
            number,
            written: &written,
        });
        let mut buf = [0; 512];
        let mut line = Line::new(&mut buf);

        layout.rows(rows.into_iter(), &mut line);
        assert_eq!(line.as_bytes(), b"1 \n1 \n2 \n2 \n2 \n1 \n");
        assert_eq!(written.get(), 3);
        Ok(())
    }

    #[test]
    fn rows_that_do_not_fit_overflow() -> Result {
        let layout = layout()?;
        let mut buf = [0; 1024];
        let mut line = Line::new(&mut buf);

        layout.rows(THREADS.into_iter(), &mut line);
        let len = line.finish().ok_or(EINVAL)?;

        for room in 0..len {
            let mut line = Line::new(&mut buf[..room]);

            layout.rows(THREADS.into_iter(), &mut line);
            assert!(line.finish().is_none());
        }
        Ok(())
    }

    /// Values that were not measured leave the other columns alone.
    #[test]
    fn a_value_that_does_not_fit_stays_in_its_column() -> Result {
        let layout = Layout::new(&Widths::new::<Thread>()?)?;
        let mut buf = [0; 1024];
        let mut line = Line::new(&mut buf);

        layout.header::<Thread>(&mut line);
        layout.rows(THREADS[2..4].iter().copied(), &mut line);
        assert_eq!(
            line.as_bytes(),
            b"PID NR SP HEX S VALID COMM\n\
             *** -1 ** *** R ok    [a longer name]\n\
             \x2011 ** ** *** S ok    sh\n"
        );
        Ok(())
    }

    #[test]
    fn zeros_have_their_width() -> Result {
        /// A row whose columns have short names.
        struct Zeros;

        impl Row for Zeros {
            fn columns(columns: &mut impl Columns<Self>) {
                columns.number("A", |_| Hexadecimal(0));
                columns.number("B", |_| PaddedHexadecimal(0));
                columns.number("C", |_| 0i32);
                columns.rest("D", |_, line| line.byte(b'd'));
            }
        }

        let mut widths = Widths::new::<Zeros>()?;
        let mut buf = [0; 1024];
        let mut line = Line::new(&mut buf);

        widths.add(&Zeros);
        Layout::new(&widths)?.rows([Zeros].into_iter(), &mut line);
        assert_eq!(line.as_bytes(), b"0x0 00000000 0 d\n");
        Ok(())
    }

    /// A row with one value.
    struct One(Value);

    impl Row for One {
        fn columns(columns: &mut impl Columns<Self>) {
            columns.text("A", |one| one.0);
            columns.rest("B", |_, line| line.byte(b'|'));
        }
    }

    /// Returns whether a table with this value, and no other, is written as `expected`.
    fn is_alone(value: Value, expected: &str) -> Result<bool> {
        let mut widths = Widths::new::<One>()?;
        let mut buf = [0; 512];
        let mut line = Line::new(&mut buf);

        widths.add(&One(value));
        Layout::new(&widths)?.rows([One(value)].into_iter(), &mut line);
        Ok(line.as_bytes() == expected.as_bytes())
    }

    #[test]
    fn a_column_is_as_wide_as_its_only_value() -> Result {
        let name = Name {
            comm: *b" a b\0\0\0\0\0\0\0\0\0\0\0\0",
            bracketed: true,
        };

        for (value, expected) in [
            (Value::Nothing, "- |\n"),
            (Value::Number(0), "0 |\n"),
            (Value::Number(100), "100 |\n"),
            (Value::Signed(0), "0 |\n"),
            (Value::Signed(12), "12 |\n"),
            (Value::Signed(-1), "-1 |\n"),
            (Value::Signed(-12), "-12 |\n"),
            (Value::Hexadecimal(0), "0x0 |\n"),
            (Value::Hexadecimal(1), "0x1 |\n"),
            (Value::Hexadecimal(0x10), "0x10 |\n"),
            (Value::PaddedHexadecimal(0), "00000000 |\n"),
            (Value::PaddedHexadecimal(1), "00000001 |\n"),
            (Value::PaddedHexadecimal(0x1_2345_6789), "123456789 |\n"),
            (
                Value::KernelAddress(Shown::Numbers.address(0xffff_8a5b_09af_1b7e)),
                "ffff8a5b09af1b7e |\n",
            ),
            (Value::Letter(b'S'), "S |\n"),
            (Value::Word("on-cpu"), "on-cpu |\n"),
            (Value::Numbered("mutex", None), "mutex:- |\n"),
            (Value::Numbered("mutex", Some(0)), "mutex:0 |\n"),
            (Value::Numbered("mutex", Some(1204)), "mutex:1204 |\n"),
            (Value::Name(name), "[\\040a\\040b] |\n"),
        ] {
            assert!(is_alone(value, expected)?);
        }
        Ok(())
    }

    /// A row with text of its own, with a column that has no text, and with columns after these.
    #[derive(Clone, Copy)]
    struct Event {
        source: &'static [u8],
        lock: Value,
        irqs: bool,
        frame: &'static [u8],
    }

    impl Row for Event {
        fn columns(columns: &mut impl Columns<Self>) {
            columns.own_text("SRC", |event| event.source);
            columns.own_text("O", |_| b"");
            columns.text("LOCK", |event| event.lock);
            columns.text("I", |event| event.irqs);
            columns.rest("FRAME", |event, line| line.bytes(event.frame));
        }
    }

    #[test]
    fn columns_stand_beside_text_of_the_row() -> Result {
        let events = [
            Event {
                source: b"25:virtio",
                lock: Value::Numbered("semaphore", None),
                irqs: false,
                frame: b"main+0x1",
            },
            Event {
                source: b"-",
                lock: Value::Nothing,
                irqs: true,
                frame: b"",
            },
            Event {
                source: b"cpu1",
                lock: Value::Numbered("mutex", Some(12)),
                irqs: true,
                frame: b"-",
            },
        ];
        let mut widths = Widths::new::<Event>()?;
        let mut buf = [0; 2048];
        let mut line = Line::new(&mut buf);

        for event in &events {
            widths.add(event);
        }
        let layout = Layout::new(&widths)?;

        layout.header::<Event>(&mut line);
        layout.rows(events.into_iter(), &mut line);
        assert_eq!(
            line.as_bytes(),
            b"SRC       O LOCK        I   FRAME\n\
              25:virtio   semaphore:- no  main+0x1\n\
              -           -           yes \n\
              cpu1        mutex:12    yes -\n"
        );
        Ok(())
    }

    /// A row of any width, and the name that is longest when it is written.
    struct Wide(&'static [u8]);

    impl Row for Wide {
        fn columns(columns: &mut impl Columns<Self>) {
            columns.own_text("TEXT", |wide| wide.0);
            columns.name("COMM", |_| {
                let mut comm = [b'\n'; name::COMM_LEN];

                comm[name::COMM_LEN - 1] = 0;
                Name {
                    comm,
                    bracketed: true,
                }
            });
        }
    }

    #[test]
    fn the_longest_name_stands_after_the_widest_columns() -> Result {
        static TEXT: [u8; 256] = [b'x'; 256];

        for len in [191, 192, 254, 255] {
            let wide = Wide(&TEXT[..len]);
            let mut widths = Widths::new::<Wide>()?;
            let mut buf = [0; 512];
            let mut line = Line::new(&mut buf);

            widths.add(&wide);
            Layout::new(&widths)?.rows([wide].into_iter(), &mut line);
            let (text, name) = line.as_bytes().split_at_checked(len).ok_or(EINVAL)?;

            assert_eq!(text, &TEXT[..len]);
            assert_eq!(
                name,
                b" [\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012\\012]\n"
            );
        }

        let mut widths = Widths::new::<Wide>()?;

        widths.add(&Wide(&TEXT));
        assert!(matches!(Layout::new(&widths), Err(error) if error == E2BIG));
        Ok(())
    }

    /// A table with one column too many.
    struct TooWide;

    impl Row for TooWide {
        fn columns(columns: &mut impl Columns<Self>) {
            for _ in 0..=COLUMNS_MAX {
                columns.number("N", |_| 0u32);
            }
        }
    }

    #[test]
    fn too_many_columns_are_an_error() {
        assert!(matches!(Widths::new::<TooWide>(), Err(error) if error == E2BIG));
    }
}
