// SPDX-License-Identifier: GPL-2.0

//! Kernel threads.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h).

use super::Callback;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    sync::Arc,
    types::ForeignOwnable, //
};

/// A kernel thread that makes one call and ends.
///
/// # Invariants
///
/// - `task` is a kernel thread that `kthread_create_on_node()` has made for [`Thread::run`], and
///   this owns a reference to it.
/// - `callback` comes from `Arc::into_foreign()` and stands for a reference that this owns.
pub(crate) struct Thread<C: Callback> {
    task: NonNull<bindings::task_struct>,
    callback: NonNull<c_void>,
    _callback: PhantomData<Arc<C>>,
}

impl<C: Callback> Thread<C> {
    /// Makes a thread and lets it call `callback`, in task context, where it may sleep.
    ///
    /// May sleep. Fails with `ENOMEM`, or with `EINTR` if the caller is being killed.
    pub(crate) fn start(callback: Arc<C>, name: &'static CStr) -> Result<Self> {
        let callback = callback.into_foreign();

        // SAFETY: The name is a NUL-terminated string without conversions. `run` is called with
        // `callback`, which is valid until this thread has ended or is known never to run.
        let task = from_err_ptr(unsafe {
            bindings::kthread_create_on_node(
                Some(Self::run),
                callback,
                bindings::NUMA_NO_NODE,
                name.as_char_ptr(),
            )
        })
        .inspect_err(|_| {
            // SAFETY: This comes from `into_foreign()` above, and no thread has it.
            drop(unsafe { Arc::<C>::from_foreign(callback) });
        })?;

        // SAFETY: The thread exists: it has not been woken, and so cannot have ended.
        unsafe { bindings::get_task_struct(task) };
        // SAFETY: As above.
        unsafe { bindings::wake_up_process(task) };

        // INVARIANT: The thread has just been made and a reference been taken; the callback has
        // just been given up, by `Arc`, whose pointers are not null.
        Ok(Self {
            // SAFETY: What `kthread_create_on_node()` returns is no error and not null.
            task: unsafe { NonNull::new_unchecked(task) },
            // SAFETY: `Arc::into_foreign()` returns no null pointer.
            callback: unsafe { NonNull::new_unchecked(callback) },
            _callback: PhantomData,
        })
    }

    /// What the thread does.
    ///
    /// # Safety
    ///
    /// `callback` comes from `Arc::<C>::into_foreign()`, and is valid meanwhile.
    unsafe extern "C" fn run(callback: *mut c_void) -> c_int {
        // SAFETY: By this function's requirements; nobody borrows it mutably.
        unsafe { Arc::<C>::borrow(callback) }.call();
        0
    }
}

impl<C: Callback> Drop for Thread<C> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is a kernel thread and the reference ours, so that it
        // does not matter whether it has ended. When this returns it has left `run`, or will never
        // come there; it may be on its way out still.
        unsafe { bindings::kthread_stop_put(self.task.as_ptr()) };
        // SAFETY: By the type invariant this comes from `into_foreign()` and is ours. The thread,
        // which borrowed it, has left `run`.
        drop(unsafe { Arc::<C>::from_foreign(self.callback.as_ptr()) });
    }
}
