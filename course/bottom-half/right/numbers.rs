//! bottom-half: the order in which the items have run is that of their numbers. The softirq takes no lock.

use crate::lab::{
    Context,
    Exercise,
    Lines,
    TaskView, //
};
use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};
use kernel::sync::{
    new_mutex,
    rcu,
    Arc,
    Completion,
    Mutex,
    SetOnce, //
};
use kernel::task::Pid;
use kernel::workqueue::{
    self,
    impl_has_work,
    new_work,
    Work,
    WorkItem, //
};

/// A work item: what is to be done, and what comes of it.
#[pin_data]
struct Item {
    /// Who has asked for it.
    asked: Pid,
    /// How many items have a number.
    numbers: Arc<Atomic<i64>>,
    /// Which item this is of those that have run, from 1 on; 0 before that.
    number: Atomic<i64>,
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
        let number = this.numbers.fetch_add(1, Relaxed) + 1;

        this.number.store(number, Release);
        this.ran.populate((this_thread(), Context::now()));
        this.done.complete_all();
    }
}

/// Returns the PID of `current`.
fn this_thread() -> Pid {
    TaskView::current(&rcu::read_lock()).pid()
}

#[pin_data]
struct List {
    /// All items. Only threads take this lock. An item enters the list of those who have asked by its number.
    #[pin]
    all: Mutex<KVec<Arc<Item>>>,
    numbers: Arc<Atomic<i64>>,
}

pub(crate) struct Student {
    list: Pin<KBox<List>>,
}

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        let list = pin_init!(List {
            all <- new_mutex!(KVec::new()),
            numbers: Arc::new(Atomic::new(0), GFP_KERNEL)?,
        }? Error);

        Ok(Self {
            list: KBox::pin_init(list, GFP_KERNEL)?,
        })
    }

    fn show(&self, lines: &mut Lines) -> Result {
        let item = Arc::pin_init(
            pin_init!(Item {
                asked: this_thread(),
                numbers: self.list.numbers.clone(),
                number: Atomic::new(0),
                ran: SetOnce::new(),
                done <- Completion::new(),
                work <- new_work!("Item::work"),
            }),
            GFP_KERNEL,
        )?;

        self.list.all.lock().push(item.clone(), GFP_KERNEL)?;
        let _ = workqueue::system_bh().enqueue(item.clone());
        item.done.wait_for_completion();
        let (current, context) = item.ran.copy().ok_or(EIO)?;

        lines.add(fmt!("asked: {}", item.asked))?;
        lines.add(fmt!("current: {current}"))?;
        lines.add(fmt!("softirq: {}", context.softirq))?;
        lines.add(fmt!("task: {}", context.in_task))?;
        let mut all = KVec::new();

        for item in self.list.all.lock().iter() {
            let number = item.number.load(Acquire);

            if number != 0 {
                all.push((number, item.asked), GFP_KERNEL)?;
            }
        }
        all.sort_unstable();
        for (_, pid) in &all {
            lines.add(fmt!("all: {pid}"))?;
        }
        Ok(())
    }
}
