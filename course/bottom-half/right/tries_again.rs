//! bottom-half: a lock that is tried until it is free.

use crate::lab::{
    Context,
    Exercise,
    Lines,
    TaskView, //
};
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::sync::{
    new_spinlock_irq,
    SetOnce,
    SpinLockIrq, //
};
use kernel::sync::{
    Arc,
    Completion, //
};
use kernel::task::Pid;
use kernel::workqueue;
use kernel::workqueue::{
    impl_has_work,
    new_work,
    Work,
    WorkItem, //
};

/// All who have asked, the oldest first. An interrupt may bring a softirq while a thread holds this lock, so interrupts
/// are disabled meanwhile.
#[pin_data]
struct List {
    #[pin]
    all: SpinLockIrq<KVec<Pid>>,
}

/// A work item: what is to be done, and what comes of it.
#[pin_data]
struct Item {
    /// Who has asked for it.
    asked: Pid,
    list: Arc<List>,
    /// Who `current` was when it ran, and in which context.
    ran: SetOnce<(Pid, Context)>,
    #[pin]
    done: Completion,
    #[pin]
    work: Work<Item>,
}

impl_has_work! {
    impl HasWork<Self> for Item { self.work }
}

impl WorkItem for Item {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        // Memory that is there at once, or none: nothing may sleep here.
        let mut all = loop {
            if let Some(all) = this.list.all.try_lock() {
                break all;
            }
        };
        let _ = all.push(this.asked, GFP_ATOMIC);
        drop(all);
        this.ran.populate((this_thread(), Context::now()));
        this.done.complete_all();
    }
}

/// Returns the PID of `current`.
fn this_thread() -> Pid {
    TaskView::current(&rcu::read_lock()).pid()
}

pub(crate) struct Student {
    list: Arc<List>,
}

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        let list = pin_init!(List {
            all <- new_spinlock_irq!(KVec::new()),
        });

        Ok(Self {
            list: Arc::pin_init(list, GFP_KERNEL)?,
        })
    }

    fn show(&self, lines: &mut Lines) -> Result {
        let item = Arc::pin_init(
            pin_init!(Item {
                asked: this_thread(),
                list: self.list.clone(),
                ran: SetOnce::new(),
                done <- Completion::new(),
                work <- new_work!("Item::work"),
            }),
            GFP_KERNEL,
        )?;

        let _ = workqueue::system_bh().enqueue(item.clone());
        item.done.wait_for_completion();
        let (current, context) = item.ran.copy().ok_or(EIO)?;

        lines.add(fmt!("asked: {}", item.asked))?;
        lines.add(fmt!("current: {current}"))?;
        lines.add(fmt!("softirq: {}", context.softirq))?;
        lines.add(fmt!("task: {}", context.in_task))?;
        // A copy, because lines.add() may sleep, and nothing may while this has the lock.
        let mut all = KVec::new();

        all.extend_from_slice(&self.list.all.lock(), GFP_ATOMIC)?;
        for pid in &all {
            lines.add(fmt!("all: {pid}"))?;
        }
        Ok(())
    }
}
