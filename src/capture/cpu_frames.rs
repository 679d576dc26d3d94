// SPDX-License-Identifier: GPL-2.0

//! What `cpus` shows of each CPU: the frames of the code that it ran, with their names.
//!
//! The names are looked up after the CPUs have answered, in the open. What they lie in may have
//! gone by then. A name in the kernel's own text stays. A name in a module is given up if a grace
//! period has passed since the sample (see [`Symbols`]). The mapping of a program counter is looked
//! up in the address space that the CPU used, if that still has users.

use crate::abstractions::cpus::Isolation;
use crate::abstractions::mm::{
    LockBudget,
    WeakAddressSpace, //
};
use crate::abstractions::tasks::RcuTask;
use crate::capture::cpu_samples::{
    CpuContext,
    CpuSampler,
    CpuState,
    Sample, //
};
use crate::capture::frame_names::{
    FoundNames,
    FrameName,
    FrameNames, //
};
use crate::capture::kernel_frames::FRAMES_MAX;
use crate::capture::snapshot::{
    Memory,
    Record,
    Recorder,
    Snapshot,
    ThreadId, //
};
use crate::capture::symbols::Symbols;
use crate::capture::task_record::name_of;
use crate::capture::walk::Scope;
use crate::text::name::Name;
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::time::Delta;

/// What is in column FRAME.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CpuFrame {
    /// An address of the kernel, by the number of its symbol.
    Kernel(u32),
    /// An address of a program in a mapping.
    User {
        address: usize,
        /// The name of the mapping.
        name: FrameName,
        /// The offset of the address in the mapped file; in the mapping if no file is mapped.
        offset: usize,
    },
    /// An address of a program in no mapping, or in one that could not be looked at, or of a
    /// program that has ended since.
    Nowhere { address: usize },
    /// Nothing was sampled.
    Nothing,
}

/// Whether the rows of a CPU are valid, and why not: column VALID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CpuValid {
    /// The CPU was asked, and has answered.
    Sampled,
    /// As `Sampled`, but writers were changing the mapping for too long.
    Locked,
    /// The CPU did not answer: its interrupts are disabled, or the hypervisor does not run it.
    Silent,
    /// The CPU is isolated, and was left alone.
    Isolated,
    /// The kernel has not noted what the CPU ran.
    NoRegisters,
}

impl CpuValid {
    /// Returns the word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sampled => "sampled",
            Self::Locked => "locked",
            Self::Silent => "silent",
            Self::Isolated => "isolated",
            Self::NoRegisters => "no-registers",
        }
    }
}

/// The thread that a CPU ran.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuThread {
    /// Its numbers.
    pub(crate) id: ThreadId,
    /// Its name.
    pub(crate) name: Name,
}

/// A row: a frame of what a CPU ran, or why there is none.
#[derive(Clone, Copy)]
pub(crate) struct CpuRow {
    /// The CPU.
    pub(crate) cpu: u32,
    /// The thread, if it is known.
    pub(crate) thread: Option<CpuThread>,
    /// The context, if the CPU was sampled.
    pub(crate) context: Option<CpuContext>,
    /// Whether the row is valid.
    pub(crate) valid: CpuValid,
    /// The number of the frame.
    pub(crate) depth: u32,
    /// The frame.
    pub(crate) frame: CpuFrame,
}

impl CpuRow {
    /// Returns whether the CPU did not answer.
    pub(crate) fn is_silent(&self) -> bool {
        self.valid == CpuValid::Silent
    }
}

/// The rows of all CPUs, and what the summary says.
pub(crate) struct CpuRows {
    /// The rows, one CPU after the other.
    pub(crate) rows: KVVec<CpuRow>,
    /// The symbols of the kernel's frames.
    pub(crate) symbols: Symbols,
    /// The names of mappings.
    pub(crate) names: FrameNames,
    /// How many CPUs were online.
    pub(crate) online: usize,
    /// How many CPUs were sampled.
    pub(crate) sampled: usize,
    /// How long after the first sample the last one was taken.
    pub(crate) spread: Option<Delta>,
    /// The CPUs that were left alone, and why.
    pub(crate) isolated: KVec<(CpuId, Isolation)>,
    /// How many stacks are cut short.
    pub(crate) truncated: usize,
}

impl CpuRows {
    /// Samples what all CPUs run. Task context. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EINTR` if the caller is being killed, or `ERESTARTSYS` when a signal comes.
    pub(crate) fn capture(sampler: &CpuSampler, memory: &Memory) -> Result<Self> {
        let samples = sampler.sample()?;
        let mut found = Found {
            rows: KVVec::new(),
            symbols: Symbols::new()?,
            names: FoundNames::new()?,
            budget: LockBudget::new(),
            truncated: 0,
        };
        let mut isolated = KVec::new();
        let mut online = 0;
        let mut sampled = 0;

        for (cpu, state) in samples.iter() {
            online += 1;
            let valid = match state {
                CpuState::Sampled(sample) => {
                    sampled += 1;
                    found.add_sample(cpu.as_u32(), sample)?;
                    continue;
                }
                CpuState::NoRegisters => CpuValid::NoRegisters,
                CpuState::Silent => CpuValid::Silent,
                CpuState::LeftAlone(isolation) => {
                    isolated.push((cpu, isolation), GFP_KERNEL)?;
                    CpuValid::Isolated
                }
            };
            let row = CpuRow {
                cpu: cpu.as_u32(),
                thread: None,
                context: None,
                valid,
                depth: 0,
                frame: CpuFrame::Nothing,
            };

            found.rows.push(row, GFP_KERNEL)?;
        }
        if found.rows.iter().any(CpuRow::is_silent) {
            name_silent(&mut found.rows, memory)?;
        }
        Ok(Self {
            rows: found.rows,
            symbols: found.symbols,
            names: found.names.finish()?,
            online,
            sampled,
            spread: samples.spread(),
            isolated,
            truncated: found.truncated,
        })
    }
}

/// A thread, and the CPU that it is on, if it is on one.
struct Placed {
    thread: CpuThread,
    cpu: Option<u32>,
}

impl Record for Placed {
    fn id(&self) -> ThreadId {
        self.thread.id
    }
}

/// Records on which CPU each thread is.
struct Placing;

impl Recorder for Placing {
    type Record = Placed;

    fn record(&mut self, id: ThreadId, task: RcuTask<'_>) -> Placed {
        Placed {
            thread: CpuThread {
                id,
                name: name_of(task),
            },
            cpu: task.running_on(),
        }
    }
}

/// Finds the threads of CPUs that do not answer in the task list, and adds them to `rows`. A CPU
/// with disabled interrupts does not switch to another thread meanwhile. Its idle task is on no
/// list. May sleep; fails with `ENOMEM` or `EINTR`.
fn name_silent(rows: &mut [CpuRow], memory: &Memory) -> Result {
    let threads = Snapshot::capture(memory, Scope::Threads, None, &mut Placing)?;

    for row in rows.iter_mut().filter(|row| row.is_silent()) {
        let on_cpu = |placed: &&Placed| placed.cpu == Some(row.cpu);

        row.thread = threads
            .records
            .iter()
            .find(on_cpu)
            .map(|placed| placed.thread);
    }
    Ok(())
}

/// What is found while the samples are looked at.
struct Found {
    rows: KVVec<CpuRow>,
    symbols: Symbols,
    names: FoundNames,
    budget: LockBudget,
    truncated: usize,
}

impl Found {
    /// Adds the rows of a CPU. May sleep.
    fn add_sample(&mut self, cpu: u32, sample: &Sample) -> Result {
        let (callers, is_cut) = sample.callers();
        let first = self.rows.len();
        let (frame, valid) = if sample.context == CpuContext::User {
            self.user_frame(sample)?
        } else {
            // Each name may have to be replaced.
            self.symbols.prepare(2 * FRAMES_MAX)?;
            let number = self.symbols.program_counter(sample.program_counter)?;

            (CpuFrame::Kernel(number), CpuValid::Sampled)
        };
        let mut row = CpuRow {
            cpu,
            thread: Some(CpuThread {
                id: sample.id,
                name: sample.name,
            }),
            context: Some(sample.context),
            valid,
            depth: 0,
            frame,
        };

        self.truncated += usize::from(is_cut);
        self.rows.push(row, GFP_KERNEL)?;
        for address in callers {
            row.depth += 1;
            row.frame = CpuFrame::Kernel(self.symbols.number(*address)?);
            self.rows.push(row, GFP_KERNEL)?;
        }
        if sample.rcu_state.has_passed() {
            for row in &mut self.rows[first..] {
                if let CpuFrame::Kernel(number) = &mut row.frame {
                    *number = self.symbols.without_module_name(*number)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the frame of a program, and whether it is valid. May sleep.
    fn user_frame(&mut self, sample: &Sample) -> Result<(CpuFrame, CpuValid)> {
        let address = sample.program_counter;
        let nowhere = CpuFrame::Nowhere { address };
        let space = sample.space.as_ref().and_then(WeakAddressSpace::upgrade);
        let Some(space) = space else {
            return Ok((nowhere, CpuValid::Sampled));
        };

        match self.names.mapping(&space, address, &mut self.budget) {
            Ok(Some(mapping)) => {
                let frame = CpuFrame::User {
                    address,
                    name: mapping.name,
                    offset: mapping.offset(address),
                };

                Ok((frame, CpuValid::Sampled))
            }
            Ok(None) => Ok((nowhere, CpuValid::Sampled)),
            Err(error) if error == EAGAIN => Ok((nowhere, CpuValid::Locked)),
            Err(error) => Err(error),
        }
    }
}
