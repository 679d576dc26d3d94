// SPDX-License-Identifier: GPL-2.0

//! Provokes the execution contexts of the kernel, and records what is seen in each.
//!
//! | context         | what triggers it                                      | where              |
//! |-----------------|-------------------------------------------------------|--------------------|
//! | `syscall`       | the `open()` itself                                   | [`Prober::provoke`]|
//! | `page_fault`    | a read from a page that does not exist                | [`fault::provoke`] |
//! | `kthread`       | a kernel thread that [`ProbeWork`] starts             | `work.rs`          |
//! | `workqueue`     | a work item for each CPU that [`ProbeWork`] queues    | `per_cpu.rs`       |
//! | `softirq_bh`    | BH work that the hrtimer queues (see `BH_BY_TIMER`)   | `per_cpu.rs`       |
//! | `softirq_timer` | a timer that the hrtimer starts                       | `per_cpu.rs`       |
//! | `hrtimer`       | a high-resolution timer that the work item starts     | `per_cpu.rs`       |
//! | `irq_work`      | an `irq_work` that the hrtimer queues                 | `per_cpu.rs`       |
//! | `ipi`           | a call from the work item of another CPU              | `per_cpu.rs`       |
//! | `irq_thread`    | an interrupt without a device that the hrtimer raises | `per_cpu.rs`       |
//!
//! This is the order of the table. The rows `nmi`, `device_irq` and `module_init` are recorded when
//! they happen, see [`State`](crate::state::State).
//!
//! # Isolated CPUs
//!
//! An isolated CPU is left alone, unless the module is loaded with `include_isolated=1`: nothing is
//! queued or armed there, and nothing is sent there. Partitions of cpusets come and go, so each
//! open asks again which CPUs are isolated. A CPU that becomes isolated during an open is probed
//! until that open ends.
//!
//! The kernel thread and [`ProbeWork`] may run on any CPU. The kernel keeps such threads off the
//! CPUs of `isolcpus=` and of isolated partitions.
//!
//! # Who waits for whom
//!
//! The open waits for its [`ProbeWork`], for [`ANSWER_LIMIT`] at most; a signal ends the wait. Then
//! the open cancels the work and waits for [`END_LIMIT`](work::END_LIMIT) more, unless the caller
//! is being killed. The work waits for all that it has triggered, however long that takes.
//!
//! Normally nothing is queued or running any more when [`Prober::provoke`] returns. One case is
//! different: a callback has begun, and a thread of a real-time class has taken its CPU. Then the
//! work still waits, and the drop of [`Prober`] waits for the work.
//!
//! Each open has its own work and its own callbacks.

mod per_cpu;
mod work;

use crate::abstractions::callbacks::{
    Callback,
    Queue,
    THREADED_IRQ, //
};
use crate::abstractions::cpus::Isolation;
use crate::abstractions::fault;
use crate::capture::addresses::HasAddresses;
use crate::capture::observation::Observation;
use crate::capture::system_calls::current_call;
use crate::text::source::Source;
use core::slice;
use kernel::bindings;
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::sync::{
    Arc,
    SetOnce, //
};
use per_cpu::{
    CpuRecord,
    PerCpu, //
    CONTEXTS,
};
use work::ProbeWork;

/// The name of the workqueue for the work of an open.
const WORKS: &CStr = c"taskscope_open";

/// The name of the workqueue for the work items of the CPUs.
const PER_CPU: &CStr = c"taskscope";

/// What happened when a context was probed.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    /// It answered.
    Seen(Observation),
    /// It did not answer in time. For `ipi`, `sender` is the CPU that sends the interrupt.
    Silent { sender: Option<CpuId> },
    /// It could not be provoked.
    Failed(Error),
    /// It was left alone, because its CPU is isolated.
    LeftAlone,
    /// It did not happen, and nothing waits for it.
    Absent,
}

impl From<Option<Observation>> for Outcome {
    fn from(seen: Option<Observation>) -> Self {
        seen.map_or(Self::Absent, Self::Seen)
    }
}

/// A context, and what happened when it was probed.
#[derive(Clone, Copy)]
pub(crate) struct ProbedContext {
    /// The name of the context.
    pub(crate) name: &'static str,
    /// The CPU that was probed, if it was a certain one.
    pub(crate) cpu: Option<CpuId>,
    /// What has set it off, if it was seen.
    pub(crate) source: Source,
    /// What happened.
    pub(crate) outcome: Outcome,
}

impl ProbedContext {
    /// A context, which `source` sets off if it answers.
    pub(crate) fn new(
        name: &'static str,
        cpu: Option<CpuId>,
        outcome: Outcome,
        source: Source,
    ) -> Self {
        let source = match outcome {
            Outcome::Seen(_) => source,
            _ => Source::nothing(),
        };

        Self {
            name,
            cpu,
            source,
            outcome,
        }
    }
}

/// Returns the system call that the caller is in as a source.
pub(crate) fn source_of_call() -> Source {
    current_call().map_or(Source::nothing(), |(nr, name)| {
        Source::named(nr, name.as_bytes(), true)
    })
}

impl HasAddresses for ProbedContext {
    fn addresses(&mut self) -> &mut [usize] {
        match &mut self.outcome {
            Outcome::Seen(seen) => slice::from_mut(&mut seen.stack_pointer),
            _ => &mut [],
        }
    }
}

/// A CPU that is online.
#[derive(Clone)]
pub(crate) struct Cpu {
    /// Its number.
    pub(crate) id: CpuId,
    /// What isolates it, if it is left alone for that.
    pub(crate) left_alone: Option<Isolation>,
    /// What its contexts record.
    record: Arc<CpuRecord>,
}

/// Returns those of `cpus` that are not left alone.
fn probed(cpus: &[Cpu]) -> impl Iterator<Item = &Cpu> + Clone {
    cpus.iter().filter(|cpu| cpu.left_alone.is_none())
}

/// What was seen in all contexts.
pub(crate) struct ProbedContexts {
    /// The contexts, in the order of the table.
    pub(crate) contexts: KVVec<ProbedContext>,
    /// The CPUs that were online.
    pub(crate) cpus: KVec<Cpu>,
    /// Why there was no page fault, if there could be none.
    pub(crate) no_fault: Option<Error>,
}

/// A callback that records what the first call of it sees.
impl Callback for SetOnce<Observation> {
    fn call(&self) {
        self.populate(Observation::now());
    }
}

/// Provokes contexts. The drop waits for all that was triggered.
pub(crate) struct Prober {
    // Dropped in this order: a `ProbeWork` queues items on `per_cpu`.
    works: Queue,
    per_cpu: Arc<Queue>,
    include_isolated: bool,
}

impl Prober {
    /// Creates a prober, which probes isolated CPUs too if `include_isolated`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(include_isolated: bool) -> Result<Self> {
        Ok(Self {
            works: Queue::unbound(WORKS)?,
            per_cpu: Arc::new(Queue::per_cpu(PER_CPU)?, GFP_KERNEL)?,
            include_isolated,
        })
    }

    /// Provokes all contexts, and waits until they have answered. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENFILE`, `EAGAIN` if there can be no more threads, or `ERESTARTSYS` when a signal
    /// comes.
    pub(crate) fn provoke(&self) -> Result<ProbedContexts> {
        let in_syscall = Observation::now();
        let in_fault = Arc::new(SetOnce::new(), GFP_KERNEL)?;
        let no_fault = fault::provoke(in_fault.clone())?;
        let work = ProbeWork::new(self.per_cpu.clone(), self.include_isolated)?;

        // `enqueue()` refuses an item that is queued already, which a new one is not.
        let _ = self.works.as_queue().enqueue(work.clone());
        let (in_kthread, cpus) = work.wait()?;

        let mut contexts = KVVec::new();

        for (name, outcome, source) in [
            ("syscall", Outcome::Seen(in_syscall), source_of_call()),
            ("page_fault", in_fault.copy().into(), Source::word(b"read")),
            ("kthread", in_kthread, Source::word(WORKS.to_bytes())),
        ] {
            let context = ProbedContext::new(name, None, outcome, source);

            contexts.push(context, GFP_KERNEL)?;
        }
        for (context, name) in CONTEXTS {
            add_per_cpu(&mut contexts, context, name, &cpus)?;
        }
        Ok(ProbedContexts {
            contexts,
            cpus,
            no_fault,
        })
    }
}

/// Adds `context` of each of the CPUs to `contexts`. May sleep; fails with `ENOMEM`.
fn add_per_cpu(
    contexts: &mut KVVec<ProbedContext>,
    context: PerCpu,
    name: &'static str,
    cpus: &[Cpu],
) -> Result {
    let alone = probed(cpus).count() < 2;
    // Each CPU sends an IPI to the next one, and the last one to the first.
    let mut last = probed(cpus).last().map(|cpu| cpu.id);

    for cpu in cpus {
        let record = &cpu.record;
        let sender = match cpu.left_alone {
            Some(_) => None,
            None => last.replace(cpu.id).filter(|_| context == PerCpu::Ipi),
        };
        let outcome = if cpu.left_alone.is_some() {
            Outcome::LeftAlone
        } else if context == PerCpu::Ipi && alone {
            // No other CPU can send one.
            Outcome::Absent
        } else if let Some(seen) = record.seen(context) {
            Outcome::Seen(seen)
        } else if let (PerCpu::IrqThread, Some(Err(error))) = (context, record.irq()) {
            Outcome::Failed(error)
        } else {
            Outcome::Silent { sender }
        };
        let source = match context {
            PerCpu::Workqueue => Source::word(PER_CPU.to_bytes()),
            // The kernel's own names, as in /proc/softirqs.
            PerCpu::SoftirqBh => Source::named(bindings::TASKLET_SOFTIRQ, b"TASKLET", true),
            PerCpu::SoftirqTimer => Source::named(bindings::TIMER_SOFTIRQ, b"TIMER", true),
            PerCpu::Hrtimer => Source::word(b"CLOCK_MONOTONIC"),
            PerCpu::IrqWork => Source::cpu(cpu.id.as_u32()),
            PerCpu::Ipi => sender.map_or(Source::nothing(), |sender| Source::cpu(sender.as_u32())),
            PerCpu::IrqThread => match record.irq() {
                Some(Ok(number)) => Source::named(number, THREADED_IRQ.to_bytes(), true),
                _ => Source::nothing(),
            },
        };

        contexts.push(
            ProbedContext::new(name, Some(cpu.id), outcome, source),
            GFP_KERNEL,
        )?;
    }
    Ok(())
}
