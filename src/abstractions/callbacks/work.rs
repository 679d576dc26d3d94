// SPDX-License-Identifier: GPL-2.0

//! Callbacks as work items, and workqueues.
//!
//! A work item of the `kernel` crate belongs to its queue until it has run. A [`WorkItem`] can be
//! cancelled, and can be queued on a chosen CPU.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h).

use super::Callback;
use crate::abstractions::cpus;
use core::ptr::NonNull;
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::sync::LockClassKey;
use kernel::types::Opaque;
use kernel::{
    bindings,
    container_of,
    workqueue, //
};

/// A workqueue of this module. Its items run in task context, may sleep, and do not hold up each
/// other.
///
/// The drop waits until all items on the queue have run.
///
/// # Invariants
///
/// `queue` is a workqueue, and this owns it.
pub(crate) struct Queue {
    queue: NonNull<bindings::workqueue_struct>,
}

// SAFETY: A workqueue may be used from any thread.
unsafe impl Send for Queue {}

// SAFETY: All operations on a workqueue take its locks.
unsafe impl Sync for Queue {}

impl Queue {
    /// Creates a queue whose items run on the CPU that they were queued on. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn per_cpu(name: &CStr) -> Result<Self> {
        // `WQ_CPU_INTENSIVE`: an item that runs for long does not hold up other items of its CPU.
        Self::new(
            name,
            bindings::wq_flags_WQ_PERCPU | bindings::wq_flags_WQ_CPU_INTENSIVE,
        )
    }

    /// Creates a queue whose items run on any CPU. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn unbound(name: &CStr) -> Result<Self> {
        Self::new(name, bindings::wq_flags_WQ_UNBOUND)
    }

    /// Creates a queue.
    fn new(name: &CStr, flags: bindings::wq_flags) -> Result<Self> {
        let format = c"%s".as_char_ptr();
        // SAFETY: `%s` prints the name, a NUL-terminated string; 0 is the default number of items
        // that run at a time.
        let queue =
            unsafe { bindings::alloc_workqueue_noprof(format, flags, 0, name.as_char_ptr()) };

        // INVARIANT: The queue has just been created.
        Ok(Self {
            queue: NonNull::new(queue).ok_or(ENOMEM)?,
        })
    }

    /// Returns this as the `kernel` crate's type.
    pub(crate) fn as_queue(&self) -> &workqueue::Queue {
        // SAFETY: By the type invariant the workqueue is valid for as long as `self` is.
        unsafe { workqueue::Queue::from_raw(self.queue.as_ptr()) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this owns the queue. The items on it run first.
        unsafe { bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}

/// A work item with its callback, which runs in the context of the queue: task or softirq context.
///
/// # Invariants
///
/// `work` is an initialised work item, whose function is [`WorkItem::run`].
#[pin_data(PinnedDrop)]
pub(crate) struct WorkItem<C: Callback> {
    #[pin]
    work: Opaque<bindings::work_struct>,
    callback: C,
}

// SAFETY: A work item may be used from any thread, and so may its callback.
unsafe impl<C: Callback> Send for WorkItem<C> {}

// SAFETY: Queueing is atomic, and the callback may be shared.
unsafe impl<C: Callback> Sync for WorkItem<C> {}

impl<C: Callback> WorkItem<C> {
    /// Creates a work item that is on no queue.
    ///
    /// For lockdep, an item that runs is like a lock of class `key` that is held: items that run in
    /// different contexts need different classes.
    pub(crate) fn new(
        callback: C,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        // INVARIANT: `init_work_with_key()` initialises it.
        pin_init!(Self {
            work <- Opaque::ffi_init(move |slot: *mut bindings::work_struct| {
                // SAFETY: `slot` is valid memory for a work item, the name is a NUL-terminated
                // string and the class static.
                unsafe {
                    bindings::init_work_with_key(
                        slot,
                        Some(Self::run),
                        false,
                        name.as_char_ptr(),
                        key.as_ptr(),
                    )
                };
            }),
            callback,
        })
    }

    /// Puts the item on `queue` for `cpu`, unless it is on a queue already.
    ///
    /// Any context but NMI. If the CPU goes offline before the item has run, another one may run
    /// it. Nothing is queued for a CPU that the machine cannot have, and the kernel warns about one
    /// that has never been online.
    pub(crate) fn queue_on(&self, cpu: CpuId, queue: &workqueue::Queue) {
        // CAST: `Queue` is a transparent wrapper.
        let queue = core::ptr::from_ref(queue).cast_mut().cast();

        if !cpus::is_possible(cpu) {
            return;
        }
        // SAFETY:
        // - `cpu` is possible, as has just been checked: the queue has memory for it.
        // - The queue is valid by its type. It stays so while the item is on it: the kernel's own
        //   queues are never destroyed, and the drop of a `Queue` runs the item first.
        // - By the type invariant this is a work item. It stays valid and in place until it has
        //   run: it is pinned, since it is made by a `PinInit` only, and its drop cancels it or
        //   waits for it.
        unsafe { bindings::queue_work_on(cpu.into(), queue, self.work.get()) };
    }

    /// What the kernel calls.
    ///
    /// # Safety
    ///
    /// `work` is that of a `WorkItem<C>`, which stays valid meanwhile.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: By this function's requirements `work` is the field of a `WorkItem<C>`.
        let item = unsafe { container_of!(Opaque::cast_from(work), Self, work) };
        // SAFETY: The `WorkItem<C>` is valid by this function's requirements. References to it are
        // shared: its drop first waits for this function.
        unsafe { &*item }.callback.call();
    }
}

#[pinned_drop]
impl<C: Callback> PinnedDrop for WorkItem<C> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant this is a work item. The drop may sleep, as the module's
        // documentation says.
        unsafe { bindings::cancel_work_sync(self.work.get()) };
    }
}
