// SPDX-License-Identifier: GPL-2.0

//! Samples of what each CPU runs, all of one moment.
//!
//! ```text
//! open() on CPU 0:   call CPU 1, 2, 3, arm CPU 0, spin ....................... | sampled, sleep
//! CPU 1:             .... call: arm .......................................... | sampled
//! CPU 2:             ........ call: arm ...................................... | sampled
//! CPU 3:             (interrupts disabled) ..................................... call: arm | sampled late
//!                                                                              ^ the moment, DELAY later
//! ```
//!
//! The open calls a function on each CPU, and does not wait for it. That function does one thing:
//! it arms a high-resolution timer of its CPU, pinned and in hardirq context, for a moment that is
//! the same for all. When the timer expires, the CPU has gone back to what it did. The callback of
//! the timer takes the [`Sample`]. The call itself could not: a CPU that is idle makes it without
//! an interrupt, and on x86 the kernel does not note the registers of the interrupted code in it.
//!
//! The open stays on its CPU meanwhile, with preemption disabled. So the sample of that CPU shows
//! the open.
//!
//! # CPUs that do not answer
//!
//! A CPU that has its interrupts disabled runs neither the call nor the timer. The open waits for
//! [`ANSWER_LIMIT`], and then says so. Only an NMI would reach such a CPU, and no module can send
//! one.
//!
//! # Who owns what
//!
//! A [`Round`] is all that one open has sent: calls, timers, and the memory for the samples. The
//! kernel cannot take back a call, so a round has to stay until the last of its calls has run. Its
//! drop waits for that, and then cancels the timers.
//!
//! - All CPUs have answered: the open drops the round, which waits for nothing.
//! - Some CPU has not, or a signal ends the open: the drop of [`Samples`] gives the round to a work
//!   item, which drops it, however long that takes. The open returns. A call that comes that late
//!   finds that the round is [unwanted](Answers::unwanted), and arms nothing.
//! - The module is unloaded: the drop of [`CpuSampler`] waits for the work items. A CPU that never
//!   enables its interrupts again holds up the unload for ever; nothing may free the code that it
//!   is going to call.
//!
//! # Hotplug
//!
//! Nothing keeps CPUs online. The kernel refuses a call to a CPU that is offline. A CPU that goes
//! offline first gives its timers to another CPU (`hrtimers_cpu_dying()`), and then runs the calls
//! that are queued for it (`smpcfd_dying_cpu()`). A timer that is armed then goes to another CPU,
//! too. The callback of the timer finds out that it runs on another CPU, and samples nothing: a CPU
//! that is offline has no row.
//!
//! # Isolated CPUs
//!
//! An isolated CPU is left alone, unless the module is loaded with `include_isolated=1`, or the
//! open runs on that CPU.

use crate::abstractions::callbacks::{
    Callback,
    Queue,
    RemoteCall, //
    Wait,
};
use crate::abstractions::context::Context;
use crate::abstractions::cpus::{
    self,
    Isolation, //
};
use crate::abstractions::grace_period::GracePeriodState;
use crate::abstractions::interrupted::{
    self,
    InterruptedCode, //
};
use crate::abstractions::mm::WeakAddressSpace;
use crate::abstractions::schedule::NoPreemption;
use crate::abstractions::tasks::RcuTask;
use crate::capture::answers::{
    Answers,
    ANSWER_LIMIT, //
};
use crate::capture::kernel_frames::FRAMES_MAX;
use crate::capture::snapshot::ThreadId;
use crate::capture::task_record::{
    name_of,
    Kind, //
};
use crate::text::name::Name;
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;
use kernel::sync::{
    rcu,
    Arc,
    ArcBorrow,
    SetOnce, //
};
use kernel::time::delay::udelay;
use kernel::time::hrtimer::{
    AbsolutePinnedHardMode,
    ArcHrTimerHandle,
    HrTimer,
    HrTimerCallback,
    HrTimerCallbackContext,
    HrTimerPointer,
    HrTimerRestart, //
};
use kernel::time::{
    msecs_to_jiffies,
    Delta,
    Instant,
    Monotonic, //
};
use kernel::workqueue::{
    self,
    Work, //
};
use kernel::{
    impl_has_hr_timer,
    impl_has_work,
    new_work, //
};

/// Tuned: how long after the first call the moment is. In that time a CPU has to run the call and
/// to go back to what it did.
const DELAY: Delta = Delta::from_micros(500);

/// Tuned: what is added to [`DELAY`] for each CPU that is called.
const DELAY_PER_CPU: Delta = Delta::from_micros(5);

/// Returns how long after the first of calls to `cpus` CPUs the moment is.
fn delay(cpus: usize) -> Delta {
    // CAST: There are few CPUs.
    DELAY + DELAY_PER_CPU * cpus as i64
}

/// Tuned: for how many microseconds at most the open waits for its own CPU, with preemption
/// disabled. The interrupt comes at the moment, or with the next tick on a kernel without
/// high-resolution timers. The wait is counted, and not measured: while a hypervisor stops the CPU,
/// time passes and no interrupt comes.
const OWN_LIMIT: usize = 100_000;

/// Tuned: room for the frames of an interrupt, and for those that are shown of the code that it has
/// interrupted.
const ROOM: usize = 40 + FRAMES_MAX + 1;

/// What a CPU ran when it was interrupted. The text of column CONTEXT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CpuContext {
    /// A program, in user space.
    User,
    /// The kernel, in task context.
    Task,
    /// A softirq.
    Softirq,
    /// The handler of another interrupt, which had enabled interrupts.
    Hardirq,
    /// The idle task, in task context.
    Idle,
}

impl CpuContext {
    /// Returns the context of `code`, which was interrupted while a softirq was served or not, and
    /// while `current` was an idle task or not.
    fn new(code: InterruptedCode, in_softirq: bool, is_idle: bool) -> Self {
        if code.is_user {
            Self::User
        } else if code.is_handler {
            Self::Hardirq
        } else if in_softirq {
            Self::Softirq
        } else if is_idle {
            Self::Idle
        } else {
            Self::Task
        }
    }

    /// Returns the word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Task => "task",
            Self::Softirq => "softirq",
            Self::Hardirq => "hardirq",
            Self::Idle => "idle",
        }
    }
}

/// The addresses on the stacks of a CPU, the innermost first, from the callback of the timer on.
struct Trace {
    addresses: [usize; ROOM],
    len: usize,
}

impl Trace {
    /// Returns the addresses from here on.
    fn here() -> Self {
        let mut addresses = [0; ROOM];
        let len = interrupted::save_frames(&mut addresses);

        Self { addresses, len }
    }

    /// Returns the addresses from `program_counter` on, without that, and whether there may be
    /// more: what the code that was interrupted there returns to. The frames of the interrupt come
    /// before. None are returned if the program counter is not among the addresses: the stack could
    /// not be followed through the interrupt.
    fn callers(&self, program_counter: usize) -> (&[usize], bool) {
        let addresses = &self.addresses[..self.len];
        let mut callers = match addresses.iter().position(|&at| at == program_counter) {
            Some(at) => &addresses[at + 1..],
            None => &[],
        };
        let is_cut = self.len == ROOM || callers.len() >= FRAMES_MAX;

        if is_cut {
            callers = &callers[..callers.len().min(FRAMES_MAX - 1)];
        }
        (callers, is_cut)
    }
}

/// What a CPU ran at a moment.
pub(crate) struct Sample {
    /// When it was taken.
    time: Instant<Monotonic>,
    /// The grace periods until then.
    pub(crate) rcu_state: GracePeriodState,
    /// The numbers of `current`.
    pub(crate) id: ThreadId,
    /// The name of `current`.
    pub(crate) name: Name,
    /// The context.
    pub(crate) context: CpuContext,
    /// The next instruction of the code.
    pub(crate) program_counter: usize,
    /// The address space of the program, if one ran. A round may stay for as long as a CPU is
    /// stuck: the memory of the program must not stay with it.
    pub(crate) space: Option<WeakAddressSpace>,
    /// The stacks, if no program ran.
    trace: Option<Trace>,
}

impl Sample {
    /// Takes a sample of the code that the current interrupt has interrupted. The handler of that
    /// interrupt calls this. Does not sleep.
    fn take() -> Option<Self> {
        let time = Instant::now();
        let rcu_state = GracePeriodState::now();
        let code = InterruptedCode::now()?;
        let in_softirq = Context::now().softirq;
        let guard = rcu::read_lock();
        let current = RcuTask::current(&guard);
        let is_idle = Kind::from_flags(current.flags()) == Kind::Idle;

        Some(Self {
            time,
            rcu_state,
            id: ThreadId::of(current),
            name: name_of(current),
            context: CpuContext::new(code, in_softirq, is_idle),
            program_counter: code.program_counter,
            space: code.is_user.then(WeakAddressSpace::of_current).flatten(),
            trace: (!code.is_user).then(Trace::here),
        })
    }

    /// Returns the return addresses of the kernel's code, the innermost first, and whether there
    /// may be more; none if a program ran.
    pub(crate) fn callers(&self) -> (&[usize], bool) {
        self.trace
            .as_ref()
            .map_or((&[], false), |trace| trace.callers(self.program_counter))
    }
}

/// Why the timer of a CPU has taken no sample.
enum NoSample {
    /// The kernel has not noted the registers of the interrupted code.
    NoRegisters,
    /// The timer has expired on another CPU, because its own one has gone offline.
    Elsewhere,
}

/// The timer of a CPU, and the memory for its answer.
#[pin_data]
struct CpuTimer {
    cpu: CpuId,
    answers: Arc<Answers>,
    /// When the timer expires, once that is known.
    moment: Arc<SetOnce<Instant<Monotonic>>>,
    answer: SetOnce<Result<Sample, NoSample>>,
    #[pin]
    timer: HrTimer<Self>,
}

impl CpuTimer {
    /// Creates the timer of `cpu`, which is not armed.
    fn new(
        cpu: CpuId,
        answers: Arc<Answers>,
        moment: Arc<SetOnce<Instant<Monotonic>>>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            cpu,
            answers,
            moment,
            answer: SetOnce::new(),
            timer <- HrTimer::new(),
        })
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for CpuTimer {
        mode: AbsolutePinnedHardMode<Monotonic>, field: self.timer
    }
}

impl HrTimerCallback for CpuTimer {
    type Pointer<'a> = Arc<Self>;

    fn run(this: ArcBorrow<'_, Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let answer = if CpuId::current().as_u32() != this.cpu.as_u32() {
            Err(NoSample::Elsewhere)
        } else {
            Sample::take().ok_or(NoSample::NoRegisters)
        };

        this.answer.populate(answer);
        this.answers.all.complete();
        HrTimerRestart::NoRestart
    }
}

/// What a CPU is called for: to arm its timer.
struct Arm {
    // Dropped first, which cancels the timer.
    armed: SetOnce<ArcHrTimerHandle<CpuTimer>>,
    timer: Arc<CpuTimer>,
}

impl Callback for Arm {
    fn call(&self) {
        if self.timer.answers.unwanted.load(Relaxed) {
            return;
        }
        if let Some(moment) = self.timer.moment.copy() {
            self.armed.populate(self.timer.clone().start(moment));
        }
    }
}

/// Whether a CPU was called.
#[derive(Clone, Copy)]
enum Called {
    /// It was.
    Yes,
    /// It was left alone, because it is isolated.
    LeftAlone(Isolation),
    /// It was offline.
    Offline,
}

/// A CPU of a round.
struct RoundCpu {
    id: CpuId,
    called: SetOnce<Called>,
    // Its drop waits for the call, and then cancels the timer.
    call: Pin<KBox<RemoteCall<Arm>>>,
}

/// All that one open has sent, and the samples. The drop waits for the calls.
#[pin_data]
struct Round {
    #[pin]
    work: Work<Self>,
    answers: Arc<Answers>,
    moment: Arc<SetOnce<Instant<Monotonic>>>,
    cpus: KVec<RoundCpu>,
}

impl_has_work! {
    impl HasWork<Self> for Round { self.work }
}

impl workqueue::WorkItem for Round {
    type Pointer = Arc<Self>;

    /// Drops the only reference to the round.
    fn run(_: Arc<Self>) {}
}

impl Round {
    /// Creates a round for the CPUs that are online. Nothing is sent. May sleep; fails with
    /// `ENOMEM`.
    fn new() -> Result<Arc<Self>> {
        let answers = Answers::new()?;
        let moment = Arc::new(SetOnce::new(), GFP_KERNEL)?;
        let mut cpus = KVec::new();

        for id in cpus::online_now() {
            let timer = CpuTimer::new(id, answers.clone(), moment.clone());
            let call = RemoteCall::new(Arm {
                armed: SetOnce::new(),
                timer: Arc::pin_init(timer, GFP_KERNEL)?,
            });

            cpus.push(
                RoundCpu {
                    id,
                    called: SetOnce::new(),
                    call: KBox::pin_init(call, GFP_KERNEL)?,
                },
                GFP_KERNEL,
            )?;
        }
        Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("taskscope cpus"),
                answers,
                moment,
                cpus,
            }),
            GFP_KERNEL,
        )
    }
}

impl Round {
    /// Calls the CPUs, those that are isolated only if `include_isolated`, and returns after the
    /// moment for which they have armed their timers. Task context. Does not sleep.
    ///
    /// Calls none and returns false if the caller is on a CPU that has come online since this round
    /// was created.
    fn call(&self, include_isolated: bool) -> bool {
        let preemption = NoPreemption::begin();
        let own = preemption.cpu().as_u32();
        let is_own = |cpu: &&RoundCpu| cpu.id.as_u32() == own;
        let Some(own) = self.cpus.iter().find(is_own) else {
            return false;
        };
        let moment = Instant::now() + delay(self.cpus.len());

        self.moment.populate(moment);
        self.answers.all.expect(self.cpus.len());
        for cpu in &self.cpus {
            let isolation = Isolation::of(cpu.id);
            let called = match isolation.filter(|_| !include_isolated && !is_own(&cpu)) {
                Some(isolation) => Called::LeftAlone(isolation),
                None => cpu
                    .call
                    .send(cpu.id)
                    .map_or(Called::Offline, |()| Called::Yes),
            };

            if !matches!(called, Called::Yes) {
                self.answers.all.complete();
            }
            cpu.called.populate(called);
        }
        for _ in 0..OWN_LIMIT {
            if own.answer().is_some() {
                break;
            }
            udelay(Delta::from_micros(1));
        }
        true
    }
}

impl RoundCpu {
    /// Returns the answer of the CPU, if it has come.
    fn answer(&self) -> Option<&Result<Sample, NoSample>> {
        self.call.callback().timer.answer.as_ref()
    }

    /// Returns what is known of the CPU, unless it was offline.
    fn state(&self) -> Option<CpuState<'_>> {
        match (self.called.copy()?, self.answer()) {
            (Called::LeftAlone(isolation), _) => Some(CpuState::LeftAlone(isolation)),
            (Called::Offline, _) | (_, Some(Err(NoSample::Elsewhere))) => None,
            (_, Some(Ok(sample))) => Some(CpuState::Sampled(sample)),
            (_, Some(Err(NoSample::NoRegisters))) => Some(CpuState::NoRegisters),
            (_, None) => Some(CpuState::Silent),
        }
    }
}

/// What is known of a CPU.
pub(crate) enum CpuState<'a> {
    /// What it ran.
    Sampled(&'a Sample),
    /// The kernel has not noted what it ran.
    NoRegisters,
    /// It did not answer within [`ANSWER_LIMIT`].
    Silent,
    /// It was left alone, because it is isolated.
    LeftAlone(Isolation),
}

/// The samples of one open. The drop does not wait for a CPU.
pub(crate) struct Samples<'a> {
    queue: &'a Queue,
    /// Always set before the drop.
    round: Option<Arc<Round>>,
    /// Whether all CPUs have answered.
    is_complete: bool,
}

impl Samples<'_> {
    /// Returns the CPUs that were online.
    fn cpus(&self) -> &[RoundCpu] {
        self.round.as_ref().map_or(&[], |round| &round.cpus)
    }

    /// Returns the CPUs that were online, and what is known of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CpuId, CpuState<'_>)> {
        let cpus = self.cpus().iter();

        cpus.filter_map(|cpu| Some((cpu.id, cpu.state()?)))
    }

    /// Returns how long after the first sample the last one was taken, if there are two or more.
    pub(crate) fn spread(&self) -> Option<Delta> {
        let moment = self.round.as_ref()?.moment.copy()?;
        let cpus = self.cpus().iter();
        let samples = cpus.filter_map(|cpu| cpu.answer()?.as_ref().ok());

        spread(samples.map(|sample| sample.time - moment))
    }
}

/// Returns how long after the first of `times` the last one is, if there are two or more.
fn spread(times: impl Iterator<Item = Delta> + Clone) -> Option<Delta> {
    times.clone().nth(1)?;
    Some(times.clone().max()? - times.min()?)
}

impl Drop for Samples<'_> {
    fn drop(&mut self) {
        let Some(round) = self.round.take().filter(|_| !self.is_complete) else {
            return;
        };

        round.answers.unwanted.store(true, Relaxed);
        // `enqueue()` refuses an item that is queued already, which this one is not.
        let _ = self.queue.as_queue().enqueue(round);
    }
}

/// Samples what all CPUs run. The drop waits for CPUs that have not answered an open.
pub(crate) struct CpuSampler {
    /// Where rounds are dropped whose CPUs have not answered.
    queue: Queue,
    include_isolated: bool,
}

impl CpuSampler {
    /// Creates a sampler, which samples isolated CPUs too if `include_isolated`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(include_isolated: bool) -> Result<Self> {
        Ok(Self {
            queue: Queue::unbound(c"taskscope_cpus")?,
            include_isolated,
        })
    }

    /// Samples what all CPUs run, and waits for their answers. Task context. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `ERESTARTSYS` when a signal comes.
    pub(crate) fn sample(&self) -> Result<Samples<'_>> {
        let round = loop {
            let round = Round::new()?;

            if round.call(self.include_isolated) {
                break round;
            }
        };
        let answers = round.answers.clone();
        // It has the only reference to the round.
        let mut samples = Samples {
            queue: &self.queue,
            round: Some(round),
            is_complete: false,
        };

        answers.all.complete();
        samples.is_complete = answers.all.wait(msecs_to_jiffies(ANSWER_LIMIT))? == Wait::Completed;
        Ok(samples)
    }
}

#[kunit_tests(taskscope_cpu_samples)]
mod tests {
    use super::*;

    /// The last call is sent after those of all other CPUs.
    #[test]
    fn more_cpus_have_more_time() {
        assert!(delay(1) > DELAY);
        assert!(delay(1000).as_micros_ceil() >= delay(1).as_micros_ceil() + 999);
    }

    #[test]
    fn contexts_by_rank() {
        let code = InterruptedCode {
            program_counter: 0x1000,
            is_user: false,
            is_handler: false,
        };
        let user = InterruptedCode {
            is_user: true,
            ..code
        };
        let handler = InterruptedCode {
            is_handler: true,
            ..code
        };

        for (code, in_softirq, is_idle, context) in [
            (user, false, false, CpuContext::User),
            (code, false, false, CpuContext::Task),
            (code, false, true, CpuContext::Idle),
            (code, true, false, CpuContext::Softirq),
            (code, true, true, CpuContext::Softirq),
            (handler, false, false, CpuContext::Hardirq),
            (handler, true, true, CpuContext::Hardirq),
        ] {
            assert_eq!(CpuContext::new(code, in_softirq, is_idle), context);
        }
    }

    /// A trace with the addresses 1, 2, 3, ...
    fn trace(len: usize) -> Trace {
        let mut addresses = [0; ROOM];

        for (at, address) in (1..).zip(&mut addresses[..len]) {
            *address = at;
        }
        Trace { addresses, len }
    }

    #[test]
    fn the_frames_of_the_interrupt_are_left_out() {
        assert_eq!(trace(5).callers(2), (&[3, 4, 5][..], false));
        assert_eq!(trace(5).callers(5), (&[][..], false));
        assert_eq!(trace(5).callers(6), (&[][..], false));
        assert_eq!(trace(0).callers(1), (&[][..], false));
    }

    /// The program counter is a frame as well.
    #[test]
    fn there_are_64_frames_at_most() {
        let shown = |len, at| {
            let trace = trace(len);
            let (callers, is_cut) = trace.callers(at);

            (1 + callers.len(), is_cut)
        };

        assert_eq!(shown(FRAMES_MAX, 1), (FRAMES_MAX, false));
        assert_eq!(shown(FRAMES_MAX + 1, 1), (FRAMES_MAX, true));
        assert_eq!(shown(ROOM - 1, ROOM - FRAMES_MAX), (FRAMES_MAX, false));
        // There may be more than there is room for.
        assert_eq!(shown(ROOM, ROOM - 3), (4, true));
    }

    #[test]
    fn the_spread_is_from_the_first_to_the_last() {
        let of = |times: &[i64]| {
            spread(times.iter().copied().map(Delta::from_nanos)).map(Delta::as_nanos)
        };

        assert_eq!(of(&[]), None);
        assert_eq!(of(&[5]), None);
        assert_eq!(of(&[5, 5]), Some(0));
        assert_eq!(of(&[7, 5]), Some(2));
        assert_eq!(of(&[7, 5, 20, 9]), Some(15));
    }

    #[test]
    fn a_sample_needs_an_interrupt() {
        assert!(Sample::take().is_none());
    }
}
