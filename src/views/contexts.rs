// SPDX-License-Identifier: GPL-2.0

//! `contexts`. Every execution context, provoked by the open, and what was seen in each.

use crate::{
    addresses::Shown,
    line::Line,
    nmi,
    observation::Observation,
    probe::{
        self,
        Probes,
        Processor,
        Row, //
    },
    seq::{
        ReadOnly,
        Table, //
    },
    state::State,
    text::{
        self,
        Column,
        Layout,
        ADDRESS_DIGITS,
        ROW_MAX, //
    },
    views::threads::padded_mm_name, //
};
use core::mem::MaybeUninit;
use kernel::{
    cpu::CpuId,
    prelude::*, //
};

/// The columns. The last one, COMM, runs to the end of the line.
static COLUMNS: [Column; 13] = [
    Column::text("CONTEXT", 13),
    Column::text("IN_TASK", 3),
    Column::text("SOFTIRQ", 3),
    Column::text("HARDIRQ", 3),
    Column::text("NMI", 3),
    Column::text("IRQS", 3),
    Column::number("PREEMPT_COUNT", ADDRESS_DIGITS),
    Column::number("CPU", 10),
    Column::text("STACK", 5),
    Column::text("SP", ADDRESS_DIGITS),
    Column::number("PID", 10),
    Column::number("TGID", 10),
    Column::text("MM", 4),
];

const CONTEXT: usize = 0;
const IN_TASK: usize = 1;
const SOFTIRQ: usize = 2;
const HARDIRQ: usize = 3;
const NMI: usize = 4;
const IRQS: usize = 5;
const PREEMPT_COUNT: usize = 6;
const CPU: usize = 7;
const STACK: usize = 8;
const SP: usize = 9;
const PID: usize = 10;
const TGID: usize = 11;
const MM: usize = 12;

/// The table `contexts`.
pub(crate) struct Contexts {
    rows: KVVec<Row>,
    /// The processors that were online.
    processors: KVec<Processor>,
    /// How many of them were asked.
    asked: usize,
    no_fault: Option<Error>,
    shown: Shown,
    layout: Layout<13>,
}

impl Contexts {
    /// Returns the rows that stand for a context which was asked and has not answered.
    fn silent(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| {
            row.seen.is_none()
                && !row.left_alone
                && match row.name {
                    "ipi" => self.asked > 1,
                    name => name != "nmi" && name != "page_fault",
                }
        })
    }

    /// Returns the processors that have had no NMI.
    fn without_nmi(&self) -> impl Iterator<Item = CpuId> + '_ {
        self.rows
            .iter()
            .filter(|row| row.name == "nmi" && row.seen.is_none())
            .filter_map(|row| row.cpu)
    }
}

impl Table for Contexts {
    type Shared = State;
    type Input = ReadOnly<State>;

    fn open(state: &State) -> Result<Self> {
        let Probes {
            mut rows,
            processors,
            no_fault,
        } = state.prober.provoke()?;

        for Processor { cpu, .. } in &processors {
            rows.push(
                Row {
                    cpu: Some(*cpu),
                    ..Row::new("nmi", state.nmis.seen(*cpu))
                },
                GFP_KERNEL,
            )?;
        }
        rows.push(Row::new("module_init", Some(state.module_init)), GFP_KERNEL)?;

        Ok(Self {
            layout: layout(&rows),
            shown: state.addresses.show_once(&mut rows),
            rows,
            asked: processors
                .iter()
                .filter(|one| one.left_alone.is_none())
                .count(),
            processors,
            no_fault,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header(line, "COMM");
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, at: usize, line: &mut Line<'_>) {
        let Row {
            name,
            cpu,
            left_alone,
            seen,
            ..
        } = &self.rows[at];

        if !line.has_room(ROW_MAX + text::COMM_MAX + 1) {
            return;
        }
        let mut row = self.layout.row();

        row.word(CONTEXT, name);
        let Some(seen) = seen else {
            for column in IN_TASK..=MM {
                row.word(column, "-");
            }
            if let Some(cpu) = cpu.filter(|_| *left_alone) {
                row.decimal(CPU, cpu.as_u32());
            }
            row.add_to(line);
            line.bytes(b"-\n");
            return;
        };
        let context = seen.context;
        let mut count = [MaybeUninit::uninit(); ADDRESS_DIGITS];
        let mut count = Line::new(&mut count);

        for (column, value) in [
            (IN_TASK, context.in_task),
            (SOFTIRQ, context.softirq),
            (HARDIRQ, context.hardirq),
            (NMI, context.nmi),
            (IRQS, context.irqs_enabled),
        ] {
            row.word(column, if value { "yes" } else { "no" });
        }
        text::add_hexadecimal(&mut count, context.preempt_count);
        row.text(PREEMPT_COUNT, count.as_str());
        row.decimal(CPU, seen.cpu);
        row.word(STACK, seen.stack.name());
        row.bytes(SP, &self.shown.text(seen.stack_pointer));
        row.decimal(PID, seen.pid);
        row.decimal(TGID, seen.tgid);
        row.bytes(MM, padded_mm_name(seen.has_mm));
        row.add_to(line);
        seen.name.add_to(line);
        line.byte(b'\n');
    }

    fn summary(&self, line: &mut Line<'_>) {
        line.bytes(b"# ");
        text::add_count(line, self.rows());
        line.bytes(b" contexts, ");
        text::add_count(line, self.processors.len());
        line.bytes(b" processors online\n");
        for Processor { cpu, left_alone } in &self.processors {
            let Some(isolation) = left_alone else {
                continue;
            };

            line.bytes(b"# processor ");
            text::add_decimal(line, cpu.as_u32());
            line.bytes(b" is isolated (");
            for (place, reason) in isolation.reasons().enumerate() {
                line.bytes(if place == 0 { b"" } else { b", " });
                line.bytes(reason.as_bytes());
            }
            line.bytes(b") and was left alone; include_isolated=1 asks it as well\n");
        }
        for Row {
            name, cpu, caller, ..
        } in self.silent()
        {
            line.bytes(b"# ");
            line.bytes(name.as_bytes());
            if let Some(cpu) = cpu {
                line.bytes(b" on processor ");
                text::add_decimal(line, cpu.as_u32());
            }
            if let Some(caller) = caller {
                line.bytes(b" was not sent: processor ");
                text::add_decimal(line, caller.as_u32());
            }
            line.bytes(b" did not answer within ");
            text::add_decimal(line, probe::LIMIT);
            line.bytes(b" ms\n");
        }
        if let Some(error) = self.no_fault {
            line.bytes(b"# page_fault could not be provoked: error ");
            text::add_decimal(line, error.to_errno().unsigned_abs());
            line.byte(b'\n');
        } else if self
            .rows
            .iter()
            .any(|row| row.name == "page_fault" && row.seen.is_none())
        {
            line.bytes(b"# page_fault: another thread of the process has changed the mapping\n");
        }
        if self.asked == 1 {
            line.bytes(
                b"# ipi: no other processor could send one, and a call to one's own is none\n",
            );
        }
        if !nmi::SUPPORTED {
            line.bytes(b"# nmi: a module can have none on this architecture\n");
        } else {
            for cpu in self.without_nmi() {
                line.bytes(b"# nmi: none on processor ");
                text::add_decimal(line, cpu.as_u32());
                line.bytes(b" since the module was loaded\n");
            }
        }
    }
}

/// Makes each column as wide as the widest of its values.
fn layout(rows: &[Row]) -> Layout<13> {
    const { assert!(Column::width_max(&COLUMNS) <= ROW_MAX) };

    let mut widths = COLUMNS.each_ref().map(|column| column.max);
    let widest = |value: fn(&Observation) -> u32| {
        let seen = rows.iter().filter_map(|row| row.seen.as_ref());

        text::digits(seen.map(value).max().unwrap_or_default())
    };
    let left_alone = rows
        .iter()
        .filter(|row| row.left_alone)
        .filter_map(|row| Some(row.cpu?.as_u32()))
        .max();

    widths[PREEMPT_COUNT] = 8;
    widths[CPU] = widest(|seen| seen.cpu).max(text::digits(left_alone.unwrap_or_default()));
    widths[PID] = widest(|seen| seen.pid);
    widths[TGID] = widest(|seen| seen.tgid);

    Layout::new(&COLUMNS, widths)
}
