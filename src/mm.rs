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
//! - [`Locked`] holds the mmap lock for reading. It is never waited for longer than a [`Patience`]
//!   lasts. Mappings borrow from it. Nothing that is done while it is held waits for anybody:
//!   memory that is not there is not faulted in, since a fault may be one that a program has to
//!   serve (userfaultfd, FUSE).
//! - The kernel stack on which the registers are saved belongs to its thread, and is released after
//!   the thread has died. Before it dies it gives up its address space, with its task lock held:
//!   while that lock is held and the address space is there, so is the stack.
//!
//! The locks nest in this order: mmap lock, `arg_lock`; mmap lock, task lock.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h).

use crate::{
    frame_chain::{
        End,
        Memory, //
    },
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
    error::from_err_ptr,
    mm::{
        virt::VmaRef,
        MmWithUser,
        MmWithUserAsync,
        MmapReadGuard, //
    },
    page::{
        PAGE_MASK,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::aref::ARef,
    task::Task,
    time::{
        msecs_to_jiffies,
        Instant,
        Jiffies,
        Monotonic,
        Msecs, //
    },
};

/// How long the mmap lock of one address space is waited for, in milliseconds.
pub(crate) const LOCK_WAIT: Msecs = 100;

/// How long locks are waited for during one open, all together, in milliseconds.
pub(crate) const OPEN_WAIT: Msecs = 1000;

/// The most bytes of a name, with the path of a file in it.
pub(crate) const NAME_MAX: usize = bindings::PATH_MAX as usize;

/// How long a reader is still willing to wait for locks.
pub(crate) struct Patience {
    /// In milliseconds.
    left: i64,
    /// An address space whose lock was not had. That it is kept makes its address its own.
    stuck: Option<AddressSpace>,
    /// How often a lock was not had.
    pub(crate) failures: usize,
}

impl Patience {
    /// The patience for one open.
    pub(crate) fn new() -> Self {
        Self {
            left: i64::from(OPEN_WAIT),
            stuck: None,
            failures: 0,
        }
    }

    /// How long to wait for the lock of `space`, in milliseconds: only once for each, as long as no
    /// other comes between.
    fn for_lock(&self, space: &AddressSpace) -> i64 {
        if self.stuck.as_ref().is_some_and(|stuck| stuck.is(space)) {
            0
        } else {
            self.left.min(i64::from(LOCK_WAIT))
        }
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
    fn as_ptr(&self) -> *mut bindings::mm_struct {
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

    /// Takes the mmap lock for reading; [`None`] if it cannot be had in time.
    ///
    /// Sleeps, for `patience` at most. Fails with `EINTR` if the caller is being killed.
    pub(crate) fn lock(&self, patience: &mut Patience) -> Result<Option<Locked<'_>>> {
        let wait = patience.for_lock(self);
        let began = Instant::<Monotonic>::now();

        loop {
            if sys::fatal_signal_pending() {
                return Err(EINTR);
            }
            if let Some(guard) = self.0.mmap_read_trylock() {
                patience.left -= began.elapsed().as_millis();
                return Ok(Some(Locked {
                    space: self,
                    _guard: guard,
                }));
            }
            if began.elapsed().as_millis() >= wait {
                patience.left -= began.elapsed().as_millis();
                patience.stuck = Some(self.clone());
                patience.failures += 1;
                return Ok(None);
            }
            sleep(msecs_to_jiffies(1));
        }
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
            ($field:ident) => {{
                // SAFETY: The address space exists; no reference is made.
                let field = unsafe { &raw const (*mm).$field };
                // SAFETY: The field is valid as above, aligned, and a word. `brk()` may write it
                // without this lock.
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
        };

        // SAFETY: The lock has been taken above.
        unsafe { bindings::spin_unlock(lock) };
        parts
    }
}

/// Sleeps until the time is over or the caller is killed.
fn sleep(time: Jiffies) {
    // CAST: A millisecond is few jiffies.
    // SAFETY: This is process context, and a caller that sleeps holds no lock.
    unsafe { bindings::schedule_timeout_killable(time as c_long) };
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
}

/// An address space whose mappings cannot change.
pub(crate) struct Locked<'a> {
    space: &'a AddressSpace,
    _guard: MmapReadGuard<'a>,
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

impl<'a> Locked<'a> {
    /// Returns how `task` stands in this address space.
    pub(crate) fn standing(&self, task: &Task) -> Standing {
        let guard = TaskGuard::new(task);

        match self.space.use_by_locked(&guard) {
            Use::Runs => {}
            Use::Executes => return Standing::Executing,
            Use::Gone => return Standing::Gone,
        }
        let task = guard.0.as_ptr();
        let is_current = ptr::eq(task, Task::current_raw());
        let before = moment(guard.0);

        if !is_current && before.is_none() {
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
            // A caller that is preempted here has still not left the kernel.
            _ if is_current => Standing::At(registers, Moment(0)),
            Some(before) if self.is_still(guard.0, before) => Standing::At(registers, before),
            _ => Standing::OnCpu,
        }
    }

    /// Returns whether `task` has not run since `moment`.
    pub(crate) fn is_still(&self, task: &Task, since: Moment) -> bool {
        sys::smp_rmb();
        ptr::eq(task.as_ptr(), Task::current_raw()) || moment(task) == Some(since)
    }

    /// Returns the mapping that `address` lies in.
    pub(crate) fn mapping_at(&self, address: usize) -> Option<Mapping<'_>> {
        self._guard.vma_lookup(address).map(Mapping)
    }

    /// Returns all mappings, in ascending order.
    pub(crate) fn mappings(&self) -> impl Iterator<Item = Mapping<'_>> {
        let mut from = 0;

        core::iter::from_fn(move || {
            // SAFETY: The mmap lock of this address space is held.
            let vma = unsafe { bindings::find_vma(self.space.as_ptr(), from) };

            if vma.is_null() {
                return None;
            }
            // SAFETY: The mapping is valid for as long as the lock is held, which is as long as
            // `self` is borrowed.
            let mapping = Mapping(unsafe { VmaRef::from_raw(vma) });

            from = mapping.range().end;
            Some(mapping)
        })
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

impl Memory for Locked<'_> {
    fn mapping(&self, address: usize) -> Option<Range<usize>> {
        self.mapping_at(address).map(|mapping| mapping.range())
    }

    fn word(&self, address: usize, size: usize) -> Result<usize, End> {
        let offset = address & !PAGE_MASK;

        // Asked for an address beside a stack, `get_user_pages_remote()` complains in the log.
        if self.mapping_at(address).is_none() {
            return Err(End::Unmapped);
        }
        let mut page = ptr::null_mut();
        // SAFETY:
        // - The address space exists and its mmap lock is held, and stays so: no `locked` is given.
        // - `page` has room for one page.
        // - `FOLL_NOFAULT` makes it return what is in memory, and nothing else.
        let count = unsafe {
            bindings::get_user_pages_remote(
                self.space.as_ptr(),
                address & PAGE_MASK,
                1,
                bindings::FOLL_NOFAULT,
                &mut page,
                ptr::null_mut(),
            )
        };
        if count != 1 {
            return Err(End::NotResident);
        }
        // SAFETY: `get_user_pages_remote()` has returned a page, and a reference to it.
        let mapped = unsafe { bindings::kmap_local_page(page) };
        let place = mapped.wrapping_byte_add(offset);
        let word = if size == size_of::<u64>() {
            // SAFETY: The word is aligned, hence within the page, which is mapped. Any value is
            // valid, and the program may be writing it.
            let word = unsafe { sys::read_once(place.cast::<u64>()) };

            // CAST: A word of a program is no larger than the kernel's.
            word as usize
        } else {
            // SAFETY: As above.
            let word = unsafe { sys::read_once(place.cast::<u32>()) };

            // CAST: `usize` has at least 32 bits here.
            word as usize
        };

        // SAFETY: `kmap_local_page()` has returned this, and nothing was mapped after it.
        unsafe { bindings::kunmap_local(mapped) };
        // SAFETY: The reference is from `get_user_pages_remote()`.
        unsafe { sys::put_page(page) };
        Ok(word)
    }

    fn return_address(&self, word: usize) -> usize {
        sys::strip_user_pac(word)
    }
}

/// A mapping of an address space whose mmap lock is held.
pub(crate) struct Mapping<'a>(&'a VmaRef);

impl Mapping<'_> {
    /// Returns the addresses.
    pub(crate) fn range(&self) -> Range<usize> {
        self.0.start()..self.0.end()
    }

    /// Returns the file that is mapped, or null.
    fn file(&self) -> *mut bindings::file {
        // SAFETY: The mapping is valid, and its file cannot change while the mmap lock is held.
        unsafe { (*self.0.as_ptr()).vm_file }
    }

    /// Returns whether a file is mapped.
    pub(crate) fn is_of_file(&self) -> bool {
        !self.file().is_null()
    }

    /// Returns how far `address` is from the start of the mapped file, or else from that of the
    /// mapping.
    pub(crate) fn offset(&self, address: usize) -> usize {
        let offset = address - self.0.start();

        if self.file().is_null() {
            return offset;
        }
        // SAFETY: The mapping is valid, and cannot change while the mmap lock is held.
        let pages = unsafe { (*self.0.as_ptr()).vm_pgoff };

        offset.wrapping_add(pages << PAGE_SHIFT)
    }

    /// Returns the name that a mapping of the kernel's making has, `[vdso]` for one.
    pub(crate) fn special_name(&self) -> Option<&CStr> {
        let vma = self.0.as_ptr();
        // SAFETY: The mapping is valid, and cannot change while the mmap lock is held.
        let ops = unsafe { (*vma).vm_ops };

        if !self.file().is_null() || ops.is_null() {
            return None;
        }
        // SAFETY: The operations are valid for as long as the mapping.
        let name = unsafe { (*ops).name }?;
        // SAFETY: This is how `name()` is called for `/proc/PID/maps`, with the same lock.
        let name = unsafe { name(vma) };

        if name.is_null() {
            return None;
        }
        // SAFETY: It is a string that lasts as long as the mapping.
        Some(unsafe { CStr::from_char_ptr(name) })
    }

    /// Returns the name that `/proc/PID/maps` has for the mapping, and `[anon]` where that has none.
    ///
    /// `buf` is of [`NAME_MAX`] bytes. Does not wait for anybody.
    pub(crate) fn name<'b>(&'b self, buf: &'b mut [u8]) -> &'b [u8] {
        let file = self.file();

        // SAFETY: The mmap lock is held, and the result is used as long as it is.
        let given = unsafe { sys::anon_vma_name(self.0.as_ptr()) };
        if !given.is_null() && (!file.is_null() || self.special_name().is_none()) {
            // SAFETY: The name is a string, and stays for as long as the mmap lock is held.
            let given = unsafe { CStr::from_char_ptr((*given).name.as_ptr()) };
            let before: &[u8] = if file.is_null() {
                b"[anon:"
            } else {
                b"[anon_shmem:"
            };

            if !file.is_null() || self.standing_name().is_none() {
                return join(buf, &[before, given.to_bytes(), b"]"]);
            }
        }
        if !file.is_null() {
            return path(file, buf);
        }
        if let Some(name) = self.special_name() {
            return name.to_bytes();
        }
        self.standing_name().unwrap_or(b"[anon]")
    }

    /// Returns the name of the heap and of the first stack.
    fn standing_name(&self) -> Option<&'static [u8]> {
        let mm = self.0.mm().as_raw();
        // SAFETY: The address space exists as long as its mapping; no reference is made.
        let mm = unsafe { &raw const (*mm).__bindgen_anon_1 };
        // SAFETY: As above.
        let fields = unsafe {
            [
                &raw const (*mm).start_brk,
                &raw const (*mm).brk,
                &raw const (*mm).start_stack,
            ]
        };
        let [start_brk, brk, start_stack] = fields.map(|field| {
            // SAFETY: The field is valid as above, aligned, and a word.
            unsafe { sys::read_once(field) }
        });
        let Range { start, end } = self.range();

        if start < brk && end > start_brk {
            Some(b"[heap]")
        } else if start <= start_stack && end >= start_stack {
            Some(b"[stack]")
        } else {
            None
        }
    }
}

/// Puts `pieces` one after the other into `buf`, as far as it goes.
fn join<'b>(buf: &'b mut [u8], pieces: &[&[u8]]) -> &'b [u8] {
    let mut len = 0;

    for piece in pieces {
        let count = piece.len().min(buf.len() - len);

        buf[len..len + count].copy_from_slice(&piece[..count]);
        len += count;
    }
    &buf[..len]
}

/// Returns the path of an open file.
fn path(file: *mut bindings::file, buf: &mut [u8]) -> &[u8] {
    // SAFETY: The file of a mapping is open for as long as the mapping is valid.
    let path = unsafe { sys::file_user_path(file) };
    // CAST: The buffer is of `NAME_MAX` bytes.
    // SAFETY: The path is that of an open file; `buf` is valid for writes of its length.
    let name = from_err_ptr(unsafe {
        bindings::d_path(path, buf.as_mut_ptr().cast(), buf.len() as c_int)
    });

    match name {
        // SAFETY: `d_path()` returns a string that lies in `buf`.
        Ok(name) => unsafe { CStr::from_char_ptr(name) }.to_bytes(),
        Err(_) => b"[path-too-long]",
    }
}

/// Rounds an address up to the start of a page.
pub(crate) fn page_up(address: usize) -> usize {
    address.saturating_add(PAGE_SIZE - 1) & PAGE_MASK
}
