// SPDX-License-Identifier: GPL-2.0

//! The contexts of one CPU.
//!
//! ```text
//! CpuWork on CPU n ------+-- IPI to CPU n+1     hardirq there (`ipi`)
//!   (`workqueue`)        +-- hrtimer            hardirq, after the work item has ended (`hrtimer`)
//!                              |-- BH work      softirq, when that interrupt ends (`softirq_bh`)
//!                              |-- timer        softirq, at the next tick (`softirq_timer`)
//!                              +-- hrtimer      expires again
//!                                    |-- irq_work    an interrupt that the CPU sends itself (`irq_work`)
//!                                    +-- hrtimer     expires a third time
//!                                          +-- interrupt   whose handler runs in a thread (`irq_thread`)
//! ```
//!
//! An interrupt should show what runs on the CPU by itself, and not the work item. Therefore the
//! work item starts the hrtimer last, and ends. When the hrtimer expires, [`DELAY`] later, the CPU
//! has gone back to what it did before. BH work, timer and `irq_work` interrupt that as well. Only
//! the last answer wakes a thread, because that thread might run on this CPU.
//!
//! The hrtimer expires three times. An `irq_work` that is queued together with BH work would
//! interrupt the softirq. An `irq_work` that is queued together with the interrupt would interrupt
//! the thread of the interrupt.
//!
//! The work item also makes the interrupt and its thread. It does so after it has begun, and not
//! before: a thread that belongs to a CPU cannot end while a real-time thread keeps that CPU busy.
//!
//! The IPI is different. A CPU that is idle can be told of a call by a flag in its idle loop, and
//! makes the call without an interrupt. Therefore each work item keeps its CPU busy until the IPI
//! has come, and `ipi` interrupts a work item.
//!
//! On `PREEMPT_RT` a thread runs softirqs. There the timer queues the BH work: the thread that runs
//! the timer then also runs the BH work. What an interrupt leaves to `ksoftirqd` is often run by
//! another thread, which enables bottom halves before `ksoftirqd` runs.

use crate::abstractions::callbacks::{
    Callback,
    IrqWork,
    RemoteCall,
    ThreadedIrq,
    Timer,
    WorkItem, //
};
use crate::abstractions::schedule;
use crate::capture::answers::Answers;
use crate::capture::observation::Observation;
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};
use kernel::sync::{
    Arc,
    ArcBorrow,
    SetOnce, //
};
use kernel::time::hrtimer::{
    ArcHrTimerHandle,
    HrTimer,
    HrTimerCallback,
    HrTimerCallbackContext,
    HrTimerPointer,
    HrTimerRestart,
    RelativePinnedHardMode, //
};
use kernel::time::{
    Delta,
    Instant,
    Monotonic, //
};
use kernel::{
    impl_has_hr_timer,
    static_lock_class,
    workqueue, //
};

/// Tuned: how long a work item waits for those of other CPUs. A CPU whose work item has not begun
/// by then is busy with other things, and not idle.
const ARRIVAL_LIMIT: Delta = Delta::from_millis(100);

/// Tuned: how long a CPU has to go back to what it did, from the end of its work item on.
const DELAY: Delta = Delta::from_millis(4);

/// Tuned: how long after that the hrtimer expires again, and once more.
const AGAIN: Delta = Delta::from_millis(2);

/// Whether the timer queues the BH work. Otherwise the hrtimer does.
const BH_BY_TIMER: bool = cfg!(CONFIG_PREEMPT_RT);

/// A context that each CPU has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PerCpu {
    /// The work item of the CPU.
    Workqueue,
    /// BH work.
    SoftirqBh,
    /// A timer.
    SoftirqTimer,
    /// A high-resolution timer.
    Hrtimer,
    /// An `irq_work`.
    IrqWork,
    /// An interrupt from another CPU.
    Ipi,
    /// The thread of an interrupt.
    IrqThread,
}

/// The contexts of each CPU and their names, in the order of the table.
pub(super) const CONTEXTS: [(PerCpu, &str); 7] = [
    (PerCpu::Workqueue, "workqueue"),
    (PerCpu::SoftirqBh, "softirq_bh"),
    (PerCpu::SoftirqTimer, "softirq_timer"),
    (PerCpu::Hrtimer, "hrtimer"),
    (PerCpu::IrqWork, "irq_work"),
    (PerCpu::Ipi, "ipi"),
    (PerCpu::IrqThread, "irq_thread"),
];

/// What the contexts of one CPU record.
pub(super) struct CpuRecord {
    /// The CPU.
    pub(super) cpu: CpuId,
    /// In the order of [`PerCpu`].
    seen: [SetOnce<Observation>; CONTEXTS.len()],
    /// The work item runs, so that the CPU is not idle.
    arrived: Atomic<bool>,
    /// The number of the interrupt that has a thread, or why there is no such interrupt.
    irq: SetOnce<Result<u32>>,
    answers: Arc<Answers>,
}

impl CpuRecord {
    /// Nothing is recorded.
    pub(super) fn new(cpu: CpuId, answers: Arc<Answers>) -> Self {
        Self {
            cpu,
            seen: CONTEXTS.map(|_| SetOnce::new()),
            arrived: Atomic::new(false),
            irq: SetOnce::new(),
            answers,
        }
    }

    /// Returns the number of the interrupt that has a thread, or why there is none. [`None`] before
    /// it is made.
    pub(super) fn irq(&self) -> Option<Result<u32>> {
        self.irq.copy()
    }

    /// Returns what `context` has seen, if it has answered.
    pub(super) fn seen(&self, context: PerCpu) -> Option<Observation> {
        self.seen[context as usize].copy()
    }

    /// Records what is seen here as that of `context`.
    fn record(&self, context: PerCpu) {
        if self.seen[context as usize].populate(Observation::now()) {
            self.answers.all.complete();
        }
    }
}

/// A callback that records what it sees as that of `context`.
struct Probe {
    record: Arc<CpuRecord>,
    context: PerCpu,
    /// What the callback queues afterwards.
    then: Option<Arc<WorkItem<Probe>>>,
}

impl Probe {
    /// Queues nothing.
    fn new(record: &Arc<CpuRecord>, context: PerCpu) -> Self {
        Self {
            record: record.clone(),
            context,
            then: None,
        }
    }
}

impl Callback for Probe {
    fn call(&self) {
        self.record.record(self.context);
        if let Some(item) = &self.then {
            item.queue_on(self.record.cpu, workqueue::system_bh());
        }
    }
}

/// The hrtimer of a CPU, and what it triggers there.
#[pin_data]
struct Interrupts {
    record: Arc<CpuRecord>,
    // Dropped in this order: the timer may queue the BH work.
    irq_work: IrqWork<Probe>,
    #[pin]
    timer: Timer<Probe>,
    bh: Arc<WorkItem<Probe>>,
    /// Set before the hrtimer is started, if it can be made.
    irq: SetOnce<ThreadedIrq<Probe>>,
    /// How often the hrtimer has expired.
    expired: Atomic<u32>,
    #[pin]
    hrtimer: HrTimer<Self>,
}

impl Interrupts {
    /// Nothing is started. May sleep; fails with `ENOMEM`.
    fn new(record: Arc<CpuRecord>) -> Result<Arc<Self>> {
        let bh = WorkItem::new(
            Probe::new(&record, PerCpu::SoftirqBh),
            c"taskscope softirq_bh",
            static_lock_class!(),
        );
        let bh = Arc::pin_init(bh, GFP_KERNEL)?;
        let timer = Probe {
            then: BH_BY_TIMER.then(|| bh.clone()),
            ..Probe::new(&record, PerCpu::SoftirqTimer)
        };

        Arc::pin_init(
            try_pin_init!(Self {
                irq_work: IrqWork::new(Probe::new(&record, PerCpu::IrqWork))?,
                timer <- Timer::new(timer),
                bh,
                irq: SetOnce::new(),
                expired: Atomic::new(0),
                hrtimer <- HrTimer::new(),
                record,
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Makes the interrupt and its thread, unless nothing waits for the answer any more. Sleeps.
    fn make_irq(&self) {
        let record = &self.record;

        if record.answers.unwanted.load(Relaxed) {
            return;
        }
        let probe = Probe::new(record, PerCpu::IrqThread);
        let made = ThreadedIrq::new(probe, record.cpu).map(|irq| {
            let number = irq.number();

            self.irq.populate(irq);
            number
        });

        record.irq.populate(made);
        if made.is_err() {
            // There will be no other answer.
            record.answers.all.complete();
        }
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Interrupts {
        mode: RelativePinnedHardMode<Monotonic>, field: self.hrtimer
    }
}

impl HrTimerCallback for Interrupts {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        match this.expired.fetch_add(1u32, Relaxed) {
            0 => {
                this.record.record(PerCpu::Hrtimer);
                if !BH_BY_TIMER {
                    // As the interrupt handler of a device puts off the rest of its work.
                    this.bh.queue_on(this.record.cpu, workqueue::system_bh());
                }
                this.timer.start();
            }
            1 => this.irq_work.queue(),
            _ => {
                if let Some(irq) = this.irq.as_ref() {
                    irq.raise();
                }
                return HrTimerRestart::NoRestart;
            }
        }
        context.forward_now(AGAIN);
        HrTimerRestart::Restart
    }
}

/// What the work item of a CPU does: it triggers the other contexts there. The drop of the item
/// cancels all of them, or waits for them.
pub(super) struct CpuWork {
    // Dropped first, which stops the hrtimer: it triggers the rest.
    hrtimer: SetOnce<ArcHrTimerHandle<Interrupts>>,
    interrupts: Arc<Interrupts>,
    /// The IPI to the next CPU, if there is another one. Its drop waits until that CPU has answered
    /// it.
    ipi: Option<Pin<KBox<RemoteCall<Probe>>>>,
}

impl CpuWork {
    /// Creates the work item of the CPU of `record`, which sends an IPI to the CPU of `next`, if
    /// there is one. May sleep; fails with `ENOMEM`.
    pub(super) fn new(
        record: &Arc<CpuRecord>,
        next: Option<&Arc<CpuRecord>>,
    ) -> Result<Pin<KBox<WorkItem<Self>>>> {
        let ipi = next.map(|next| RemoteCall::new(Probe::new(next, PerCpu::Ipi)));
        let work = Self {
            hrtimer: SetOnce::new(),
            interrupts: Interrupts::new(record.clone())?,
            ipi: ipi.map(|ipi| KBox::pin_init(ipi, GFP_KERNEL)).transpose()?,
        };
        let item = WorkItem::new(work, c"taskscope workqueue", static_lock_class!());

        KBox::pin_init(item, GFP_KERNEL)
    }

    /// Sends `ipi` when the work item of the next CPU runs, and waits for the IPI to this CPU. It
    /// does not wait for the next CPU, which may have its interrupts disabled.
    fn exchange_ipis(&self, ipi: &RemoteCall<Probe>) {
        let begin = Instant::<Monotonic>::now();
        let record = &self.interrupts.record;
        let next = &ipi.callback().record;
        let mut sent = false;

        record.arrived.store(true, Release);
        while !record.answers.unwanted.load(Relaxed) {
            let late = begin.elapsed() >= ARRIVAL_LIMIT;

            if !sent && (late || next.arrived.load(Acquire)) {
                // This fails only for a CPU that is offline, and `ProbeWork` keeps CPUs online.
                let _ = ipi.send(next.cpu);
                sent = true;
            }
            if sent && (late || record.seen(PerCpu::Ipi).is_some()) {
                return;
            }
            // The work item of another open may wait for this CPU. To sleep would leave the CPU
            // idle, and `cond_resched()` would yield only when the time slice is used up.
            schedule::yield_cpu();
        }
    }
}

impl Callback for CpuWork {
    fn call(&self) {
        self.interrupts.record.record(PerCpu::Workqueue);
        // Before this waits for other CPUs: the thread may come from one of those.
        self.interrupts.make_irq();
        if let Some(ipi) = &self.ipi {
            self.exchange_ipis(ipi);
        }
        // Last, so that it interrupts what runs after this work item.
        self.hrtimer.populate(self.interrupts.clone().start(DELAY));
    }
}
