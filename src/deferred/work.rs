// SPDX-License-Identifier: GPL-2.0

//! Work items, and the queues on which a processor works them off.
//!
//! The `kernel` crate's work items belong to the queue until they have run; these can be taken
//! back, and put on the queue of a processor of one's choice.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h).

use super::Callback;
use core::ptr::NonNull;
use kernel::{
    bindings,
    container_of,
    cpu::CpuId,
    prelude::*,
    sync::LockClassKey,
    types::Opaque,
    workqueue, //
};

/// A workqueue of one's own, whose items run in task context; they may sleep, and do not hold up each
/// other.
///
/// # Invariants
///
/// `queue` is a workqueue that this owns.
pub(crate) struct Queue {
    queue: NonNull<bindings::workqueue_struct>,
}

// SAFETY: A workqueue may be used from any thread.
unsafe impl Send for Queue {}

// SAFETY: All operations on a workqueue take its locks.
unsafe impl Sync for Queue {}

impl Queue {
    /// Makes a queue whose items run on the processor that they were queued on. May sleep; fails
    /// with `ENOMEM`.
    pub(crate) fn per_cpu(name: &'static CStr) -> Result<Self> {
        // Whatever an item of such a queue does, the processor's other items go on meanwhile.
        Self::new(
            name,
            bindings::wq_flags_WQ_PERCPU | bindings::wq_flags_WQ_CPU_INTENSIVE,
        )
    }

    /// Makes a queue whose items run on whichever processor has time. May sleep; fails with
    /// `ENOMEM`.
    pub(crate) fn unbound(name: &'static CStr) -> Result<Self> {
        Self::new(name, bindings::wq_flags_WQ_UNBOUND)
    }

    /// Makes a queue.
    fn new(name: &'static CStr, flags: bindings::wq_flags) -> Result<Self> {
        // SAFETY: The name is a NUL-terminated string without conversions; 0 is the default of how
        // many items run at a time.
        let queue = unsafe { bindings::alloc_workqueue_noprof(name.as_char_ptr(), flags, 0) };

        // INVARIANT: The queue has just been made.
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
        // SAFETY: By the type invariant the queue is ours. What is queued on it is worked off first.
        unsafe { bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}

/// Returns the queue whose items run in softirq context.
pub(crate) fn bh_queue() -> &'static workqueue::Queue {
    workqueue::system_bh()
}

/// A work item with its callback, which runs in the context that the queue says.
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
    /// A work item that is on no queue.
    ///
    /// To lockdep, running an item is like holding a lock of class `key`: items that run in
    /// different contexts need different ones.
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

    /// Puts the item on a queue of processor `cpu`, unless it is on one.
    ///
    /// May be called in any context but NMI. The processor has to stay online until the item has
    /// run or is dropped, or another one may run it.
    pub(crate) fn queue_on(&self, cpu: CpuId, queue: &workqueue::Queue) {
        // CAST: `Queue` is a transparent wrapper.
        let queue = core::ptr::from_ref(queue).cast_mut().cast();

        // SAFETY:
        // - The queue is valid by its type. It outlives the item's being on it: it is one that is
        //   never destroyed, or its destruction works the item off.
        // - By the type invariant this is a work item. It stays valid, and in place, until it has
        //   run: it is pinned, since it is made by a `PinInit` only, and its drop takes it off the
        //   queue or waits for it.
        unsafe { bindings::queue_work_on(cpu.into(), queue, self.work.get()) };
    }

    /// What the queue calls.
    ///
    /// # Safety
    ///
    /// `work` is that of a `WorkItem<C>`, which stays valid meanwhile.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: By this function's requirements `work` is the field of a `WorkItem<C>`.
        let item = unsafe { container_of!(Opaque::cast_from(work), Self, work) };
        // SAFETY: That is valid by this function's requirements, and nobody has it exclusively:
        // its drop waits for this function before anything else.
        unsafe { &*item }.callback.call();
    }
}

#[pinned_drop]
impl<C: Callback> PinnedDrop for WorkItem<C> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant this is a work item. We may sleep, see the module.
        unsafe { bindings::cancel_work_sync(self.work.get()) };
    }
}
