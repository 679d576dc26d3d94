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
//! All that can be kept waiting by others is done by a work item of its own, the [`Errand`]: it makes
//! the thread, holds the processors so that none goes offline, sets off the rest, waits for the
//! answers, and ends what has not answered: it takes it back or waits for it, the work items first,
//! since they set off the rest.
//!
//! The caller waits for the errand to end, for [`LIMIT`] at most, and a signal ends the wait. Then it
//! calls the errand off, and gives it [`END_LIMIT`] to end. As a rule nothing is queued or running any
//! more when [`Prober::provoke`] returns. What cannot be taken back, because it has begun on a
//! processor that a thread of a real-time class has taken away from it, is waited for by the errand
//! alone, and the errand by [`Prober`] when that is dropped.
//!
//! Each call has an errand and probes of its own.

use crate::{
    addresses::HasAddresses,
    cpus::{
        self,
        OnlineCpus, //
    },
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
    impl_has_hr_timer, impl_has_work, new_work,
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
    workqueue::{
        self,
        Work, //
    },
};

/// How long all answers are waited for, in milliseconds.
pub(crate) const LIMIT: Msecs = 1000;

/// How long an errand that is called off is waited for, in milliseconds.
const END_LIMIT: Msecs = 100;

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
    /// The processors that were online.
    pub(crate) cpus: KVec<CpuId>,
    /// Why there was no page fault, if there could be none.
    pub(crate) no_fault: Option<Error>,
}

/// A place that is to be looked around from once.
struct Look(SetOnce<Observation>);

impl Callback for Look {
    fn call(&self) {
        self.0.populate(Observation::now());
    }
}

/// The same, and somebody waits for it.
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

/// The contexts that each processor has, in the order of the table.
const NAMES: [&str; 6] = [
    "workqueue",
    "softirq_bh",
    "softirq_timer",
    "hrtimer",
    "irq_work",
    "ipi",
];

const WORKQUEUE: usize = 0;
const SOFTIRQ_BH: usize = 1;
const SOFTIRQ_TIMER: usize = 2;
const HRTIMER: usize = 3;
const IRQ_WORK: usize = 4;
const IPI: usize = 5;

/// A processor, and what is seen in each of its contexts.
struct Processor {
    cpu: CpuId,
    probes: [Probe; NAMES.len()],
}

/// A context of a processor, by its place among [`NAMES`].
struct Spot {
    processor: Arc<Processor>,
    context: usize,
}

impl Callback for Spot {
    fn call(&self) {
        self.processor.probes[self.context].call();
    }
}

/// What is set off on a processor.
#[pin_data]
struct Deferred {
    processor: Arc<Processor>,
    irq_work: IrqWork<Spot>,
    #[pin]
    timer: Timer<Spot>,
    #[pin]
    bh: WorkItem<Spot>,
    #[pin]
    hrtimer: HrTimer<Self>,
}

impl Deferred {
    /// Nothing is set off yet.
    fn new(processor: &Arc<Processor>) -> Result<Arc<Self>> {
        let spot = |context| Spot {
            processor: processor.clone(),
            context,
        };

        Arc::pin_init(
            try_pin_init!(Self {
                processor: processor.clone(),
                irq_work: IrqWork::new(spot(IRQ_WORK))?,
                timer <- Timer::new(spot(SOFTIRQ_TIMER)),
                bh <- WorkItem::new(
                    spot(SOFTIRQ_BH),
                    c"taskscope softirq_bh",
                    static_lock_class!(),
                ),
                hrtimer <- HrTimer::new(),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Returns what is asked when another processor calls.
    fn ipi(&self) -> &Probe {
        &self.processor.probes[IPI]
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
        this.processor.probes[HRTIMER].call();
        this.bh.queue_on(this.processor.cpu, deferred::bh_queue());
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
                let _ = deferred::call_on(next.processor.cpu, next.ipi());
                called = true;
            }
            if called && (late || self.deferred.ipi().seen.as_ref().is_some()) {
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
        self.deferred.processor.probes[WORKQUEUE].call();
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
    fn new(processors: &[Arc<Processor>]) -> Result<Self> {
        let mut deferred = KVec::with_capacity(processors.len(), GFP_KERNEL)?;
        let mut come = KVec::with_capacity(processors.len(), GFP_KERNEL)?;

        for processor in processors {
            deferred.push_within_capacity(Deferred::new(processor)?)?;
            come.push_within_capacity(Atomic::new(false))?;
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
            item.queue_on(deferred.processor.cpu, queue.as_queue());
        }
        // One alone is called by nobody.
        let uncalled = usize::from(self.items.len() < 2);

        self.items.len() * (NAMES.len() - uncalled)
    }
}

impl Drop for Visits {
    fn drop(&mut self) {
        self.meeting.over.store(true, Relaxed);
    }
}

/// What one call of [`Prober::provoke`] asks for, and what is seen.
#[pin_data]
struct Errand {
    #[pin]
    work: Work<Self>,
    /// Where the work items of the processors are queued.
    processors_queue: Arc<Queue>,
    in_thread: Arc<Probe>,
    /// The processors, once they are known.
    processors: SetOnce<KVec<Arc<Processor>>>,
    /// Why something could not be asked.
    failure: SetOnce<Error>,
    /// What the errand itself waits for.
    answers: Arc<Answers>,
    /// Whether nobody waits for the answers any more.
    called_off: Atomic<bool>,
    /// One answer: that it has ended.
    #[pin]
    ended: Answers,
}

impl_has_work! {
    impl HasWork<Self> for Errand { self.work }
}

impl workqueue::WorkItem for Errand {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        if let Err(error) = this.ask() {
            this.failure.populate(error);
        }
        this.ended.add();
    }
}

impl Errand {
    /// One that has not begun. May sleep; fails with `ENOMEM`.
    fn new(processors_queue: Arc<Queue>) -> Result<Arc<Self>> {
        let answers = Arc::pin_init(Answers::new(), GFP_KERNEL)?;
        let in_thread = Arc::new(Probe::new(&answers), GFP_KERNEL)?;

        Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("taskscope errand"),
                processors_queue,
                in_thread,
                processors: SetOnce::new(),
                failure: SetOnce::new(),
                answers,
                called_off: Atomic::new(false),
                ended <- Answers::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Asks everywhere, and returns when nothing of it is queued or running any more.
    ///
    /// Sleeps, for as long as others like. Fails with `ENOMEM`.
    fn ask(&self) -> Result {
        if self.called_off.load(Relaxed) {
            return Ok(());
        }
        let thread = Thread::start(self.in_thread.clone(), c"taskscope_probe")?;
        let cpus = OnlineCpus::hold();
        let processors = self.processors(&cpus)?;
        let visits = Visits::new(processors)?;
        let mut missing = 1 + visits.start(&self.processors_queue);

        // Called off, it is woken by an answer too many.
        while missing != 0 && !self.called_off.load(Relaxed) {
            match self.answers.wait(msecs_to_jiffies(LIMIT)) {
                Ok(Wait::Answered) => missing -= 1,
                _ => break,
            }
        }

        // In this order, and before the processors are let go.
        drop(visits);
        drop(thread);
        drop(cpus);
        Ok(())
    }

    /// Lets the caller know which processors are asked.
    fn processors(&self, cpus: &OnlineCpus) -> Result<&[Arc<Processor>]> {
        let mut processors = KVec::new();

        for cpu in cpus.iter() {
            let processor = Processor {
                cpu,
                probes: NAMES.map(|_| Probe::new(&self.answers)),
            };

            processors.push(Arc::new(processor, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        self.processors.populate(processors);
        Ok(self.processors.as_ref().map_or(&[], |list| list))
    }

    /// Waits for the end. Fails with `ERESTARTSYS` when a signal comes first.
    fn wait(&self) -> Result {
        let waited = self.ended.wait(msecs_to_jiffies(LIMIT));

        if !matches!(waited, Ok(Wait::Answered)) {
            self.called_off.store(true, Relaxed);
            self.answers.add();
            self.ended.wait_for_sure(msecs_to_jiffies(END_LIMIT));
        }
        waited.map(|_| ())
    }

    /// Returns what each processor has seen, by context and processor, and adds the processors to
    /// `cpus`. They are those online now if the errand has not come so far as to ask them.
    fn report(&self, rows: &mut KVVec<Row>, cpus: &mut KVec<CpuId>) -> Result {
        let processors = self.processors.as_ref();

        match processors {
            Some(list) => {
                for processor in list {
                    cpus.push(processor.cpu, GFP_KERNEL)?;
                }
            }
            None => {
                for cpu in cpus::online_now() {
                    cpus.push(cpu, GFP_KERNEL)?;
                }
            }
        }
        for (context, name) in NAMES.into_iter().enumerate() {
            if context == IPI && cpus.len() < 2 {
                // There is nobody to send one.
                rows.push(Row::new(name, None), GFP_KERNEL)?;
                continue;
            }
            for (place, cpu) in cpus.iter().enumerate() {
                let before = (place + cpus.len() - 1) % cpus.len();

                rows.push(
                    Row {
                        name,
                        cpu: Some(*cpu),
                        caller: (context == IPI).then(|| cpus[before]),
                        seen: processors.and_then(|list| list[place].probes[context].seen.copy()),
                    },
                    GFP_KERNEL,
                )?;
            }
        }
        Ok(())
    }
}

/// Provokes contexts. Dropping it waits for all that it has set off.
pub(crate) struct Prober {
    // Dropped in this order: errands queue work items on processors.
    errands: Queue,
    processors: Arc<Queue>,
}

impl Prober {
    /// Makes one. May sleep; fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            errands: Queue::unbound(c"taskscope_errand")?,
            processors: Arc::new(Queue::per_cpu(c"taskscope")?, GFP_KERNEL)?,
        })
    }

    /// Provokes all contexts and waits for what is seen there.
    ///
    /// Sleeps. Fails with `ENOMEM` or `ENFILE`, or with `ERESTARTSYS` when a signal comes.
    pub(crate) fn provoke(&self) -> Result<Probes> {
        let mut rows = KVVec::new();
        let mut cpus = KVec::new();
        let mut add = |name, seen| rows.push(Row::new(name, seen), GFP_KERNEL);

        add("syscall", Some(Observation::now()))?;

        let in_fault = Arc::new(Look(SetOnce::new()), GFP_KERNEL)?;
        let no_fault = fault::provoke(in_fault.clone())?;
        let errand = Errand::new(self.processors.clone())?;

        // It is refused if it is queued, which it is not.
        let _ = self.errands.as_queue().enqueue(errand.clone());
        errand.wait()?;
        if let Some(error) = errand.failure.copy() {
            return Err(error);
        }

        add("page_fault", in_fault.0.copy())?;
        add("kthread", errand.in_thread.seen.copy())?;
        errand.report(&mut rows, &mut cpus)?;
        Ok(Probes {
            rows,
            cpus,
            no_fault,
        })
    }
}
