// SPDX-License-Identifier: GPL-2.0

//! Provokes every context that the kernel has, and collects what is seen in each.
//!
//! [`Probes::provoke`] does so in the context of its caller, whose system call and page fault two
//! of the probes are. A kernel thread is a third. The others belong to a processor: a work item is
//! queued on each, which sets off there what can be set off only from there, as the figure shows.
//!
//! ```text
//! work item on CPU n --+-- call on CPU n+1      an interrupt of that CPU (`ipi`)
//!   (`workqueue`)      +-- hrtimer              an interrupt, after the work item has ended
//!                            |-- BH work        a softirq, as soon as that interrupt ends
//!                            |-- timer          a softirq, at the next tick
//!                            +-- hrtimer, again
//!                                  +-- irq_work an interrupt that the CPU sends itself
//! ```
//!
//! An interrupt is to show what it interrupts, and that is not to be the work item. Therefore the
//! work item starts the high-resolution timer last, and ends. When the timer expires, [`DELAY`]
//! later, the processor has gone back to what it did before, and all that the timer's handler sets
//! off interrupts that as well. No answer but the last wakes a thread, for that thread might run
//! there. The timer expires twice, because an interrupt that is raised together with a softirq comes
//! in the middle of that softirq.
//!
//! On `PREEMPT_RT` the timer queues the BH work item, in its own softirq, and the thread that serves
//! the one serves the other. What an interrupt leaves to `ksoftirqd` is often served by another thread
//! that enables bottom halves before `ksoftirqd` has its turn.
//!
//! Only a call is different. An idle processor may be told of one without an interrupt, by a flag
//! that its idle loop looks at, and makes the call from there. So that it is an interrupt, the work
//! items meet first: each keeps its processor busy until the call has come. `ipi` therefore
//! interrupts a work item.
//!
//! # Isolated processors
//!
//! A processor that is isolated is left alone, unless the module is loaded with
//! `include_isolated=1`: nothing is queued or armed there, and nothing is sent there. It is asked for
//! by each call anew whether it is isolated, because partitions of cpusets come and go. One that
//! becomes isolated during a call is asked to the end of that.
//!
//! The kernel thread and the errand have no processor of their own. The kernel keeps such threads
//! off the processors of `isolcpus=` and of isolated partitions.
//!
//! # Who waits for what
//!
//! All that can be kept waiting by others is done by a work item of its own, the [`Errand`]: it makes
//! the thread and waits for that a while, so that no interrupt finds it, holds the processors so that
//! none goes offline, sets off the rest, waits for the answers, and ends what has not answered: it takes it back or waits for it, the work items first,
//! since they set off the rest.
//!
//! The caller waits for the errand to end, for [`LIMIT`] at most, and a signal ends the wait. Then it
//! calls the errand off, and gives it [`END_LIMIT`] to end, unless the caller is being killed. As a
//! rule nothing is queued or running any more when [`Prober::provoke`] returns. What cannot be taken
//! back, because it has begun on a processor that a thread of a real-time class has taken away from
//! it, is waited for by the errand alone, and the errand by [`Prober`] when that is dropped.
//!
//! Each call has an errand and probes of its own.

use crate::{
    addresses::HasAddresses,
    cpus::{
        self,
        Isolation,
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

/// How long the thread is waited for before the rest is set off, in milliseconds.
const THREAD: Msecs = 100;

/// How long a work item waits for those of other processors.
///
/// A processor whose work item does not come for so long is busy with other things, and not idle.
const MEETING: Delta = Delta::from_millis(100);

/// How long a processor has to go back to what it did, once its work item has set off the rest.
const DELAY: Delta = Delta::from_millis(4);

/// How long after that the high-resolution timer expires again.
const AGAIN: Delta = Delta::from_millis(2);

/// A processor that is online.
#[derive(Clone, Copy)]
pub(crate) struct Processor {
    /// Its number.
    pub(crate) cpu: CpuId,
    /// What isolates it, if it was left alone for that.
    pub(crate) left_alone: Option<Isolation>,
}

/// A context, and what was seen there.
pub(crate) struct Row {
    /// The name of the context.
    pub(crate) name: &'static str,
    /// The processor that was to answer, where that is not the caller's own choice.
    pub(crate) cpu: Option<CpuId>,
    /// Whether that was left alone, because it is isolated.
    pub(crate) left_alone: bool,
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
            left_alone: false,
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
    pub(crate) processors: KVec<Processor>,
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
    /// Nothing has been seen; when something is, that is one of `answers`.
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

/// A processor that is asked, and what is seen in each of its contexts.
struct Asked {
    cpu: CpuId,
    probes: [Probe; NAMES.len()],
}

/// A context of a processor, by its place among [`NAMES`].
struct Spot {
    asked: Arc<Asked>,
    context: usize,
}

impl Callback for Spot {
    fn call(&self) {
        self.asked.probes[self.context].call();
    }
}

/// Whether the BH work item is queued by the timer, or else by the high-resolution timer.
const BH_BY_TIMER: bool = cfg!(CONFIG_PREEMPT_RT);

/// What the timer does.
struct InTimer {
    spot: Spot,
    bh: Arc<WorkItem<Spot>>,
}

impl Callback for InTimer {
    fn call(&self) {
        self.spot.call();
        if BH_BY_TIMER {
            self.bh.queue_on(self.spot.asked.cpu, deferred::bh_queue());
        }
    }
}

/// What is set off on a processor.
#[pin_data]
struct Deferred {
    asked: Arc<Asked>,
    irq_work: IrqWork<Spot>,
    #[pin]
    timer: Timer<InTimer>,
    bh: Arc<WorkItem<Spot>>,
    #[pin]
    hrtimer: HrTimer<Self>,
}

impl Deferred {
    /// Nothing is set off yet.
    fn new(asked: &Arc<Asked>) -> Result<Arc<Self>> {
        let spot = |context| Spot {
            asked: asked.clone(),
            context,
        };
        let bh = WorkItem::new(
            spot(SOFTIRQ_BH),
            c"taskscope softirq_bh",
            static_lock_class!(),
        );
        let bh = Arc::pin_init(bh, GFP_KERNEL)?;
        let in_timer = InTimer {
            spot: spot(SOFTIRQ_TIMER),
            bh: bh.clone(),
        };

        Arc::pin_init(
            try_pin_init!(Self {
                asked: asked.clone(),
                irq_work: IrqWork::new(spot(IRQ_WORK))?,
                timer <- Timer::new(in_timer),
                bh,
                hrtimer <- HrTimer::new(),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Returns what is asked when another processor calls.
    fn ipi(&self) -> &Probe {
        &self.asked.probes[IPI]
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Deferred {
        mode: RelativePinnedHardMode<Monotonic>, field: self.hrtimer
    }
}

impl HrTimerCallback for Deferred {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        let probe = &this.asked.probes[HRTIMER];

        if probe.seen.as_ref().is_some() {
            this.irq_work.queue();
            return HrTimerRestart::NoRestart;
        }
        probe.call();
        if !BH_BY_TIMER {
            // The rest of the work is put off, as the interrupt handler of a device does it.
            this.bh.queue_on(this.asked.cpu, deferred::bh_queue());
        }
        this.timer.start();
        context.forward_now(AGAIN);
        HrTimerRestart::Restart
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
                let _ = deferred::call_on(next.asked.cpu, next.ipi());
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
        self.deferred.asked.probes[WORKQUEUE].call();
        if let Some((place, next)) = &self.next {
            self.meet(*place, next);
        }
        // Last: it is to interrupt what comes after this.
        self.hrtimer.populate(self.deferred.clone().start(DELAY));
    }
}

/// The work items of all processors that are asked.
struct Visits {
    // Dropped in this order: the work items set off the rest.
    items: KVec<Pin<KBox<WorkItem<Visit>>>>,
    deferred: KVec<Arc<Deferred>>,
    meeting: Arc<Meeting>,
}

impl Visits {
    /// Makes them.
    fn new(all: &[Arc<Asked>]) -> Result<Self> {
        let mut deferred = KVec::with_capacity(all.len(), GFP_KERNEL)?;
        let mut come = KVec::with_capacity(all.len(), GFP_KERNEL)?;

        for asked in all {
            deferred.push_within_capacity(Deferred::new(asked)?)?;
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

    /// Returns how many answers are to come.
    fn answers(&self) -> usize {
        // One alone is called by nobody.
        let uncalled = usize::from(self.items.len() < 2);

        self.items.len() * (NAMES.len() - uncalled)
    }

    /// Sets them off.
    fn start(&self, queue: &Queue) {
        for (item, deferred) in self.items.iter().zip(&self.deferred) {
            item.queue_on(deferred.asked.cpu, queue.as_queue());
        }
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
    /// One answer: that of the thread.
    thread_answered: Arc<Answers>,
    /// Whether isolated processors are asked as well.
    include_isolated: bool,
    /// The processors that are online, once they are known.
    processors: SetOnce<KVec<Processor>>,
    /// Those of them that are asked, in the same order.
    asked: SetOnce<KVec<Arc<Asked>>>,
    /// Why something could not be asked.
    failure: SetOnce<Error>,
    /// Those of the processors, and one that is the errand's own until it knows how many they are.
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
    fn new(processors_queue: Arc<Queue>, include_isolated: bool) -> Result<Arc<Self>> {
        let answers = Arc::pin_init(Answers::new(1), GFP_KERNEL)?;
        let thread_answered = Arc::pin_init(Answers::new(1), GFP_KERNEL)?;
        let in_thread = Arc::new(Probe::new(&thread_answered), GFP_KERNEL)?;

        Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("taskscope errand"),
                processors_queue,
                in_thread,
                thread_answered,
                include_isolated,
                processors: SetOnce::new(),
                asked: SetOnce::new(),
                failure: SetOnce::new(),
                answers,
                called_off: Atomic::new(false),
                ended <- Answers::new(1),
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
        // However this and what follows end: a row whose answer is missing says so.
        let _ = self.thread_answered.wait(msecs_to_jiffies(THREAD));
        if self.called_off.load(Relaxed) {
            return Ok(());
        }
        let cpus = OnlineCpus::hold();
        let visits = Visits::new(self.choose(&cpus)?)?;

        self.answers.expect(visits.answers());
        visits.start(&self.processors_queue);
        self.answers.add();
        let _ = self.answers.wait(msecs_to_jiffies(LIMIT));
        if self.in_thread.seen.as_ref().is_none() {
            let _ = self.thread_answered.wait(msecs_to_jiffies(LIMIT));
        }

        // In this order, and before the processors are let go.
        drop(visits);
        drop(thread);
        drop(cpus);
        Ok(())
    }

    /// Lets the caller know which processors are online, and returns those that are asked.
    fn choose(&self, cpus: &OnlineCpus) -> Result<&[Arc<Asked>]> {
        let processors = self.look_at(cpus.iter())?;
        let mut all = KVec::new();

        for Processor { cpu, .. } in processors.iter().filter(|one| one.left_alone.is_none()) {
            let asked = Asked {
                cpu: *cpu,
                probes: NAMES.map(|_| Probe::new(&self.answers)),
            };

            all.push(Arc::new(asked, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        self.asked.populate(all);
        self.processors.populate(processors);
        Ok(self.asked.as_ref().map_or(&[], |all| all))
    }

    /// Returns which of the processors are left alone. Sleeps; fails with `ENOMEM`.
    fn look_at(&self, cpus: impl Iterator<Item = CpuId>) -> Result<KVec<Processor>> {
        let mut processors = KVec::new();

        for cpu in cpus {
            let left_alone = Isolation::of(cpu).filter(|_| !self.include_isolated);

            processors.push(Processor { cpu, left_alone }, GFP_KERNEL)?;
        }
        Ok(processors)
    }

    /// Waits for the end. Fails with `ERESTARTSYS` when a signal comes first.
    fn wait(&self) -> Result {
        let waited = self.ended.wait(msecs_to_jiffies(LIMIT));

        if !matches!(waited, Ok(Wait::Answered)) {
            self.called_off.store(true, Relaxed);
            self.thread_answered.end();
            self.answers.end();
            // What is waited for changes nothing of the result.
            let _ = self.ended.wait_unless_killed(msecs_to_jiffies(END_LIMIT));
        }
        waited.map(|_| ())
    }

    /// Adds what each processor has seen to `rows`, by context and processor, and returns the
    /// processors. They are those online now if the errand has not come so far as to ask them.
    fn report(&self, rows: &mut KVVec<Row>) -> Result<KVec<Processor>> {
        let mut processors = KVec::new();

        match self.processors.as_ref() {
            Some(list) => processors.extend_from_slice(list, GFP_KERNEL)?,
            None => processors = self.look_at(cpus::online_now())?,
        }
        for (context, name) in NAMES.into_iter().enumerate() {
            let mut all = self.asked.as_ref().into_iter().flatten();
            let callers = processors.iter().filter(|one| one.left_alone.is_none());
            // Each is called by the one before it, the first one by the last.
            let mut caller = callers.clone().last().map(|last| last.cpu);
            let alone = callers.count() < 2;

            for Processor { cpu, left_alone } in &processors {
                let row = if left_alone.is_some() {
                    Row {
                        cpu: Some(*cpu),
                        left_alone: true,
                        ..Row::new(name, None)
                    }
                } else if context == IPI && alone {
                    // There is nobody to send one.
                    Row::new(name, None)
                } else {
                    Row {
                        cpu: Some(*cpu),
                        caller: caller.replace(*cpu).filter(|_| context == IPI),
                        ..Row::new(
                            name,
                            all.next()
                                .and_then(|asked| asked.probes[context].seen.copy()),
                        )
                    }
                };

                rows.push(row, GFP_KERNEL)?;
            }
        }
        Ok(processors)
    }
}

/// Provokes contexts. Dropping it waits for all that it has set off.
pub(crate) struct Prober {
    // Dropped in this order: errands queue work items on processors.
    errands: Queue,
    processors: Arc<Queue>,
    include_isolated: bool,
}

impl Prober {
    /// Makes one, which asks isolated processors as well if `include_isolated`. May sleep; fails with
    /// `ENOMEM`.
    pub(crate) fn new(include_isolated: bool) -> Result<Self> {
        Ok(Self {
            errands: Queue::unbound(c"taskscope_errand")?,
            processors: Arc::new(Queue::per_cpu(c"taskscope")?, GFP_KERNEL)?,
            include_isolated,
        })
    }

    /// Provokes all contexts and waits for what is seen there.
    ///
    /// Sleeps. Fails with `ENOMEM` or `ENFILE`, or with `ERESTARTSYS` when a signal comes.
    pub(crate) fn provoke(&self) -> Result<Probes> {
        let mut rows = KVVec::new();
        let mut add = |name, seen| rows.push(Row::new(name, seen), GFP_KERNEL);

        add("syscall", Some(Observation::now()))?;

        let in_fault = Arc::new(Look(SetOnce::new()), GFP_KERNEL)?;
        let no_fault = fault::provoke(in_fault.clone())?;
        let errand = Errand::new(self.processors.clone(), self.include_isolated)?;

        // It is refused if it is queued, which it is not.
        let _ = self.errands.as_queue().enqueue(errand.clone());
        errand.wait()?;
        if let Some(error) = errand.failure.copy() {
            return Err(error);
        }

        add("page_fault", in_fault.0.copy())?;
        add("kthread", errand.in_thread.seen.copy())?;
        let processors = errand.report(&mut rows)?;

        Ok(Probes {
            rows,
            processors,
            no_fault,
        })
    }
}
