// Exercise: later
// Fails: 3 of 6 checks passed
//! Each reader gets a true answer; of the work at load there are only the lines in the log.

use crate::lab::{Exercise, Lines, Queue, TaskView, PF_WQ_WORKER};
use core::sync::atomic::{AtomicI32, Ordering};
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::sync::{Arc, Completion, SetOnce};
use kernel::workqueue::{impl_has_work, new_work, Work, WorkItem};

#[pin_data]
struct Item {
    ran: SetOnce<(i32, bool)>,
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
        this.ran.populate(me());
        this.done.complete_all();
    }
}

fn me() -> (i32, bool) {
    let guard = rcu::read_lock();
    let current = TaskView::current(&guard);

    (current.pid(), current.flags() & PF_WQ_WORKER != 0)
}

pub(crate) struct Student {
    queue: Queue,
    loader: i32,
    worker: AtomicI32,
}

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        Ok(Self {
            queue: Queue::unbound(c"exercise")?,
            loader: me().0,
            worker: AtomicI32::new(1),
        })
    }

    fn show(&self, lines: &mut Lines) -> Result {
        let item = Arc::pin_init(
            pin_init!(Item {
                ran: SetOnce::new(),
                done <- Completion::new(),
                work <- new_work!("Item::work"),
            }),
            GFP_KERNEL,
        )?;

        let _ = self.queue.as_queue().enqueue(item.clone());
        item.done.wait_for_completion();
        let (ran, worker) = item.ran.copy().ok_or(EIO)?;
        self.worker.store(ran, Ordering::Relaxed);
        pr_info!("asked by {}, run by {ran}\n", self.loader);
        lines.add(fmt!("asked: {}", me().0))?;
        lines.add(fmt!("ran: {ran}"))?;
        lines.add(fmt!("worker: {worker}"))
    }

    fn unload(&self, _word: &str) {
        pr_info!(
            "asked by {}, run by {}\n",
            self.loader,
            self.worker.load(Ordering::Relaxed)
        );
    }
}
