// SPDX-License-Identifier: GPL-2.0

//! Address spaces of other processes, and the registers of their threads in user space.
//!
//! # Who owns what, and who may sleep
//!
//! The pass over the task list takes references to tasks, under RCU. Everything here happens
//! afterwards, in process context, and may sleep where it says so:
//!
//! - An [`AddressSpace`] is a reference to the *users* of an address space: the mappings stay until
//!   it is dropped, even when all threads die meanwhile. If it turns out to be the last one, it
//!   is a worker of the kernel that tears the address space down (`mmput_async()`), never the
//!   reader.
//! - The mmap lock is not taken. The tree of mappings is read under RCU, and a single mapping is
//!   locked by its own lock, as `/proc/PID/maps` does: see [`AddressSpace::lock_mapping`]. A writer
//!   holds that lock only while it changes this very mapping. A [`LockBudget`] limits how long one
//!   open waits for such writers.
//! - The kernel stack on which the registers are saved belongs to its thread, and is released after
//!   the thread has died. Before it dies it gives up its address space, with its task lock held:
//!   while that lock is held and the address space is there, so is the stack.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/mmap_lock.h`](srctree/include/linux/mmap_lock.h),
//! [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h).

#[cfg(not(CONFIG_PER_VMA_LOCK))]
compile_error!("taskscope locks single mappings: it needs CONFIG_PER_VMA_LOCK (SMP)");

use crate::{
    mapping::Mapping,
    sys::{
        self,
        UserRegisters, //
    }, //
};
use core::{
    ops::Range,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    bindings,
    mm::{
        Mm,
        MmWithUser,
        MmWithUserAsync, //
    },
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        rcu, //
    },
    task::Task,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    },
};

/// How long a mapping of one address space is waited for, in milliseconds.
pub(crate) const SPACE_WAIT_MS: u32 = 100;

/// How long mappings are waited for during one open, all together, in milliseconds.
const OPEN_WAIT_MS: u32 = 1000;

/// How long to sleep before a mapping is tried again, in microseconds: about as long as `mmap()`
/// takes.
const RETRY_US: i64 = 100;

/// How long an open still waits for mappings that others are changing, and on whose behalf.
pub(crate) struct LockBudget {
    /// The thread that has called `open()`.
    reader: ARef<Task>,
    /// What is left for the open.
    left: Delta,
    /// The address space that was waited for last, and what is left for it. The reference keeps its
    /// address from being given to another.
    waited: Option<(AddressSpace, Delta)>,
}

impl LockBudget {
    /// Returns the budget of one open by the calling thread.
    pub(crate) fn new() -> Self {
        Self {
            reader: ARef::from(&**kernel::current!()),
            left: Delta::from_millis(i64::from(OPEN_WAIT_MS)),
            waited: None,
        }
    }

    /// Returns whether `task` is the thread that has called `open()`.
    ///
    /// It stays in that system call for as long as the budget is used.
    fn is_reader(&self, task: &Task) -> bool {
        ptr::eq(task.as_ptr(), self.reader.as_ptr())
    }

    /// Returns an error if the reader has been killed, or is gone since.
    ///
    /// # Errors
    ///
    /// `EINTR`.
    pub(crate) fn check(&self) -> Result {
        // SAFETY: The reader exists, by the reference to it; no reference is made to the field.
        let flags = unsafe { &raw const (*self.reader.as_ptr()).flags };
        // SAFETY: The field is valid as above, aligned, and an integer.
        let is_exiting = unsafe { sys::read_once(flags) } & bindings::PF_EXITING != 0;

        if is_exiting || sys::fatal_signal_pending(&self.reader) {
            return Err(EINTR);
        }
        Ok(())
    }

    /// Returns how long a mapping of `space` may still be waited for.
    fn share_of(&self, space: &AddressSpace) -> Delta {
        let share = match &self.waited {
            Some((waited, left)) if waited.is(space) => *left,
            _ => Delta::from_millis(i64::from(SPACE_WAIT_MS)),
        };

        share.min(self.left)
    }

    /// Takes away what a mapping of `space` was waited for.
    fn spend(&mut self, space: &AddressSpace, spent: Delta) {
        let left = self.share_of(space) - spent;

        self.left -= spent;
        self.waited = Some((space.clone(), left));
    }
}

/// What a task does with an address space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It runs a program in it, which has been loaded.
    Runs,
    /// It executes a program, which is being loaded into this address space or into the next, or it
    /// has been loaded into another meanwhile.
    Executes,
    /// It has given up whichever it had.
    Gone,
}

/// An address space of a user program, kept in being.
#[derive(Clone)]
pub(crate) struct AddressSpace(ARef<MmWithUserAsync>);

impl AddressSpace {
    /// Returns the address space of `task`; [`None`] if it is a kernel thread or has given up its
    /// address space.
    pub(crate) fn of(task: &Task) -> Option<Self> {
        // SAFETY: `task` exists for as long as it is borrowed. A kernel thread is refused, even
        // when it has borrowed an address space.
        let mm = NonNull::new(unsafe { bindings::get_task_mm(task.as_ptr()) })?;
        // SAFETY: `get_task_mm()` has taken a reference to the users of `mm`, which is handed on.
        // `MmWithUser` is a transparent wrapper of `struct mm_struct`.
        let mm = unsafe { ARef::<MmWithUser>::from_raw(mm.cast()) };

        Some(Self(MmWithUser::into_mmput_async(mm)))
    }

    /// Returns whether both are the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.as_ptr() == other.as_ptr()
    }

    /// Returns the address of the `struct mm_struct`.
    pub(crate) fn as_ptr(&self) -> *mut bindings::mm_struct {
        self.0.as_raw()
    }

    /// Returns what `task` does with this address space at this moment.
    ///
    /// If it runs a program, then what is read of that program after this is complete, whatever
    /// `task` does next: another program is loaded into another address space. May sleep on
    /// `PREEMPT_RT`.
    pub(crate) fn use_by(&self, task: &Task) -> Use {
        self.use_by_locked(&TaskGuard::new(task))
    }

    /// As [`AddressSpace::use_by`], and the task gives up no address space while `guard` lasts.
    fn use_by_locked(&self, guard: &TaskGuard<'_>) -> Use {
        let task = guard.0.as_ptr();
        // SAFETY: The task exists; no reference is made.
        let mm = unsafe { &raw const (*task).mm };
        // SAFETY: The field is valid as above, aligned and a pointer.
        let mm = unsafe { sys::read_once(mm) };

        if mm.is_null() {
            return Use::Gone;
        }
        // The bit is set throughout: from before a task gets its new address space, in
        // `begin_new_exec()`, until after the loader has filled it and has called `finalize_exec()`
        // (`bprm_execve()`).
        //
        // SAFETY: The task exists.
        if mm != self.as_ptr() || unsafe { sys::in_execve(task) } {
            return Use::Executes;
        }
        sys::smp_rmb();
        Use::Runs
    }

    /// Returns an identity that no other address space has for as long as it is kept.
    pub(crate) fn identity(&self) -> ARef<Mm> {
        let mm: &Mm = &self.0;

        ARef::from(mm)
    }

    /// Locks the mapping that contains `address`; [`None`] if nothing is mapped there.
    ///
    /// May sleep, for as long as `budget` lasts.
    ///
    /// # Errors
    ///
    /// - `EAGAIN`: writers have changed the mapping for as long as `budget` lasts.
    /// - `EINTR`: the reader has been killed.
    pub(crate) fn lock_mapping(
        &self,
        address: usize,
        budget: &mut LockBudget,
    ) -> Result<Option<Mapping<'_>>> {
        if let Some(found) = self.try_lock_mapping(address) {
            return Ok(found);
        }
        let began = Instant::<Monotonic>::now();
        let share = budget.share_of(self);

        loop {
            budget.check()?;
            let found = self.try_lock_mapping(address);
            let spent = began.elapsed();

            if found.is_some() || spent >= share {
                budget.spend(self, spent);
                return found.ok_or(EAGAIN);
            }
            fsleep(Delta::from_micros(RETRY_US));
        }
    }

    /// As [`AddressSpace::lock_mapping`], without waiting; [`None`] while a writer changes the
    /// mapping.
    fn try_lock_mapping(&self, address: usize) -> Option<Option<Mapping<'_>>> {
        match self.0.lock_vma_under_rcu(address) {
            Some(guard) => Some(Some(Mapping::new(guard))),
            None if self.mapped_at(address).is_none() => Some(None),
            None => None,
        }
    }

    /// Returns the addresses of the mapping that contains `address`.
    pub(crate) fn mapped_at(&self, address: usize) -> Option<Range<usize>> {
        // SAFETY: `mas_walk()` looks for the entry at the index of the state, in the RCU read-side
        // critical section that `find` has begun.
        self.find(address, |state| unsafe { bindings::mas_walk(state) })
    }

    /// Returns the addresses of the first mapping that ends above `address`.
    pub(crate) fn mapped_from(&self, address: usize) -> Option<Range<usize>> {
        // SAFETY: `mas_find()` looks for an entry at or above the index of the state, in the RCU
        // read-side critical section that `find` has begun.
        self.find(address, |state| unsafe {
            bindings::mas_find(state, usize::MAX)
        })
    }

    /// Returns the addresses of the last mapping that starts below `address`.
    pub(crate) fn mapped_below(&self, address: usize) -> Option<Range<usize>> {
        // SAFETY: `mas_find_rev()` looks for an entry at or below the index of the state, in the RCU
        // read-side critical section that `find` has begun.
        self.find(address.checked_sub(1)?, |state| unsafe {
            bindings::mas_find_rev(state, 0)
        })
    }

    /// Looks for a mapping in the tree, beginning at `address`, and returns its addresses.
    fn find(
        &self,
        address: usize,
        look: impl FnOnce(*mut bindings::ma_state) -> *mut c_void,
    ) -> Option<Range<usize>> {
        let mut state = self.tree_state(address);
        // The tree of an address space with users may be read under RCU (`MM_MT_FLAGS`).
        let _guard = rcu::read_lock();
        let vma = look(&mut state);

        // The entry is not followed. The tree itself has its addresses.
        (!vma.is_null()).then(|| state.index..state.last + 1)
    }

    /// Returns the state of a search in the tree of mappings that begins at `address`, as
    /// `MA_STATE()` initialises it.
    pub(crate) fn tree_state(&self, address: usize) -> bindings::ma_state {
        bindings::ma_state {
            // SAFETY: The address space exists; no reference is made.
            tree: unsafe { &raw mut (*self.as_ptr()).__bindgen_anon_1.mm_mt },
            index: address,
            last: address,
            status: bindings::maple_status_ma_start,
            max: usize::MAX,
            ..pin_init::zeroed()
        }
    }

    /// Returns where the code of the program is. The two ends are read one after the other.
    pub(crate) fn text(&self) -> Range<usize> {
        // SAFETY: The address space exists; no reference is made.
        let mm = unsafe { &raw const (*self.as_ptr()).__bindgen_anon_1 };
        // SAFETY: As above.
        let ends = unsafe { [&raw const (*mm).start_code, &raw const (*mm).end_code] };
        let [start, end] = ends.map(|end| {
            // SAFETY: The field is valid as above, aligned, and a word.
            unsafe { sys::read_once(end) }
        });

        start..end
    }

    /// Returns where the parts of the program are.
    pub(crate) fn parts(&self) -> Parts {
        // SAFETY: The address space exists; no reference is made.
        let mm = unsafe { &raw mut (*self.as_ptr()).__bindgen_anon_1 };
        // SAFETY: As above.
        let lock = unsafe { &raw mut (*mm).arg_lock };

        // SAFETY: The lock belongs to the address space, which exists.
        unsafe { bindings::spin_lock(lock) };

        /// Reads one field, once.
        macro_rules! part {
            ($($field:ident).+) => {{
                // SAFETY: The address space exists; no reference is made.
                let field = unsafe { &raw const (*mm).$($field).+ };
                // SAFETY: The field is valid as above, aligned, and a word. Some are written
                // without this lock, by `brk()` and by `mremap()` of the vdso.
                unsafe { sys::read_once(field) }
            }};
        }
        let parts = Parts {
            text: part!(start_code)..part!(end_code),
            data: part!(start_data)..part!(end_data),
            heap: part!(start_brk)..part!(brk),
            args: part!(arg_start)..part!(arg_end),
            env: part!(env_start)..part!(env_end),
            stack: part!(start_stack),
            vdso: part!(context.vdso).addr(),
            mmap: MmapArea {
                base: self.mmap_base(),
                // SAFETY: The address space exists.
                is_top_down: unsafe { sys::mm_is_top_down(self.as_ptr()) },
                end: part!(task_size),
            },
        };

        // SAFETY: The lock has been taken above.
        unsafe { bindings::spin_unlock(lock) };
        parts
    }

    /// Returns where the first mapping goes for which the program names no address.
    ///
    /// On x86 the kernel has a base of its own for 32-bit system calls (`get_mmap_base()`), which
    /// are those of a program whose addresses have 32 bits.
    fn mmap_base(&self) -> usize {
        // SAFETY: The address space exists; no reference is made.
        let mm = unsafe { &raw const (*self.as_ptr()).__bindgen_anon_1 };
        // SAFETY: As above.
        let base = unsafe { &raw const (*mm).mmap_base };

        #[cfg(CONFIG_HAVE_ARCH_COMPAT_MMAP_BASES)]
        let base = {
            // SAFETY: As above.
            let task_size = unsafe { &raw const (*mm).task_size };
            // SAFETY: The field is valid as above, aligned, and a word.
            let is_32_bit = u32::try_from(unsafe { sys::read_once(task_size) }).is_ok();

            if is_32_bit {
                // SAFETY: As above.
                unsafe { &raw const (*mm).mmap_compat_base }
            } else {
                base
            }
        };
        // SAFETY: The field is valid as above, aligned, and a word.
        unsafe { sys::read_once(base) }
    }
}

/// Where the parts of a program are, as the kernel has noted it when it was loaded.
#[derive(Clone)]
pub(crate) struct Parts {
    /// The code.
    pub(crate) text: Range<usize>,
    /// The initialised data.
    pub(crate) data: Range<usize>,
    /// The heap, as `brk()` has grown it.
    pub(crate) heap: Range<usize>,
    /// The arguments.
    pub(crate) args: Range<usize>,
    /// The environment.
    pub(crate) env: Range<usize>,
    /// The stack pointer with which the program was started.
    pub(crate) stack: usize,
    /// The start of `[vdso]`, or 0.
    pub(crate) vdso: usize,
    /// Where the kernel places new mappings.
    pub(crate) mmap: MmapArea,
}

/// Where the kernel places mappings for which the program names no address.
#[derive(Clone)]
pub(crate) struct MmapArea {
    /// Where the first one goes: `mmap_base`.
    pub(crate) base: usize,
    /// Whether the next ones go below it, and not above.
    pub(crate) is_top_down: bool,
    /// The first address that the program cannot have: `task_size`.
    pub(crate) end: usize,
}

/// A thread in its address space.
#[derive(Clone, Copy)]
pub(crate) enum Standing {
    /// It does not run, and these are its registers.
    At(UserRegisters, Moment),
    /// It runs, and its registers are in the processor.
    OnCpu,
    /// It executes a program: its registers are still those of the one before, or of none, or it has
    /// another address space.
    Executing,
    /// It has given up its address space.
    Gone,
}

/// How often a thread had been taken off a processor at some time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(usize);

/// A task whose task lock is held.
struct TaskGuard<'a>(&'a Task);

impl<'a> TaskGuard<'a> {
    /// Takes the lock. May sleep on `PREEMPT_RT`.
    fn new(task: &'a Task) -> Self {
        // SAFETY: `task` exists for as long as it is borrowed.
        unsafe { sys::task_lock(task.as_ptr()) };
        Self(task)
    }
}

impl Drop for TaskGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: `new` has taken the lock.
        unsafe { sys::task_unlock(self.0.as_ptr()) };
    }
}

impl AddressSpace {
    /// Returns how `task` stands in this address space. May sleep on `PREEMPT_RT`.
    pub(crate) fn standing(&self, task: &Task, budget: &LockBudget) -> Standing {
        let guard = TaskGuard::new(task);

        match self.use_by_locked(&guard) {
            Use::Runs => {}
            Use::Executes => return Standing::Executing,
            Use::Gone => return Standing::Gone,
        }
        let task = guard.0.as_ptr();
        let is_reader = budget.is_reader(guard.0);
        let before = moment(guard.0);

        if !is_reader && before.is_none() {
            return Standing::OnCpu;
        }
        sys::smp_rmb();
        // SAFETY: The task has its address space, and cannot give it up while its lock is held. It
        // does so before it dies, and its stack is released after that.
        let Some(registers) = (unsafe { sys::user_registers(task) }) else {
            // The first program of a usermode helper could not be executed to the end.
            return Standing::Executing;
        };

        match before {
            // The reader does not leave its system call meanwhile.
            _ if is_reader => Standing::At(registers, Moment(0)),
            Some(before) if self.is_still(guard.0, before, budget) => {
                Standing::At(registers, before)
            }
            _ => Standing::OnCpu,
        }
    }

    /// Returns whether `task` has not run since `since`.
    pub(crate) fn is_still(&self, task: &Task, since: Moment, budget: &LockBudget) -> bool {
        sys::smp_rmb();
        budget.is_reader(task) || moment(task) == Some(since)
    }
}

/// Returns how often `task` has been taken off a processor, or [`None`] if it is on one.
///
/// A thread that is seen not to run twice, with the same count, has not run between: `__schedule()`
/// counts a thread before it takes it off, and clears `on_cpu` with a release after that.
fn moment(task: &Task) -> Option<Moment> {
    let task = task.as_ptr();
    // SAFETY: The task exists; no reference is made.
    let on_cpu = unsafe { &raw const (*task).on_cpu };
    // SAFETY: The field is valid as above, and a byte.
    let on_cpu = unsafe { sys::read_once(on_cpu) };

    sys::smp_rmb();
    // SAFETY: The task exists; no reference is made.
    let counts = unsafe { [&raw const (*task).nvcsw, &raw const (*task).nivcsw] };
    let [voluntary, involuntary] = counts.map(|count| {
        // SAFETY: The field is valid as above, aligned, and a word.
        unsafe { sys::read_once(count) }
    });

    (on_cpu == 0).then_some(Moment(voluntary.wrapping_add(involuntary)))
}

/// Rounds an address up to the start of a page.
pub(crate) fn page_up(address: usize) -> usize {
    address.saturating_add(PAGE_SIZE - 1) & PAGE_MASK
}
