// SPDX-License-Identifier: GPL-2.0

//! Callbacks in a kernel thread.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h).

use super::Callback;
use core::marker::PhantomData;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use kernel::task::Task;
use kernel::types::ForeignOwnable;

/// A kernel thread that calls its callback once, and ends.
///
/// # Invariants
///
/// - `task` is a kernel thread that `kthread_create_on_node()` has made for [`Thread::run`], and no other
///   code stops it.
/// - `callback` comes from `Arc::into_foreign()`, and this owns that reference.
pub(crate) struct Thread<C: Callback> {
    task: ARef<Task>,
    callback: *mut c_void,
    _callback: PhantomData<Arc<C>>,
}

impl<C: Callback> Thread<C> {
    /// Starts a thread that calls `callback`, in task context, where it may sleep. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EINTR` if the caller is being killed.
    pub(crate) fn start(callback: Arc<C>, name: &CStr) -> Result<Self> {
        let callback = callback.into_foreign();

        // SAFETY: `%s` prints the name, a NUL-terminated string. `run` is called with `callback`, which is valid
        // until the thread has left `run` or will never call it: the drop waits for that.
        let task = from_err_ptr(unsafe {
            bindings::kthread_create_on_node(
                Some(Self::run),
                callback,
                bindings::NUMA_NO_NODE,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        })
        .inspect_err(|_| {
            // SAFETY: This comes from `into_foreign()` above, and there is no thread that uses it.
            drop(unsafe { Arc::<C>::from_foreign(callback) });
        })?;

        // SAFETY: The thread exists: it has not been woken, so that it cannot have ended. `Task` is a
        // transparent wrapper of `struct task_struct`.
        let task = ARef::from(unsafe { &*task.cast::<Task>() });

        task.wake_up();
        // INVARIANT: The thread has just been made, and the callback has just been given up.
        Ok(Self {
            task,
            callback,
            _callback: PhantomData,
        })
    }

    /// What the thread does.
    ///
    /// # Safety
    ///
    /// `callback` comes from `Arc::<C>::into_foreign()`, and is valid meanwhile.
    unsafe extern "C" fn run(callback: *mut c_void) -> c_int {
        // SAFETY: By this function's requirements.
        unsafe { Arc::<C>::borrow(callback) }.call();
        0
    }
}

impl<C: Callback> Drop for Thread<C> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is a kernel thread. The reference keeps it, whether it has
        // ended or not. When this returns, the thread has left `run` or will never call it.
        unsafe { bindings::kthread_stop(self.task.as_ptr()) };
        // SAFETY: By the type invariant this comes from `into_foreign()`, and this owns it. The thread,
        // which borrowed it, has left `run`.
        drop(unsafe { Arc::<C>::from_foreign(self.callback) });
    }
}
