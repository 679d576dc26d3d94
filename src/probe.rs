// SPDX-License-Identifier: GPL-2.0

//! Provokes every context that the kernel has, and collects what is seen in each.
//!
//! [`Probes::provoke`] does so in the context of its caller, whose system call and page fault two
//! of the probes are. A kernel thread is a third. The others belong to a processor: a work item is
//! queued on each, which sets off there what can be set off only from there, as the figure shows.
//!
//! ```text
//! work item on CPU n --+-- irq_work          an interrupt that the CPU sends itself
//!   (`workqueue`)      +-- timer             a softirq, at the next tick
//!                      +-- hrtimer           an interrupt, which puts off the rest of its work:
//!                      |     +-- BH work     a softirq, as soon as the interrupt ends
//!                      +-- call on CPU n+1   an interrupt of that CPU (`ipi`)
//! ```
//!
//! An idle processor may be told of a call without an interrupt, by a flag that its idle loop looks
//! at, and makes the call from there. So that it is an interrupt, the work items meet first: each
//! keeps its processor busy until the call has come.
//!
//! # Who waits for what
//!
//! The caller waits until all have answered, for [`LIMIT`] at most, and a signal ends the wait. What
//! has not answered by then is taken back or waited for before [`Probes::provoke`] returns, when
//! its owner is dropped: the work items first, for they set off the rest. Nothing outlives the
//! call, and each call has probes of its own. No processor goes offline during it.
//!
//! What has begun cannot be taken back. If a thread of a real-time class takes the processor away
//! from a work item at that moment, or from the thread that PREEMPT_RT runs an `irq_work` in, the
//! caller waits for as long as that thread keeps it.

use crate::{
    addresses::HasAddresses,
    cpus::OnlineCpus,
    deferred::{
        self,
        Answers,
        Callback,
        IrqWork,
        Queue,
        Thread,
        Timer,
        Wait,
        WorkItem, //
    },
    fault,
    observation::Observation,
    sys, //
};
use core::slice;
use kernel::{
    cpu::CpuId,
    impl_has_hr_timer,
    prelude::*,
    processor::cpu_relax,
    static_lock_class,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        ArcBorrow,
        SetOnce, //
    },
    time::{
        hrtimer::{
            ArcHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativePinnedHardMode, //
        },
        msecs_to_jiffies,
        Delta,
        Instant,
        Monotonic,
        Msecs, //
    },
};

/// How long all answers are waited for, in milliseconds.
pub(crate) const LIMIT: Msecs = 1000;

/// How long a work item waits for those of other processors.
///
/// A processor whose work item does not come for so long is busy with other things, and not idle.
const MEETING: Delta = Delta::from_millis(100);

/// A context, and what was seen there.
pub(crate) struct Row {
    /// The name of the context.
    pub(crate) name: &'static str,
    /// The processor that was to answer, where that is not the caller's own choice.
    pub(crate) cpu: Option<CpuId>,
    /// The processor that was to call it, for `ipi`.
    pub(crate) caller: Option<CpuId>,
    /// What was seen, if it answered.
    pub(crate) seen: Option<Observation>,
}

impl Row {
    /// A context that is asked in the caller's own context, or not asked at all.
    pub(crate) fn new(name: &'static str, seen: Option<Observation>) -> Self {
        Self {
            name,
            cpu: None,
            caller: None,
            seen,
        }
    }
}

impl HasAddresses for Row {
    fn addresses(&mut self) -> &mut [usize] {
        match &mut self.seen {
            Some(seen) => slice::from_mut(&mut seen.stack_pointer),
            None => &mut [],
        }
    }
}

/// What all probes have seen.
pub(crate) struct Probes {
    /// A row for each, in the order of the table.
    pub(crate) rows: KVVec<Row>,
    /// How many processors were online.
    pub(crate) cpus: usize,
    /// Why there was no page fault, if there could be none.
    pub(crate) no_fault: Option<Error>,
}

/// A place that is to be looked around from once.
struct Probe {
    seen: SetOnce<Observation>,
    answers: Arc<Answers>,
}

impl Probe {
    /// Nothing has been seen; when something is, it counts as one of `answers`.
    fn new(answers: &Arc<Answers>) -> Self {
        Self {
            seen: SetOnce::new(),
            answers: answers.clone(),
        }
    }
}

impl Callback for Probe {
    fn call(&self) {
        if self.seen.populate(Observation::now()) {
            self.answers.add();
        }
    }
}

/// What is set off on a processor.
#[pin_data]
struct Deferred {
    cpu: CpuId,
    ipi: Probe,
    in_hrtimer: Probe,
    irq_work: IrqWork<Probe>,
    #[pin]
    timer: Timer<Probe>,
    #[pin]
    bh: WorkItem<Probe>,
    #[pin]
    hrtimer: HrTimer<Self>,
}

/// How many answers a [`Deferred`] gives, that of the call by another processor left out.
const DEFERRED: usize = 4;

impl Deferred {
    /// Nothing is set off yet.
    fn new(cpu: CpuId, answers: &Arc<Answers>) -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                cpu,
                ipi: Probe::new(answers),
                in_hrtimer: Probe::new(answers),
                irq_work: IrqWork::new(Probe::new(answers))?,
                timer <- Timer::new(Probe::new(answers)),
                bh <- WorkItem::new(
                    Probe::new(answers),
                    c"taskscope softirq_bh",
                    static_lock_class!(),
                ),
                hrtimer <- HrTimer::new(),
            }? Error),
            GFP_KERNEL,
        )
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Deferred {
        mode: RelativePinnedHardMode<Monotonic>, field: self.hrtimer
    }
}

impl HrTimerCallback for Deferred {
    type Pointer<'a> = Arc<Self>;

    fn run(this: ArcBorrow<'_, Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        this.in_hrtimer.call();
        this.bh.queue_on(this.cpu, deferred::bh_queue());
        HrTimerRestart::NoRestart
    }
}

/// Where the work items of all processors meet.
struct Meeting {
    /// Which of them have come, in the order of the processors.
    come: KVec<Atomic<bool>>,
    /// Whether nobody waits for the answers any more.
    over: Atomic<bool>,
}

/// What the work item of a processor does.
struct Visit {
    place: usize,
    probe: Probe,
    deferred: Arc<Deferred>,
    hrtimer: SetOnce<ArcHrTimerHandle<Deferred>>,
    /// The place and the processor that is to be called, if there is another.
    next: Option<(usize, Arc<Deferred>)>,
    meeting: Arc<Meeting>,
}

impl Visit {
    /// Calls the next processor once it is there, and waits to be called.
    fn meet(&self, place: usize, next: &Deferred) {
        let begin = Instant::<Monotonic>::now();
        let mut called = false;

        self.meeting.come[self.place].store(true, Release);
        loop {
            let late = begin.elapsed() >= MEETING || self.meeting.over.load(Relaxed);

            if !called && (late || self.meeting.come[place].load(Acquire)) {
                // It fails for a processor that is offline only, and none goes offline.
                let _ = deferred::call_on(next.cpu, &next.ipi);
                called = true;
            }
            if called && (late || self.deferred.ipi.seen.as_ref().is_some()) {
                return;
            }
            cpu_relax();
            // Another caller's work item may be waiting for this processor, and none is to sleep;
            // cond_resched() would wait until this has used up its time.
            sys::yield_cpu();
        }
    }
}

impl Callback for Visit {
    fn call(&self) {
        self.probe.call();
        self.deferred.irq_work.queue();
        self.deferred.timer.start();
        self.hrtimer
            .populate(self.deferred.clone().start(Delta::from_micros(1)));
        if let Some((place, next)) = &self.next {
            self.meet(*place, next);
        }
    }
}

/// The work items of all processors.
struct Visits {
    // Dropped in this order: the work items set off the rest.
    items: KVec<Pin<KBox<WorkItem<Visit>>>>,
    deferred: KVec<Arc<Deferred>>,
    meeting: Arc<Meeting>,
}

impl Visits {
    /// Makes them.
    fn new(cpus: &OnlineCpus, answers: &Arc<Answers>) -> Result<Self> {
        let mut deferred = KVec::new();
        let mut come = KVec::new();

        for cpu in cpus.iter() {
            deferred.push(Deferred::new(cpu, answers)?, GFP_KERNEL)?;
            come.push(Atomic::new(false), GFP_KERNEL)?;
        }
        let meeting = Arc::new(
            Meeting {
                come,
                over: Atomic::new(false),
            },
            GFP_KERNEL,
        )?;
        let mut items = KVec::with_capacity(deferred.len(), GFP_KERNEL)?;

        for (place, own) in deferred.iter().enumerate() {
            let next = (place + 1) % deferred.len();
            let visit = Visit {
                place,
                probe: Probe::new(answers),
                deferred: own.clone(),
                hrtimer: SetOnce::new(),
                next: (next != place).then(|| (next, deferred[next].clone())),
                meeting: meeting.clone(),
            };
            let item = WorkItem::new(visit, c"taskscope workqueue", static_lock_class!());

            items.push_within_capacity(KBox::pin_init(item, GFP_KERNEL)?)?;
        }
        Ok(Self {
            items,
            deferred,
            meeting,
        })
    }

    /// Sets them off, and returns how many answers are to come.
    fn start(&self, queue: &Queue) -> usize {
        for (item, deferred) in self.items.iter().zip(&self.deferred) {
            item.queue_on(deferred.cpu, queue.as_queue());
        }
        let calls = usize::from(self.items.len() > 1);

        self.items.len() * (1 + DEFERRED + calls)
    }

    /// Adds what they have seen to `rows`.
    fn report(&self, rows: &mut KVVec<Row>) -> Result {
        type Seen = fn(&WorkItem<Visit>, &Deferred) -> Option<Observation>;

        let contexts: [(&'static str, Seen); 6] = [
            ("workqueue", |item, _| item.callback().probe.seen.copy()),
            ("softirq_bh", |_, own| own.bh.callback().seen.copy()),
            ("softirq_timer", |_, own| own.timer.callback().seen.copy()),
            ("hrtimer", |_, own| own.in_hrtimer.seen.copy()),
            ("irq_work", |_, own| own.irq_work.callback().seen.copy()),
            ("ipi", |_, own| own.ipi.seen.copy()),
        ];

        for (name, seen) in contexts {
            if name == "ipi" && self.items.len() < 2 {
                // There is nobody to send one.
                rows.push(Row::new(name, None), GFP_KERNEL)?;
                continue;
            }
            for (place, (item, own)) in self.items.iter().zip(&self.deferred).enumerate() {
                let before = (place + self.items.len() - 1) % self.items.len();

                rows.push(
                    Row {
                        name,
                        cpu: Some(own.cpu),
                        caller: (name == "ipi").then(|| self.deferred[before].cpu),
                        seen: seen(item, own),
                    },
                    GFP_KERNEL,
                )?;
            }
        }
        Ok(())
    }
}

impl Drop for Visits {
    fn drop(&mut self) {
        self.meeting.over.store(true, Relaxed);
    }
}

impl Probes {
    /// Provokes all contexts and waits for what is seen there.
    ///
    /// Sleeps. Fails with `ENOMEM` or `ENFILE`, or with `ERESTARTSYS` or `EINTR` when a signal comes.
    pub(crate) fn provoke(queue: &Queue) -> Result<Self> {
        let mut rows = KVVec::new();
        let mut add = |name, seen| rows.push(Row::new(name, seen), GFP_KERNEL);

        add("syscall", Some(Observation::now()))?;

        let answers = Arc::pin_init(Answers::new(), GFP_KERNEL)?;
        let in_fault = Arc::new(Probe::new(&answers), GFP_KERNEL)?;
        // Not with the processors held: the lock of the address space comes before.
        let no_fault = fault::provoke(in_fault.clone())?;
        let mut missing = usize::from(in_fault.seen.as_ref().is_some());

        let in_thread = Arc::new(Probe::new(&answers), GFP_KERNEL)?;
        let thread = Thread::start(in_thread.clone(), c"taskscope_probe")?;
        missing += 1;

        let cpus = OnlineCpus::hold();
        let visits = Visits::new(&cpus, &answers)?;
        missing += visits.start(queue);

        let mut left = msecs_to_jiffies(LIMIT);
        while missing != 0 {
            match answers.wait(left)? {
                Wait::Answered(time) => left = time,
                Wait::TimedOut => break,
            }
            missing -= 1;
        }

        add("page_fault", in_fault.seen.copy())?;
        add("kthread", in_thread.seen.copy())?;
        visits.report(&mut rows)?;
        let online = visits.items.len();

        // In this order, and before the processors are let go.
        drop(visits);
        drop(thread);
        drop(cpus);
        Ok(Self {
            rows,
            cpus: online,
            no_fault,
        })
    }
}
