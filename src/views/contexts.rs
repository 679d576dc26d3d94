// SPDX-License-Identifier: GPL-2.0

//! `contexts`. Every execution context, provoked by the open, and what was seen in each.

use crate::abstractions::context::Context;
use crate::abstractions::device_irqs::{
    DeviceIrq,
    DeviceIrqs, //
};
use crate::abstractions::nmi::{
    self,
    Nmis, //
};
use crate::abstractions::seq::{
    ReadOnly,
    Table, //
};
use crate::capture::answers::ANSWER_LIMIT;
use crate::capture::contexts::{
    Cpu,
    Outcome,
    ProbedContext,
    ProbedContexts, //
};
use crate::capture::observation::Observation;
use crate::capture::task_record::HasMm;
use crate::state::State;
use crate::text::columns::{
    self,
    Columns, //
};
use crate::text::kernel_address::Shown;
use crate::text::layout::Layout;
use crate::text::line::Line;
use crate::text::source::Source;
use crate::text::value::PaddedHexadecimal;
use crate::views::isolated_cpus::add_left_alone;
use crate::views::task_table::layout;
use core::ops::Range;
use kernel::cpu::CpuId;
use kernel::prelude::*;

/// A row: a context, and how its addresses are shown.
#[derive(Clone, Copy)]
struct ShownRow<'a> {
    probed: &'a ProbedContext,
    /// How kernel addresses are shown.
    shown: Shown,
}

impl columns::Row for ShownRow<'_> {
    fn columns(columns: &mut impl Columns<Self>) {
        columns.text("CONTEXT", |shown| shown.probed.name);
        columns.text("IN_TASK", |shown| shown.context(|context| context.in_task));
        columns.text("SOFTIRQ", |shown| shown.context(|context| context.softirq));
        columns.text("HARDIRQ", |shown| shown.context(|context| context.hardirq));
        columns.text("NMI", |shown| shown.context(|context| context.nmi));
        columns.text("IRQS", |shown| {
            shown.context(|context| context.irqs_enabled)
        });
        columns.number("PREEMPT_COUNT", |shown| {
            shown.context(|context| PaddedHexadecimal(context.preempt_count))
        });
        columns.number("CPU", |shown| {
            match (shown.probed.outcome, shown.probed.cpu) {
                (Outcome::Seen(seen), _) => Some(seen.cpu),
                (Outcome::LeftAlone, Some(cpu)) => Some(cpu.as_u32()),
                _ => None,
            }
        });
        columns.text("STACK", |shown| shown.seen(|seen| seen.stack.name()));
        columns.text("SP", |shown| {
            shown.seen(|seen| shown.shown.address(seen.stack_pointer))
        });
        columns.number("PID", |shown| shown.seen(|seen| seen.pid));
        columns.number("TGID", |shown| shown.seen(|seen| seen.tgid));
        columns.text("MM", |shown| shown.seen(|seen| HasMm(seen.has_mm)));
        columns.own_text("SOURCE", |shown| shown.probed.source.as_bytes());
        columns.rest("COMM", |shown, line| match &shown.probed.outcome {
            Outcome::Seen(seen) => write!(line, "{}", seen.name),
            _ => line.byte(b'-'),
        });
    }
}

impl ShownRow<'_> {
    /// Returns `value` of what was seen, if the context answered.
    fn seen<T>(&self, value: impl FnOnce(&Observation) -> T) -> Option<T> {
        match &self.probed.outcome {
            Outcome::Seen(seen) => Some(value(seen)),
            _ => None,
        }
    }

    /// Returns `value` of the context that was seen, if the context answered.
    fn context<T>(&self, value: impl FnOnce(&Context) -> T) -> Option<T> {
        self.seen(|seen| value(&seen.context))
    }
}

/// Returns the rows for `contexts`.
fn shown_rows(contexts: &[ProbedContext], shown: Shown) -> impl Iterator<Item = ShownRow<'_>> {
    contexts
        .iter()
        .map(move |probed| ShownRow { probed, shown })
}

/// Returns the latest NMI of `cpu`. What has sent it is not known.
fn nmi_of(cpu: CpuId, nmis: &Nmis<Observation>) -> ProbedContext {
    ProbedContext::new("nmi", Some(cpu), nmis.latest(cpu).into(), Source::nothing())
}

/// Returns the latest interrupt of a device on `cpu`.
fn device_irq_of(cpu: CpuId, device_irqs: &DeviceIrqs<Observation>) -> ProbedContext {
    let (outcome, source) = match device_irqs.latest(cpu) {
        Some(DeviceIrq {
            number,
            name,
            value,
        }) => (
            Outcome::Seen(value),
            Source::named(number, name.as_bytes(), name.is_whole()),
        ),
        None => (Outcome::Absent, Source::nothing()),
    };

    ProbedContext::new("device_irq", Some(cpu), outcome, source)
}

/// The table `contexts`.
pub(crate) struct Contexts {
    probed: ProbedContexts,
    /// Why no interrupt of a device is shown, if none can be.
    no_device_irqs: Option<&'static str>,
    shown: Shown,
    layout: Layout,
}

impl Contexts {
    /// Returns the contexts `name` that have not happened.
    fn absent<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ProbedContext> {
        self.probed.contexts.iter().filter(move |context| {
            context.name == name && matches!(context.outcome, Outcome::Absent)
        })
    }

    /// Adds a line for each CPU on which context `name` has not happened.
    fn add_absent(&self, name: &str, line: &mut Line<'_>) {
        for cpu in self.absent(name).filter_map(|context| context.cpu) {
            writeln!(
                line,
                "# {name}: none on processor {} since the module was loaded",
                cpu.as_u32()
            );
        }
    }
}

impl Table for Contexts {
    type Shared = State;
    type Input = ReadOnly;

    fn open(state: &State) -> Result<Self> {
        let mut probed = state.prober.provoke()?;
        let contexts = &mut probed.contexts;

        for Cpu { id, .. } in &probed.cpus {
            contexts.push(nmi_of(*id, &state.nmis), GFP_KERNEL)?;
        }
        for Cpu { id, .. } in &probed.cpus {
            contexts.push(device_irq_of(*id, &state.device_irqs), GFP_KERNEL)?;
        }
        contexts.push(state.module_init, GFP_KERNEL)?;

        let shown = state.addresses.show_once(contexts);

        Ok(Self {
            layout: layout(shown_rows(contexts, shown))?,
            shown,
            no_device_irqs: match state.device_irqs {
                DeviceIrqs::Watched(_) => None,
                DeviceIrqs::Unwanted => {
                    Some("not recorded: the module was loaded without device_irqs=1")
                }
                DeviceIrqs::NoTracepoint => Some("the kernel has no tracepoint for them"),
            },
            probed,
        })
    }

    fn header(&self, line: &mut Line<'_>) {
        self.layout.header::<ShownRow<'_>>(line);
    }

    fn len(&self) -> usize {
        self.probed.contexts.len()
    }

    fn rows(&self, range: Range<usize>, line: &mut Line<'_>) {
        self.layout
            .rows(shown_rows(&self.probed.contexts[range], self.shown), line);
    }

    fn summary(&self, line: &mut Line<'_>) {
        let ProbedContexts {
            contexts: probed,
            cpus,
            no_fault,
            ..
        } = &self.probed;

        writeln!(
            line,
            "# {} contexts, {} processors online",
            probed.len(),
            cpus.len()
        );
        for Cpu { id, left_alone, .. } in cpus {
            let Some(isolation) = left_alone else {
                continue;
            };

            write!(line, "# processor {} ", id.as_u32());
            add_left_alone(line, *isolation);
        }
        for ProbedContext {
            name, cpu, outcome, ..
        } in probed
        {
            if !matches!(outcome, Outcome::Silent { .. } | Outcome::Failed(_)) {
                continue;
            }
            write!(line, "# {name}");
            if let Some(cpu) = cpu {
                write!(line, " on processor {}", cpu.as_u32());
            }
            if let Outcome::Failed(error) = outcome {
                let errno = error.to_errno().unsigned_abs();

                writeln!(line, " could not be provoked: error {errno}");
                continue;
            }
            if let Outcome::Silent {
                sender: Some(sender),
            } = outcome
            {
                write!(line, " was not sent: processor {}", sender.as_u32());
            }
            writeln!(line, " did not answer within {} ms", ANSWER_LIMIT);
        }
        if let Some(error) = no_fault {
            let errno = error.to_errno().unsigned_abs();

            writeln!(line, "# page_fault could not be provoked: error {errno}");
        } else if self.absent("page_fault").next().is_some() {
            writeln!(
                line,
                "# page_fault: another thread of the process has changed the mapping"
            );
        }
        if self.absent("ipi").next().is_some() {
            writeln!(
                line,
                "# ipi: no other processor could send one; a processor calls itself without an interrupt"
            );
        }
        if !nmi::SUPPORTED {
            writeln!(line, "# nmi: a module can have none on this architecture");
        } else {
            self.add_absent("nmi", line);
        }
        match self.no_device_irqs {
            Some(reason) => writeln!(line, "# device_irq: {reason}"),
            None => self.add_absent("device_irq", line),
        }
        for context in probed.iter().filter(|context| context.source.is_cut()) {
            write!(line, "# {}", context.name);
            if let Some(cpu) = context.cpu {
                write!(line, " on processor {}", cpu.as_u32());
            }
            writeln!(line, ": the end of the name in SOURCE is missing");
        }
    }
}
