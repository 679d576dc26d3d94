// SPDX-License-Identifier: GPL-2.0

//! The work item of an open, which probes all contexts that the open does not run in itself.
//!
//! A signal must be able to end the open, and what the open has triggered must not outlive its
//! memory or its CPU. So all waits that can take long are those of [`ProbeWork`].

use super::per_cpu::{
    CpuRecord,
    CpuWork,
    CONTEXTS, //
};
use super::{
    probed,
    Cpu,
    Outcome, //
};
use crate::abstractions::callbacks::{
    Callback,
    CountedCompletion,
    Queue,
    Thread,
    Wait,
    WorkItem, //
};
use crate::abstractions::cpus::{
    self,
    Isolation,
    OnlineCpus, //
};
use crate::capture::answers::{
    Answers,
    ANSWER_LIMIT, //
};
use crate::capture::observation::Observation;
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;
use kernel::sync::{
    Arc,
    SetOnce, //
};
use kernel::time::{
    msecs_to_jiffies, //
    Msecs,
};
use kernel::workqueue::{
    self,
    Work, //
};
use kernel::{
    impl_has_work,
    new_work, //
};

/// Tuned: how long an open waits for a work that it has cancelled, in milliseconds.
pub(super) const END_LIMIT: Msecs = 100;

/// Tuned: how long the work waits for the kernel thread before it probes the CPUs, in milliseconds:
/// an interrupt should not find this thread.
const THREAD_LIMIT: Msecs = 100;

/// The work of one open. It belongs to the open and to its workqueue.
#[pin_data]
pub(super) struct ProbeWork {
    #[pin]
    work: Work<Self>,
    /// The queue for the work items of the CPUs.
    per_cpu: Arc<Queue>,
    /// Whether isolated CPUs are probed too.
    include_isolated: bool,
    in_kthread: SetOnce<Observation>,
    /// Completed by the kernel thread.
    #[pin]
    kthread_answered: CountedCompletion,
    /// The CPUs that are online, once they are known.
    cpus: SetOnce<KVec<Cpu>>,
    answers: Arc<Answers>,
    /// Why the contexts could not be probed.
    failure: SetOnce<Error>,
    /// Completed when nothing is queued or running any more.
    #[pin]
    ended: CountedCompletion,
}

impl_has_work! {
    impl HasWork<Self> for ProbeWork { self.work }
}

impl workqueue::WorkItem for ProbeWork {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        if let Err(error) = this.probe() {
            this.failure.populate(error);
        }
        this.ended.complete();
    }
}

/// What the kernel thread does.
impl Callback for ProbeWork {
    fn call(&self) {
        if self.in_kthread.populate(Observation::now()) {
            self.kthread_answered.complete();
        }
    }
}

impl ProbeWork {
    /// Creates a work that is not queued. May sleep; fails with `ENOMEM`.
    pub(super) fn new(per_cpu: Arc<Queue>, include_isolated: bool) -> Result<Arc<Self>> {
        let answers = Answers::new()?;

        Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("taskscope probe"),
                per_cpu,
                include_isolated,
                in_kthread: SetOnce::new(),
                kthread_answered <- CountedCompletion::new(1),
                cpus: SetOnce::new(),
                answers,
                failure: SetOnce::new(),
                ended <- CountedCompletion::new(1),
            }),
            GFP_KERNEL,
        )
    }

    /// Waits for the work, and returns what happened in the kernel thread, and the CPUs with what
    /// they have recorded. Sleeps.
    ///
    /// A work that takes longer than [`ANSWER_LIMIT`] is cancelled. If it has not come to the CPUs
    /// by then, they are those that are online now.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EAGAIN` if there can be no more threads, or `ERESTARTSYS` when a signal comes
    /// first.
    pub(super) fn wait(&self) -> Result<(Outcome, KVec<Cpu>)> {
        let waited = self.ended.wait(msecs_to_jiffies(ANSWER_LIMIT));

        if !matches!(waited, Ok(Wait::Completed)) {
            self.answers.unwanted.store(true, Relaxed);
            self.kthread_answered.complete_all();
            self.answers.all.complete_all();
            // How this wait ends does not change the result.
            let _ = self.ended.wait_killable(msecs_to_jiffies(END_LIMIT));
        }
        waited?;
        if let Some(error) = self.failure.copy() {
            return Err(error);
        }

        let silent = Outcome::Silent { sender: None };
        let in_kthread = self.in_kthread.copy().map_or(silent, Outcome::Seen);
        let mut cpus = KVec::new();

        match self.cpus.as_ref() {
            Some(list) => cpus.extend_from_slice(list, GFP_KERNEL)?,
            None => cpus = self.find_cpus(cpus::online_now())?,
        }
        Ok((in_kthread, cpus))
    }

    /// Probes the contexts, and returns when nothing of it is queued or running any more.
    ///
    /// Sleeps, without a limit. Fails with `ENOMEM`, or with `EAGAIN` if there can be no more
    /// threads.
    fn probe(self: &Arc<Self>) -> Result {
        if self.answers.unwanted.load(Relaxed) {
            return Ok(());
        }
        let _thread = Thread::start(self.clone(), c"taskscope_probe")?;
        // However this wait and the next ones end: a context that has not answered says so.
        let _ = self.kthread_answered.wait(msecs_to_jiffies(THREAD_LIMIT));
        if self.answers.unwanted.load(Relaxed) {
            return Ok(());
        }

        let online = OnlineCpus::hold();

        self.cpus.populate(self.find_cpus(online.iter())?);
        // Dropped first, while no CPU can go offline.
        let _works = self.start()?;

        self.answers.all.complete();
        let _ = self.answers.all.wait(msecs_to_jiffies(ANSWER_LIMIT));
        if self.in_kthread.as_ref().is_none() {
            let _ = self.kthread_answered.wait(msecs_to_jiffies(ANSWER_LIMIT));
        }
        Ok(())
    }

    /// Returns the CPUs `online`, and which of them are left alone. Sleeps; fails with `ENOMEM`.
    fn find_cpus(&self, online: impl Iterator<Item = CpuId>) -> Result<KVec<Cpu>> {
        let mut cpus = KVec::new();

        for id in online {
            let record = CpuRecord::new(id, self.answers.clone());
            let cpu = Cpu {
                id,
                left_alone: Isolation::of(id).filter(|_| !self.include_isolated),
                record: Arc::new(record, GFP_KERNEL)?,
            };

            cpus.push(cpu, GFP_KERNEL)?;
        }
        Ok(cpus)
    }

    /// Queues a work item on each CPU that is not left alone. Each sends an IPI to the next one,
    /// and the last one to the first. Sleeps; fails with `ENOMEM`, and has then queued nothing.
    fn start(&self) -> Result<KVec<Pin<KBox<WorkItem<CpuWork>>>>> {
        let cpus = self.cpus.as_ref().map_or(&[][..], |cpus| cpus);
        let probed = || probed(cpus).map(|cpu| &cpu.record);
        let count = probed().count();
        let mut works = KVec::with_capacity(count, GFP_KERNEL)?;

        for (record, next) in probed().zip(probed().cycle().skip(1)) {
            // A CPU that is probed alone gets no IPI.
            let next = (count > 1).then_some(next);

            works.push_within_capacity(CpuWork::new(record, next)?)?;
        }

        let answers = CONTEXTS.len() - usize::from(count < 2);

        self.answers.all.expect(count * answers);
        for (work, record) in works.iter().zip(probed()) {
            work.queue_on(record.cpu, self.per_cpu.as_queue());
        }
        Ok(works)
    }
}
