// Exercise: bottom-half
// Fails: where the kernel has run the item of the first reader: yours is task context, expected a softirq
//! An item of the ordinary queue, whose lines say what would be true of one in a softirq.

use crate::lab::{Exercise, Lines, TaskView};
use kernel::prelude::*;
use kernel::sync::{new_mutex, rcu, Arc, Completion, Mutex};
use kernel::workqueue::{self, impl_has_work, new_work, Work, WorkItem};

#[pin_data]
struct Item {
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
        this.done.complete_all();
    }
}

#[pin_data]
struct List {
    #[pin]
    all: Mutex<KVec<i32>>,
}

pub(crate) struct Student(Pin<KBox<List>>);

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        let list = pin_init!(List { all <- new_mutex!(KVec::new()) });

        Ok(Self(KBox::pin_init(list, GFP_KERNEL)?))
    }

    fn show(&self, lines: &mut Lines) -> Result {
        let item = Arc::pin_init(
            pin_init!(Item {
                done <- Completion::new(),
                work <- new_work!("Item::work"),
            }),
            GFP_KERNEL,
        )?;
        let me = TaskView::current(&rcu::read_lock()).pid();
        let mut all = self.0.all.lock();

        let _ = workqueue::system().enqueue(item.clone());
        item.done.wait_for_completion();
        all.push(me, GFP_KERNEL)?;
        lines.add(fmt!("asked: {me}"))?;
        lines.add(fmt!("current: 14"))?;
        lines.add(fmt!("softirq: true"))?;
        lines.add(fmt!("task: false"))?;
        for pid in all.iter() {
            lines.add(fmt!("all: {pid}"))?;
        }
        Ok(())
    }
}
