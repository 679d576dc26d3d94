// SPDX-License-Identifier: GPL-2.0

//! What calls the student's function in the exercise `bits`: for each context, a line with its name, the number, the
//! four masks, and the answer.

use crate::abstractions::callbacks::{
    Callback,
    IrqWork,
    WorkItem, //
};
use crate::abstractions::context::Context;
use crate::abstractions::nmi::Nmis;
use crate::abstractions::schedule::NoPreemption;
use crate::lab::{
    Exercise,
    Lines,
    Masks, //
};
use crate::preempt_count::NoBottomHalves;
use crate::student::decode;
use core::ops::Deref;
use kernel::cpu::CpuId;
use kernel::interrupt::local_interrupt_disable;
use kernel::prelude::*;
use kernel::processor::cpu_relax;
use kernel::static_lock_class;
use kernel::sync::{
    Arc,
    Completion,
    SetOnce, //
};
use kernel::workqueue;

/// What a `preempt_count` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    /// How often preemption is disabled: the number in the bits of `PREEMPT_MASK`.
    pub(crate) preempt: usize,
    /// How often bottom halves are disabled.
    pub(crate) bottom_halves: usize,
    /// Whether a softirq is being served: `in_serving_softirq()`.
    pub(crate) softirq: bool,
    /// How many interrupts are being handled, one in the other: the number in the bits of `HARDIRQ_MASK`.
    pub(crate) hardirqs: usize,
    /// Whether an NMI is being handled: `in_nmi()`.
    pub(crate) nmi: bool,
    /// Whether this is task context: `in_task()`.
    pub(crate) task: bool,
}

/// The masks of Linux 6.12: there were no bits yet for interrupts that are disabled.
const LINUX_6_12: Masks = Masks {
    preempt: 0x0000_00ff,
    softirq: 0x0000_ff00,
    hardirq: 0x000f_0000,
    nmi: 0x00f0_0000,
};

/// A number, its masks, and what the student's function says of it.
#[derive(Clone, Copy)]
struct Answer {
    count: usize,
    masks: Masks,
    bits: Bits,
}

impl Answer {
    /// Returns the answer for a number.
    fn of(count: usize, masks: Masks) -> Self {
        Self {
            count,
            masks,
            bits: decode(count, &masks),
        }
    }

    /// Returns the answer for the context of the caller. Any context.
    fn here() -> Self {
        // First, because nothing else may change it.
        let count = Context::now().preempt_count;

        Self::of(count, Masks::of_this_kernel())
    }
}

/// Calls `look` while `times` guards exist.
fn with<G, R>(times: usize, guard: fn() -> G, look: impl FnOnce() -> R) -> R {
    if times == 0 {
        return look();
    }
    let _guard = guard();

    with(times - 1, guard, look)
}

/// An interrupt that asks for an answer.
struct Interrupt(Arc<SetOnce<Answer>>);

impl Callback for Interrupt {
    fn call(&self) {
        self.0.populate(Answer::here());
    }
}

/// An interrupt of the CPU on which [`Asked::ask`] is called.
struct Asked {
    work: IrqWork<Interrupt>,
    answer: Arc<SetOnce<Answer>>,
}

impl Asked {
    /// Makes one that has not come yet. May sleep.
    fn new() -> Result<Self> {
        let answer = Arc::new(SetOnce::new(), GFP_KERNEL)?;

        Ok(Self {
            work: IrqWork::new(Interrupt(answer.clone()))?,
            answer,
        })
    }

    /// Has the interrupt come here. Any context with interrupts enabled. Does not sleep.
    fn ask(&self) -> Answer {
        self.work.queue();
        loop {
            if let Some(answer) = self.answer.copy() {
                return answer;
            }
            cpu_relax();
        }
    }
}

/// A softirq that asks for answers.
#[pin_data]
struct Softirq {
    /// How often it disables bottom halves itself.
    disabled: usize,
    /// As it is called; with bottom halves disabled; and in an interrupt that comes meanwhile.
    answers: SetOnce<[Answer; 3]>,
    interrupt: Asked,
    #[pin]
    done: Completion,
}

/// The softirq as a callback.
struct SoftirqWork(Arc<Softirq>);

impl Callback for SoftirqWork {
    fn call(&self) {
        let this = self.0.deref();

        this.answers.populate([
            Answer::here(),
            with(this.disabled, NoBottomHalves::begin, Answer::here),
            this.interrupt.ask(),
        ]);
        this.done.complete_all();
    }
}

/// Returns the answers of a softirq. Sleeps.
fn ask_softirq(disabled: usize) -> Result<[Answer; 3]> {
    let interrupt = Asked::new()?;
    let softirq = Arc::pin_init(
        pin_init!(Softirq {
            disabled,
            answers: SetOnce::new(),
            interrupt,
            done <- Completion::new(),
        }),
        GFP_KERNEL,
    )?;
    let item = WorkItem::new(
        SoftirqWork(softirq.clone()),
        c"bits softirq",
        static_lock_class!(),
    );
    let item = KBox::pin_init(item, GFP_KERNEL)?;

    // The softirq is served when bottom halves are enabled again.
    with(1, NoBottomHalves::begin, || {
        item.queue_on(CpuId::current(), workqueue::system_bh());
    });
    softirq.done.wait_for_completion();
    softirq.answers.copy().ok_or(EIO)
}

pub(crate) struct Answers {
    /// How often preemption and bottom halves are disabled, in this order.
    disabled: (usize, usize),
    nmis: Nmis<Answer>,
}

impl Answers {
    /// Returns the masks of a kernel that does not exist: with gaps that depend on this run.
    fn drawn_masks(&self) -> Masks {
        let (first, second) = self.disabled;
        let mask = |bits: usize, shift: usize| ((1 << bits) - 1) << shift;

        Masks {
            preempt: mask(4, first),
            softirq: mask(5, first + 4 + second),
            hardirq: mask(3, first + 9 + second),
            nmi: mask(2, first + 13 + second),
        }
    }

    /// Adds answers for numbers that another kernel could have.
    fn add_others(&self, name: &str, masks: Masks, lines: &mut Lines) -> Result {
        let (preempt, bottom_halves) = self.disabled;
        let all = masks.preempt | masks.softirq | masks.hardirq | masks.nmi;
        let put = |number: usize, mask: usize| number << mask.trailing_zeros();
        let disabled = put(preempt, masks.preempt) | put(2 * bottom_halves, masks.softirq);
        let served = put(1, masks.softirq);
        let hardirq = put(1, masks.hardirq);
        let nmi = put(1, masks.nmi);
        // The number has 32 bits.
        let unknown = !all & 0xffff_ffff;

        for (what, count) in [
            ("disabled", disabled),
            ("softirq", disabled | served),
            ("hardirq", disabled | 2 * hardirq),
            ("hardirq-in-softirq", served | hardirq),
            ("nmi", disabled | served | nmi | hardirq),
            // As if NMIs counted in no other bits.
            ("nmi-alone", nmi),
            ("nmi-in-nmi", 2 * nmi | 2 * hardirq),
            ("full", all),
            ("unknown-bits", unknown),
        ] {
            add(name, what, &Answer::of(count, masks), lines)?;
        }
        Ok(())
    }
}

/// Adds the line of an answer.
fn add(kernel: &str, what: &str, answer: &Answer, lines: &mut Lines) -> Result {
    let Answer { count, masks, bits } = answer;

    lines.add(fmt!(
        "{kernel} {what} {count:x} {:x} {:x} {:x} {:x} {} {} {} {} {} {}",
        masks.preempt,
        masks.softirq,
        masks.hardirq,
        masks.nmi,
        bits.preempt,
        bits.bottom_halves,
        u8::from(bits.softirq),
        bits.hardirqs,
        u8::from(bits.nmi),
        u8::from(bits.task)
    ))
}

impl Exercise for Answers {
    fn load(word: &str) -> Result<Self> {
        let (first, second) = word.split_once(',').ok_or(EINVAL)?;

        Ok(Self {
            disabled: (
                first.parse().map_err(|_| EINVAL)?,
                second.parse().map_err(|_| EINVAL)?,
            ),
            nmis: Nmis::watch(Answer::here)?,
        })
    }

    fn show(&self, lines: &mut Lines) -> Result {
        let (preempt, bottom_halves) = self.disabled;
        let plain = Asked::new()?;
        let beside = Asked::new()?;
        let [softirq, disabled_in_softirq, hardirq_in_softirq] = ask_softirq(bottom_halves)?;
        let disabled = with(preempt, NoPreemption::begin, || {
            with(bottom_halves, NoBottomHalves::begin, || {
                with(preempt, local_interrupt_disable, Answer::here)
            })
        });

        for (what, answer) in [
            ("disabled", disabled),
            ("syscall", Answer::here()),
            (
                "preemption-disabled",
                with(preempt, NoPreemption::begin, Answer::here),
            ),
            (
                "bottom-halves-disabled",
                with(bottom_halves, NoBottomHalves::begin, Answer::here),
            ),
            (
                "interrupts-disabled",
                with(preempt, local_interrupt_disable, Answer::here),
            ),
            ("softirq", softirq),
            ("disabled-in-softirq", disabled_in_softirq),
            ("hardirq", plain.ask()),
            (
                "hardirq-beside-disabled",
                with(bottom_halves, NoBottomHalves::begin, || beside.ask()),
            ),
            ("hardirq-in-softirq", hardirq_in_softirq),
        ] {
            add("this", what, &answer, lines)?;
        }
        // QEMU sends an NMI to the first CPU.
        if let Some(answer) = CpuId::from_u32(0).and_then(|cpu| self.nmis.latest(cpu)) {
            add("this", "nmi", &answer, lines)?;
        }
        self.add_others("6.12", LINUX_6_12, lines)?;
        self.add_others("drawn", self.drawn_masks(), lines)
    }
}
