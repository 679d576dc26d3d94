//! later: work that a kernel thread does later.

use crate::lab::{
    slow_device,
    Exercise,
    Lines,
    Queue,
    TaskView,
    PF_WQ_WORKER, //
};
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::sync::{
    Arc,
    Completion,
    SetOnce, //
};
use kernel::task::Pid;
use kernel::workqueue::{
    impl_has_work,
    new_work,
    Work,
    WorkItem, //
};

/// A work item: what is to be done, and what comes of it.
#[pin_data]
struct Item {
    /// Whether it takes its time.
    slow: bool,
    //> begin
    /// Who has asked for it.
    asked: Pid,
    //> end
    /// Who has run it, and whether that is a worker of a workqueue.
    ran: SetOnce<(Pid, bool)>,
    #[pin]
    done: Completion,
    #[pin]
    work: Work<Item>,
}

impl_has_work! {
    impl HasWork<Self> for Item { self.work }
}

impl Item {
    fn new(slow: bool) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                slow,
                //> begin
                asked: this_thread().0,
                //> end
                ran: SetOnce::new(),
                done <- Completion::new(),
                work <- new_work!("Item::work"),
            }),
            GFP_KERNEL,
        )
    }
}

impl WorkItem for Item {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        if this.slow {
            slow_device();
        }

        //| let asked = 0;
        //| let ran = (0, false);
        //> begin
        let asked = this.asked;
        let ran = this_thread();
        //> end

        this.ran.populate(ran);
        pr_info!("asked by {asked}, run by {}\n", ran.0);
        this.done.complete_all();
    }
}

/// Returns the PID of the thread that calls this, and whether it is a worker of a workqueue.
//| #[allow(dead_code, reason = "you will need it")]
fn this_thread() -> (Pid, bool) {
    let guard = rcu::read_lock();
    let current = TaskView::current(&guard);

    (current.pid(), current.flags() & PF_WQ_WORKER != 0)
}

pub(crate) struct Student {
    /// Its drop waits until all items on it have run.
    queue: Queue,
}

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        let student = Self {
            queue: Queue::unbound(c"exercise")?,
        };

        //| // Here a slow item is to be queued, and not waited for.
        //| let _ = Item::new;
        //> begin
        // No task waits for this item.
        let _ = student.queue.as_queue().enqueue(Item::new(true)?);
        //> end
        Ok(student)
    }

    fn show(&self, lines: &mut Lines) -> Result {
        //| // Here an item is to be queued that is not slow, and waited for.
        //| let _ = self.queue.as_queue();
        //| let asked = 0;
        //| let (ran, is_worker) = (0, false);
        //> begin
        let item = Item::new(false)?;

        let _ = self.queue.as_queue().enqueue(item.clone());
        item.done.wait_for_completion();
        let asked = item.asked;
        let (ran, is_worker) = item.ran.copy().ok_or(EIO)?;
        //> end

        lines.add(fmt!("asked: {asked}"))?;
        lines.add(fmt!("ran: {ran}"))?;
        lines.add(fmt!("worker: {is_worker}"))?;
        Ok(())
    }
}
