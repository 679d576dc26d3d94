// SPDX-License-Identifier: GPL-2.0

//! Callbacks in a kernel thread.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h).

use super::Callback;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use kernel::task::Task;

/// A kernel thread that calls its callback once, and ends.
///
/// # Invariants
///
/// `task` is a kernel thread that `kthread_create_on_node()` has made for [`Thread::run`], with the
/// address of the callback, and no other code stops it.
pub(crate) struct Thread<C: Callback> {
    task: ARef<Task>,
    /// Dropped after `drop()` has stopped the thread.
    _callback: Arc<C>,
}

impl<C: Callback> Thread<C> {
    /// Starts a thread that calls `callback`, in task context, where it may sleep. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `EAGAIN` if there can be no more threads, or `EINTR` if the caller is being
    /// killed.
    pub(crate) fn start(callback: Arc<C>, name: &CStr) -> Result<Self> {
        // SAFETY: `%s` prints the name, a NUL-terminated string. `run` is called with the callback,
        // which is valid until the thread has left `run` or will never call it: the drop of the
        // value below waits for that.
        let task = from_err_ptr(unsafe {
            bindings::kthread_create_on_node(
                Some(Self::run),
                Arc::as_ptr(&callback).cast_mut().cast(),
                bindings::NUMA_NO_NODE,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        })?;

        // SAFETY: The thread exists: it has not been woken, so that it cannot have ended. `Task` is
        // a transparent wrapper of `struct task_struct`.
        let task = ARef::from(unsafe { &*task.cast::<Task>() });

        task.wake_up();
        // INVARIANT: The thread has just been made.
        Ok(Self {
            task,
            _callback: callback,
        })
    }

    /// What the thread does.
    ///
    /// # Safety
    ///
    /// `callback` points to a `C`, which stays valid meanwhile.
    unsafe extern "C" fn run(callback: *mut c_void) -> c_int {
        // SAFETY: By this function's requirements. References to the callback are shared.
        unsafe { &*callback.cast::<C>() }.call();
        0
    }
}

impl<C: Callback> Drop for Thread<C> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is a kernel thread. The reference keeps it, whether it
        // has ended or not. When this returns, the thread has left `run` or will never call it.
        unsafe { bindings::kthread_stop(self.task.as_ptr()) };
    }
}
