// SPDX-License-Identifier: GPL-2.0

//! The C that this module needs and the `kernel` crate does not wrap.
//!
//! Each function of `src/helpers.c` is declared here, and nowhere else. What can be called at any
//! time is a safe function; what needs a promise from its caller is `unsafe` and says which.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/preempt.h`](srctree/include/linux/preempt.h),
//! [`include/linux/cred.h`](srctree/include/linux/cred.h),
//! [`include/linux/sched/isolation.h`](srctree/include/linux/sched/isolation.h).

use core::{
    mem::MaybeUninit,
    ptr::{
        self,
        NonNull, //
    }, //
};
#[cfg(CONFIG_X86)]
use kernel::error::to_result;
use kernel::{
    bindings,
    cpu::CpuId,
    error::from_err_ptr,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        barrier,
        rcu, //
    },
    task::Task,
    time::Jiffies, //
};

#[allow(
    improper_ctypes,
    reason = "some of the types inside are empty in some configurations"
)]
extern "C" {
    fn taskscope_task_cred(task: *mut bindings::task_struct) -> *const bindings::cred;
    fn taskscope_task_state(task: *mut bindings::task_struct) -> c_char;
    fn taskscope_assert_rcu();
    fn taskscope_smp_rmb();
    fn taskscope_cond_resched();
    fn taskscope_in_task() -> bool;
    fn taskscope_preempt_count() -> c_ulong;
    fn taskscope_cpu() -> c_uint;
    fn taskscope_stack_pointer() -> c_ulong;
    fn taskscope_thread_size() -> c_ulong;
    fn taskscope_saved_stack_pointer(task: *mut bindings::task_struct) -> c_ulong;
    fn taskscope_task_pt_regs(task: *mut bindings::task_struct) -> *const bindings::pt_regs;
    fn taskscope_user_mode(regs: *mut bindings::pt_regs) -> bool;
    fn taskscope_syscall_arch(task: *mut bindings::task_struct) -> c_int;
    fn taskscope_syscall_nr(
        task: *mut bindings::task_struct,
        regs: *mut bindings::pt_regs,
    ) -> c_int;
    fn taskscope_syscall_args(
        task: *mut bindings::task_struct,
        regs: *mut bindings::pt_regs,
        arguments: *mut c_ulong,
    );
    fn taskscope_user_stack_pointer(regs: *mut bindings::pt_regs) -> c_ulong;
    fn taskscope_instruction_pointer(regs: *mut bindings::pt_regs) -> c_ulong;
    fn taskscope_file_writable(file: *const bindings::file) -> bool;
    fn taskscope_task_lock(task: *mut bindings::task_struct);
    fn taskscope_task_unlock(task: *mut bindings::task_struct);
    fn taskscope_in_execve(task: *mut bindings::task_struct) -> bool;
    fn taskscope_frame_pointer(regs: *mut bindings::pt_regs) -> c_ulong;
    fn taskscope_user_machine(task: *mut bindings::task_struct) -> u16;
    fn taskscope_strip_user_pac(address: c_ulong) -> c_ulong;
    fn taskscope_user_end() -> c_ulong;
    fn taskscope_fatal_signal_pending(task: *mut bindings::task_struct) -> bool;
    fn taskscope_mmap_speculate_begin(mm: *mut bindings::mm_struct, seq: *mut c_uint) -> bool;
    fn taskscope_mmap_speculate_retry(mm: *mut bindings::mm_struct, seq: c_uint) -> bool;
    fn taskscope_is_topdown(mm: *mut bindings::mm_struct) -> bool;
    fn taskscope_file_user_path(file: *const bindings::file) -> *const bindings::path;
    fn taskscope_anon_vma_name(
        vma: *mut bindings::vm_area_struct,
    ) -> *const bindings::anon_vma_name;
    fn taskscope_in_serving_softirq() -> bool;
    fn taskscope_in_hardirq() -> bool;
    fn taskscope_in_nmi() -> bool;
    fn taskscope_irqs_disabled() -> bool;
    fn taskscope_init_irq_work(
        work: *mut bindings::irq_work,
        func: unsafe extern "C" fn(*mut bindings::irq_work),
    );
    fn taskscope_kvfree_rcu_mightsleep(memory: *mut c_void);
    fn taskscope_irq_work_is_busy(work: *mut bindings::irq_work) -> bool;
    fn taskscope_in_boot_domain(cpu: c_int) -> bool;
    fn taskscope_in_domain(cpu: c_int) -> bool;
    fn taskscope_has_kernel_noise(cpu: c_int) -> bool;
    #[cfg(CONFIG_X86)]
    fn taskscope_register_nmi_handler() -> c_int;
    #[cfg(CONFIG_X86)]
    fn taskscope_unregister_nmi_handler();
    #[cfg(CONFIG_KUNIT = "y")]
    fn taskscope_preempt_count_set(count: c_ulong);
    #[cfg(CONFIG_KUNIT = "y")]
    fn taskscope_preempt_offset() -> c_ulong;
    #[cfg(CONFIG_KUNIT = "y")]
    fn taskscope_softirq_offset() -> c_ulong;
    #[cfg(CONFIG_KUNIT = "y")]
    fn taskscope_hardirq_offset() -> c_ulong;
    #[cfg(CONFIG_KUNIT = "y")]
    fn taskscope_nmi_offset() -> c_ulong;
    #[cfg(CONFIG_KUNIT = "y")]
    fn taskscope_hardirq_disable_offset() -> c_ulong;

    // Declared in include/linux/anon_inodes.h, which the kernel's bindings leave out.
    fn anon_inode_getfile(
        name: *const c_char,
        operations: *const bindings::file_operations,
        private: *mut c_void,
        flags: c_int,
    ) -> *mut bindings::file;
}

/// This module, as the owner of what it registers: `THIS_MODULE`.
pub(crate) const THIS_MODULE: *mut bindings::module = &raw mut bindings::__this_module;

/// Number of characters that `%p` prints for any pointer: two hexadecimal digits a byte.
///
/// What it prints in place of a hash as long as the kernel has no random numbers,
/// `(____ptrval____)`, is made to be just as long.
pub(crate) const POINTER_WIDTH: usize = 2 * size_of::<usize>();

/// Reads a field that others may be writing, once, as C's `READ_ONCE()` does.
///
/// The compiler neither tears nor repeats nor invents the load. A pointer read this way may be
/// followed without a barrier (an address dependency orders the two loads), which makes it the
/// equivalent of `rcu_dereference()` for a reader that holds the RCU read lock.
///
/// # Safety
///
/// - `field` is valid for reads and properly aligned.
/// - `T` is at most as large as a machine word, so that one load reads it whole.
/// - Whatever is stored there concurrently is a valid `T`.
#[inline(always)]
pub(crate) unsafe fn read_once<T: Copy>(field: *const T) -> T {
    // SAFETY: `field` is valid and aligned, and all that is written there is a valid `T`, by this
    // function's requirements. A volatile load is what `READ_ONCE()` is made of.
    unsafe { field.read_volatile() }
}

/// Returns the objective credentials of `task`, as `__task_cred()` does.
///
/// # Safety
///
/// - `task` points at a task that exists.
/// - The caller holds the RCU read lock, and uses the result only while it does.
#[inline]
pub(crate) unsafe fn task_cred(task: *mut bindings::task_struct) -> *const bindings::cred {
    // SAFETY: This function's requirements are those of `__task_cred()`.
    unsafe { taskscope_task_cred(task) }
}

/// Returns the state letter of `task`, as `/proc/PID/stat` prints it.
///
/// # Safety
///
/// `task` points at a task that exists.
#[inline]
pub(crate) unsafe fn task_state(task: *mut bindings::task_struct) -> u8 {
    // SAFETY: `task_state_to_char()` reads two fields of the task, which exists by this function's
    // requirements.
    unsafe { taskscope_task_state(task) }
}

/// Lets lockdep complain when the caller does not hold the RCU read lock.
///
/// Nothing is compiled in where `CONFIG_PROVE_RCU` is off.
#[inline(always)]
pub(crate) fn assert_rcu() {
    if cfg!(CONFIG_PROVE_RCU) {
        // SAFETY: `RCU_LOCKDEP_WARN()` may be used in any context.
        unsafe { taskscope_assert_rcu() };
    }
}

/// Orders the loads before it with the loads after it, as `smp_rmb()` does.
#[inline]
pub(crate) fn smp_rmb() {
    // SAFETY: A barrier may be used in any context.
    unsafe { taskscope_smp_rmb() };
}

/// Gives up the processor where another task is due, as `cond_resched()` does.
///
/// May sleep: never under a spinlock or in an RCU read-side critical section.
#[inline]
pub(crate) fn cond_resched() {
    // SAFETY: `cond_resched()` has no requirement on memory; a misplaced call is reported by
    // `CONFIG_DEBUG_ATOMIC_SLEEP` and is not undefined behaviour.
    unsafe { taskscope_cond_resched() };
}

/// Returns whether the caller runs in task context: no interrupt, no softirq, no NMI.
#[inline]
pub(crate) fn in_task() -> bool {
    // SAFETY: `in_task()` reads the state of the processor and may be used in any context.
    unsafe { taskscope_in_task() }
}

/// Returns whether the caller runs while a softirq is served, in it or in an interrupt of it.
#[inline]
pub(crate) fn in_serving_softirq() -> bool {
    // SAFETY: `in_serving_softirq()` may be used in any context.
    unsafe { taskscope_in_serving_softirq() }
}

/// Returns whether the caller runs in an interrupt, or in an NMI.
#[inline]
pub(crate) fn in_hardirq() -> bool {
    // SAFETY: `in_hardirq()` may be used in any context.
    unsafe { taskscope_in_hardirq() }
}

/// Returns whether the caller runs in an NMI.
#[inline]
pub(crate) fn in_nmi() -> bool {
    // SAFETY: `in_nmi()` may be used in any context.
    unsafe { taskscope_in_nmi() }
}

/// Returns whether interrupts are disabled on the processor that the caller runs on.
#[inline]
pub(crate) fn irqs_disabled() -> bool {
    // SAFETY: This reads a register.
    unsafe { taskscope_irqs_disabled() }
}

/// Returns `preempt_count()` of the caller's context, raw.
#[inline]
pub(crate) fn preempt_count() -> usize {
    // SAFETY: `preempt_count()` may be used in any context.
    unsafe { taskscope_preempt_count() }
}

/// Returns the processor the caller runs on; unless preemption is off, it may be another by now.
#[inline]
pub(crate) fn cpu() -> u32 {
    // SAFETY: `raw_smp_processor_id()` may be used in any context.
    unsafe { taskscope_cpu() }
}

/// Returns a stack pointer a few frames below that of the caller.
#[inline]
pub(crate) fn stack_pointer() -> usize {
    // SAFETY: This reads a register.
    unsafe { taskscope_stack_pointer() }
}

/// Returns the size of a kernel stack in bytes, `THREAD_SIZE`.
#[inline]
pub(crate) fn thread_size() -> usize {
    // SAFETY: This returns a constant.
    unsafe { taskscope_thread_size() }
}

/// Returns the kernel stack pointer that `task` had when it last left a processor.
///
/// It is old, and of no use, while the task is on one.
///
/// # Safety
///
/// `task` points at a task that exists.
#[inline]
pub(crate) unsafe fn saved_stack_pointer(task: *mut bindings::task_struct) -> usize {
    // SAFETY: This reads a field of the task, which exists by this function's requirements.
    unsafe { taskscope_saved_stack_pointer(task) }
}

/// Returns where the registers lie that `task` had in user space: `task_pt_regs()`.
///
/// It is an address in the task's kernel stack, and nowhere once that is released.
///
/// # Safety
///
/// `task` points at a task that exists.
#[inline]
pub(crate) unsafe fn task_pt_regs(task: *mut bindings::task_struct) -> *const bindings::pt_regs {
    // SAFETY: This reads a field of the task, which exists by this function's requirements, and
    // adds a constant to it.
    unsafe { taskscope_task_pt_regs(task) }
}

/// Returns whether `regs` were saved on the way from user space.
///
/// The registers at the high end of a kernel stack are not, as long as the thread has never run in
/// user space.
pub(crate) fn user_mode(regs: &mut bindings::pt_regs) -> bool {
    // SAFETY: `user_mode()` reads the registers, which are borrowed.
    unsafe { taskscope_user_mode(regs) }
}

/// Returns the machine, an `EM_*`, whose programs make the system call that `task` is in: not always
/// that of the task's own program.
///
/// It means nothing for a task that runs, or is in no call.
///
/// # Safety
///
/// `task` points at a task that exists.
pub(crate) unsafe fn syscall_machine(task: *mut bindings::task_struct) -> u16 {
    // SAFETY: `syscall_get_arch()` reads flags of the task, which exists by this function's
    // requirements.
    let arch = unsafe { taskscope_syscall_arch(task) };

    // CAST: The lower half of an `AUDIT_ARCH_*` is an `EM_*`.
    arch as u16
}

/// Returns the number of the system call that `regs`, which were read from `task`, were saved by;
/// negative if it was none.
///
/// # Safety
///
/// `task` points at a task that exists.
pub(crate) unsafe fn syscall_nr(
    task: *mut bindings::task_struct,
    regs: &mut bindings::pt_regs,
) -> i32 {
    // SAFETY: `syscall_get_nr()` reads the registers, and the task at most, which exists by this
    // function's requirements.
    unsafe { taskscope_syscall_nr(task, regs) }
}

/// Returns the arguments of the system call that `regs`, which were read from `task`, were saved by.
///
/// # Safety
///
/// `task` points at a task that exists.
pub(crate) unsafe fn syscall_arguments(
    task: *mut bindings::task_struct,
    regs: &mut bindings::pt_regs,
) -> [usize; 6] {
    let mut arguments = [0; 6];

    // SAFETY:
    // - `syscall_get_arguments()` reads the registers, and the task at most, which exists by this
    //   function's requirements.
    // - It writes six arguments, for which there is room.
    unsafe { taskscope_syscall_args(task, regs, arguments.as_mut_ptr()) };
    arguments
}

/// Returns the stack pointer in `regs`, which were saved on the way from user space.
pub(crate) fn user_stack_pointer(regs: &mut bindings::pt_regs) -> usize {
    // SAFETY: `user_stack_pointer()` reads the registers, which are borrowed.
    unsafe { taskscope_user_stack_pointer(regs) }
}

/// Returns the program counter in `regs`.
pub(crate) fn instruction_pointer(regs: &mut bindings::pt_regs) -> usize {
    // SAFETY: `instruction_pointer()` reads the registers, which are borrowed.
    unsafe { taskscope_instruction_pointer(regs) }
}

/// Copies a `T` from memory of the kernel that may be gone: [`None`] if it is.
///
/// Any context. What is copied may be changing meanwhile, and be neither old nor new.
///
/// # Safety
///
/// Any pattern of bits is a valid `T`.
pub(crate) unsafe fn copy_from_kernel<T>(from: *const T) -> Option<T> {
    let mut copy = MaybeUninit::<T>::uninit();

    // SAFETY: `copy` is valid for writes of the size of a `T`. `from` need not be valid for reads: a
    // fault ends the copy, and what is no address of the kernel is refused.
    let error = unsafe {
        bindings::copy_from_kernel_nofault(copy.as_mut_ptr().cast(), from.cast(), size_of::<T>())
    };

    // SAFETY: All of it has been written, and is valid by this function's requirements.
    (error == 0).then(|| unsafe { copy.assume_init() })
}

/// Writes the return addresses on the kernel stack of `task` to `frames`, the innermost first, as
/// `/proc/PID/stack` has them, and returns how many there are; none if the stack is released.
///
/// Any context. The stack is pinned meanwhile (`stack_trace_save_tsk()`); whether the task runs,
/// and what is found is worth nothing, the caller has to know.
///
/// # Safety
///
/// `task` points at a task that exists.
pub(crate) unsafe fn save_stack_trace(
    task: *mut bindings::task_struct,
    frames: &mut [usize],
) -> usize {
    let room = u32::try_from(frames.len()).unwrap_or(u32::MAX);

    // SAFETY:
    // - The task exists by this function's requirements.
    // - `frames` is valid for writes of `room` words.
    let count = unsafe { bindings::stack_trace_save_tsk(task, frames.as_mut_ptr(), room, 0) };

    // CAST: `usize` has at least 32 bits here.
    count as usize
}

/// The most bytes that [`print_frame`] prints, with a NUL: not less than `KSYM_SYMBOL_LEN`.
pub(crate) const FRAME_MAX: usize = 2 * bindings::KSYM_NAME_LEN as usize;

/// Prints what a return address lies in to `text`, and returns how many bytes that took:
/// symbol+offset/size and, if it is in a module, that one's name in brackets: `%pB`.
///
/// If the kernel knows no symbol there, it prints the address, which is for nobody to see: then 0.
///
/// Any context.
pub(crate) fn print_frame(frame: usize, text: &mut [u8; FRAME_MAX]) -> usize {
    // SAFETY:
    // - `text` is valid for writes of `FRAME_MAX` bytes, and `snprintf()` writes no more.
    // - The format takes one pointer, which `%pB` looks up and does not follow.
    let printed = unsafe {
        bindings::snprintf(
            text.as_mut_ptr(),
            FRAME_MAX,
            c"%pB".as_char_ptr(),
            ptr::without_provenance::<c_void>(frame),
        )
    };

    match usize::try_from(printed) {
        Ok(printed) if !text.starts_with(b"0x") => printed.min(FRAME_MAX - 1),
        _ => 0,
    }
}

/// Returns whether `file` was opened for writing.
///
/// # Safety
///
/// `file` points at an open file.
#[inline]
pub(crate) unsafe fn file_writable(file: *const bindings::file) -> bool {
    // SAFETY: `file` is an open file by this function's requirements; its mode is set by then.
    unsafe { taskscope_file_writable(file) }
}

/// Returns whether the caller has `CAP_SYS_ADMIN` in the initial user namespace.
#[inline]
pub(crate) fn capable_sys_admin() -> bool {
    // CAST: The number of a capability is small.
    // SAFETY: `capable()` asks about the current task and has no requirement on memory.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) }
}

/// Returns whether the caller has `CAP_SYS_PTRACE` in the initial user namespace.
#[inline]
pub(crate) fn capable_sys_ptrace() -> bool {
    // CAST: The number of a capability is small.
    // SAFETY: `capable()` asks about the current task and has no requirement on memory.
    unsafe { bindings::capable(bindings::CAP_SYS_PTRACE as c_int) }
}

/// Returns about how many threads there are, without counting them.
///
/// Every thread has a PID in the initial PID namespace, so the number of PIDs in use there is
/// seldom below the number of threads; it is above where a process group or a session outlives
/// the process whose number it bears. It is a hint for sizing memory, old as soon as it is read.
pub(crate) fn nr_threads_hint() -> usize {
    /// The flag in `pid_allocated` which says that the namespace takes new processes:
    /// `PIDNS_ADDING`.
    const ADDING: u32 = 1 << 31;

    // SAFETY: `init_pid_ns` exists forever; `&raw` makes no reference to what others write.
    let field = unsafe { &raw const bindings::init_pid_ns.pid_allocated };
    // SAFETY: The field exists as long as its namespace, is aligned, is an integer, and no larger
    // than a machine word.
    let allocated = unsafe { read_once(field) };

    // CAST: `usize` has at least 32 bits here.
    (allocated & !ADDING) as usize
}

/// Returns an empty vector with room for `count` items. May sleep; fails with `ENOMEM`.
///
/// `kmalloc()` gives a power of two of bytes, and the kernel may clear all of them. Where that is
/// much more than is asked for, this takes pages one by one, as `kvmalloc()` does when it has to.
pub(crate) fn vec_with_capacity<T>(count: usize) -> Result<KVVec<T>> {
    const { assert!(align_of::<T>() <= PAGE_SIZE) };

    /// More than setting up such memory costs.
    const MUCH: usize = 2 * PAGE_SIZE;

    let size = count.checked_mul(size_of::<T>()).ok_or(ENOMEM)?;
    let rounded = size.checked_next_power_of_two().ok_or(ENOMEM)?;

    if rounded - size < MUCH {
        return Ok(KVVec::with_capacity(count, GFP_KERNEL)?);
    }
    let (items, len, capacity) = VVec::with_capacity(count, GFP_KERNEL)?.into_raw_parts();

    // SAFETY: The parts are those of a vector, so that they fit together. Its memory is from
    // `vmalloc()`, which is one of the two places that `KVmalloc` has memory from: whatever is done
    // with that, `kvrealloc()` and `kvfree()` tell by the address.
    Ok(unsafe { KVVec::from_raw_parts(items, len, capacity) })
}

/// How many pointers [`hash_pointers`] hashes.
///
/// Hashing one takes about 800 instructions, and as one of several about 700.
pub(crate) const HASHED_AT_ONCE: usize = 8;

/// The digits of a hash, which has 32 bits.
pub(crate) const HASH_DIGITS: usize = 8;

/// What `%p` prints for pointers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Printed {
    /// Neither hashes nor the pointers, so that it cannot be told whether pointers are hashed: a
    /// placeholder while the kernel has no random numbers, or something unexpected.
    Unknown,
    /// The pointers themselves: the kernel was told not to hash them (`no_hash_pointers`).
    AsTheyAre,
    /// Their hashes, of which these are the digits, after as many zeros.
    Hashed([[u8; HASH_DIGITS]; HASHED_AT_ONCE]),
}

/// Returns what `%p` prints for the first `count` of `pointers`, which are kernel addresses.
pub(crate) fn hash_pointers(pointers: &[usize; HASHED_AT_ONCE], count: usize) -> Printed {
    /// For each a `%p` that prints no fewer digits than a hash has.
    const FORMAT: &CStr = c"%08p%08p%08p%08p%08p%08p%08p%08p";

    const { assert!(FORMAT.count_bytes() == HASHED_AT_ONCE * 4) };

    let count = count.min(HASHED_AT_ONCE);
    let format = &FORMAT.to_bytes_with_nul()[(HASHED_AT_ONCE - count) * 4..];
    let mut text = [0u8; HASHED_AT_ONCE * POINTER_WIDTH + 1];
    let [a, b, c, d, e, f, g, h] = pointers.map(ptr::without_provenance::<c_void>);

    // SAFETY:
    // - `text` is valid for writes of `text.len()` bytes, and `snprintf()` writes no more.
    // - The format is the end of a string, takes at most eight pointers, which `%p` prints and does
    //   not follow, and leaves the others alone.
    let printed = unsafe {
        bindings::snprintf(
            text.as_mut_ptr(),
            text.len(),
            format.as_ptr(),
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
        )
    };

    match usize::try_from(printed)
        .ok()
        .and_then(|len| text.get(..len))
    {
        Some(text) => told_apart(text, &pointers[..count]),
        None => Printed::Unknown,
    }
}

/// Tells what `text`, which `%08p` has printed for `pointers`, is.
///
/// Kernel addresses have more digits than a hash. Where none of `pointers` has, a hash cannot be
/// told from an address.
#[inline]
fn told_apart(text: &[u8], pointers: &[usize]) -> Printed {
    // A small number can be a hash, and error pointers are printed as they are in any case.
    let telling = u32::MAX as usize + 1..usize::MAX - bindings::MAX_ERRNO as usize;
    let is_told = pointers.iter().any(|pointer| telling.contains(pointer));

    if text.len() != pointers.len() * HASH_DIGITS {
        return if is_told && is_raw(text, pointers) {
            Printed::AsTheyAre
        } else {
            Printed::Unknown
        };
    }
    let mut odd = 0;
    let mut hashes = [[0; HASH_DIGITS]; HASHED_AT_ONCE];

    for (hash, digits) in hashes.iter_mut().zip(text.chunks_exact(HASH_DIGITS)) {
        hash.copy_from_slice(digits);
        odd |= no_digits(hash);
    }
    if is_told && odd == 0 {
        Printed::Hashed(hashes)
    } else {
        Printed::Unknown
    }
}

/// Returns 0 if all bytes are hexadecimal digits, in lower case.
///
/// All are looked at in one word: one by one they would cost a tenth of what hashing does.
#[inline]
fn no_digits(bytes: &[u8; HASH_DIGITS]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; HASH_DIGITS]);

    let word = u64::from_ne_bytes(*bytes);
    let low = word & (0x0f * ONES);
    // One in each byte that may be a letter: from 0x60 on. The others may be digits: from 0x30 on.
    let letters = word >> 6 & ONES;
    let high = word - low ^ (0x30 * ONES + 0x30 * letters);
    // A carry in each byte beyond '9' or 'f', and one in each that is not the one before 'a'.
    let beyond = low + (6 * ONES + 3 * letters);
    let not_before = low + 0x0f * ONES;

    high | (beyond | (letters << 4) & !not_before) & (0x10 * ONES)
}

/// Returns whether `text` is `pointers` in hexadecimal, with eight digits or more each.
fn is_raw(mut text: &[u8], pointers: &[usize]) -> bool {
    for pointer in pointers {
        // CAST: There are at most 16 digits.
        let digits = pointer
            .checked_ilog2()
            .map_or(0, |log| log as usize / 4 + 1);
        let Some((number, rest)) = text.split_at_checked(digits.max(HASH_DIGITS)) else {
            return false;
        };
        let number = number.iter().try_fold(0, |number, digit| {
            let digit = char::from(*digit).to_digit(16)?;

            // CAST: A digit is below 16.
            Some(number << 4 | digit as usize)
        });

        if number != Some(*pointer) {
            return false;
        }
        text = rest;
    }
    text.is_empty()
}

/// Takes the lock under which a task gets and loses its address space, as `task_lock()` does.
///
/// May sleep on a kernel with `CONFIG_PREEMPT_RT`, and only there.
///
/// # Safety
///
/// `task` points at a task that exists until [`task_unlock`] is called for it.
#[inline]
pub(crate) unsafe fn task_lock(task: *mut bindings::task_struct) {
    // SAFETY: The task exists by this function's requirements, and has the lock as long.
    unsafe { taskscope_task_lock(task) };
}

/// Releases the lock that [`task_lock`] has taken.
///
/// # Safety
///
/// The caller holds the lock of `task`.
#[inline]
pub(crate) unsafe fn task_unlock(task: *mut bindings::task_struct) {
    // SAFETY: The caller holds the lock by this function's requirements.
    unsafe { taskscope_task_unlock(task) };
}

/// Returns whether `task` is in the middle of `execve()`.
///
/// # Safety
///
/// `task` points at a task that exists.
#[inline]
pub(crate) unsafe fn in_execve(task: *mut bindings::task_struct) -> bool {
    // SAFETY: This reads a bit of the task, which exists by this function's requirements.
    unsafe { taskscope_in_execve(task) }
}

/// What a task's registers held when it entered the kernel from user space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserRegisters {
    /// The program counter.
    pub(crate) pc: usize,
    /// The stack pointer.
    pub(crate) sp: usize,
    /// The register that is the frame pointer where a program has one.
    pub(crate) fp: usize,
    /// The machine that the program is for, as in an ELF header: `EM_*`.
    pub(crate) machine: u16,
}

/// Reads the user registers that are saved at the high end of the kernel stack of `task`; [`None`]
/// if `task` has never run in user space.
///
/// They mean nothing while the task runs: it may be saving others.
///
/// # Safety
///
/// `task` points at a task whose kernel stack is not released meanwhile.
pub(crate) unsafe fn user_registers(task: *mut bindings::task_struct) -> Option<UserRegisters> {
    // SAFETY: `task_pt_regs()` computes an address within the stack, which is there by this
    // function's requirements.
    let regs = unsafe { taskscope_task_pt_regs(task) }.cast_mut();

    // SAFETY: `regs` lies in the stack of the task, which is there for as long as this runs.
    if !unsafe { taskscope_user_mode(regs) } {
        return None;
    }
    Some(UserRegisters {
        // SAFETY: As above.
        pc: unsafe { taskscope_instruction_pointer(regs) },
        // SAFETY: As above.
        sp: unsafe { taskscope_user_stack_pointer(regs) },
        // SAFETY: As above.
        fp: unsafe { taskscope_frame_pointer(regs) },
        // SAFETY: `task_user_regset_view()` looks at the task and its registers, and returns a
        // constant.
        machine: unsafe { taskscope_user_machine(task) },
    })
}

/// Takes the signature off a return address that was found in user memory, where there are such.
#[inline]
pub(crate) fn strip_user_pac(address: usize) -> usize {
    // SAFETY: This computes with a number.
    unsafe { taskscope_strip_user_pac(address) }
}

/// Returns the first address that no user program can have: `TASK_SIZE_MAX`.
#[inline]
pub(crate) fn user_end() -> usize {
    // SAFETY: This returns a constant of the kernel or the processor.
    unsafe { taskscope_user_end() }
}

/// Returns whether `task` is being killed.
#[inline]
pub(crate) fn fatal_signal_pending(task: &Task) -> bool {
    // SAFETY: The task exists for as long as it is borrowed.
    unsafe { taskscope_fatal_signal_pending(task.as_ptr()) }
}

/// Returns the sequence count of the mmap lock of `mm`; [`None`] while a writer holds it.
///
/// # Safety
///
/// `mm` points at an address space that exists.
#[inline]
pub(crate) unsafe fn mmap_speculate_begin(mm: *mut bindings::mm_struct) -> Option<u32> {
    let mut seq = 0;

    // SAFETY: The address space exists by this function's requirements; `seq` is valid for writes.
    unsafe { taskscope_mmap_speculate_begin(mm, &mut seq) }.then_some(seq)
}

/// Returns whether a writer has held the mmap lock of `mm` since the sequence count was `seq`.
///
/// # Safety
///
/// `mm` points at an address space that exists.
#[inline]
pub(crate) unsafe fn mmap_speculate_retry(mm: *mut bindings::mm_struct, seq: u32) -> bool {
    // SAFETY: The address space exists by this function's requirements.
    unsafe { taskscope_mmap_speculate_retry(mm, seq) }
}

/// Returns whether the kernel places mappings from the top of the area for mappings downwards.
///
/// # Safety
///
/// `mm` points at an address space that exists.
#[inline]
pub(crate) unsafe fn mm_is_top_down(mm: *mut bindings::mm_struct) -> bool {
    // SAFETY: This reads a flag of the address space, which exists by this function's requirements.
    unsafe { taskscope_is_topdown(mm) }
}

/// How many rows are made at most between two calls of [`check_fatal_signal`].
///
/// A row takes up to a thousand instructions, and the call takes ten.
pub(crate) const ROWS_PER_CHECK: usize = 1024;

/// Fails with `EINTR` if the caller is being killed: by `SIGKILL`, or by another signal that ends
/// the process without a core dump.
///
/// To be called in every loop of `open()` and `read()` whose length depends on the number of
/// threads.
///
/// # Errors
///
/// `EINTR`, and nothing else.
#[inline]
pub(crate) fn check_fatal_signal() -> Result {
    if fatal_signal_pending(kernel::current!()) {
        Err(EINTR)
    } else {
        Ok(())
    }
}

/// Returns the path by which a user knows `file`, as `/proc/PID/maps` shows it.
///
/// # Safety
///
/// `file` points at an open file, and the result is used only as long as it is open.
#[inline]
pub(crate) unsafe fn file_user_path(file: *const bindings::file) -> *const bindings::path {
    // SAFETY: The file is open by this function's requirements.
    unsafe { taskscope_file_user_path(file) }
}

/// Returns the name that a program has given an anonymous mapping, or null.
///
/// # Safety
///
/// `vma` points at a mapping of an address space whose mmap lock the caller holds, for as long as
/// it uses the result.
#[inline]
pub(crate) unsafe fn anon_vma_name(
    vma: *mut bindings::vm_area_struct,
) -> *const bindings::anon_vma_name {
    // SAFETY: The lock that `anon_vma_name()` asserts is held by this function's requirements.
    unsafe { taskscope_anon_vma_name(vma) }
}

/// Returns the kernel's time in ticks.
#[inline]
pub(crate) fn jiffies() -> Jiffies {
    let jiffies = &raw const bindings::jiffies;

    // SAFETY: `jiffies` exists forever, is aligned, and is an integer of a word.
    unsafe { read_once(jiffies) }
}

/// Gives up the processor where another thread waits for it, as `yield()` does, and stays on it
/// where none does. May sleep.
#[inline]
pub(crate) fn yield_cpu() {
    // SAFETY: `yield()` has no requirement on memory; a misplaced call is reported by
    // `CONFIG_DEBUG_ATOMIC_SLEEP` and is not undefined behaviour.
    unsafe { bindings::yield_() };
}

/// Initialises `work`, to call `func` in an interrupt.
///
/// # Safety
///
/// `work` is valid for writes.
#[inline]
pub(crate) unsafe fn init_irq_work(
    work: *mut bindings::irq_work,
    func: unsafe extern "C" fn(*mut bindings::irq_work),
) {
    // SAFETY: `init_irq_work()` writes to `work`, which is valid by this function's requirements.
    unsafe { taskscope_init_irq_work(work, func) };
}

/// Returns whether `work` is queued or running. What its function has done is visible if not.
///
/// # Safety
///
/// `work` is an initialised `irq_work`.
#[inline]
pub(crate) unsafe fn irq_work_is_busy(work: *mut bindings::irq_work) -> bool {
    // SAFETY: By this function's requirements.
    let busy = unsafe { taskscope_irq_work_is_busy(work) };

    // It is read without a barrier, and cleared with one.
    barrier::smp_mb(barrier::Full);
    busy
}

/// Frees memory after a grace period, which is waited for only if there is no memory to remember it
/// by. May sleep.
///
/// # Safety
///
/// `memory` is that of an allocation by `kmalloc()` or `vmalloc()`, and ours to free; nobody uses it
/// but in RCU read-side critical sections that have begun.
pub(crate) unsafe fn free_after_grace_period(memory: *mut c_void) {
    // SAFETY: By this function's requirements.
    unsafe { taskscope_kvfree_rcu_mightsleep(memory) };
}

/// Returns whether the scheduler balances tasks onto processor `cpu` as far as the kernel's command
/// line says: false for the processors of `isolcpus=`.
pub(crate) fn in_boot_domain(cpu: CpuId) -> bool {
    // SAFETY: A `CpuId` is less than `nr_cpu_ids`. The mask stays as it is after the boot.
    unsafe { taskscope_in_boot_domain(cpu.into()) }
}

/// Returns whether the scheduler balances tasks onto processor `cpu` now: false for the processors
/// of `isolcpus=`, and for those of an isolated partition of a cpuset.
pub(crate) fn in_domain(cpu: CpuId, _: &rcu::Guard) -> bool {
    // SAFETY: A `CpuId` is less than `nr_cpu_ids`. A mask that a cpuset has replaced is freed after
    // a grace period, and the guard holds that off.
    unsafe { taskscope_in_domain(cpu.into()) }
}

/// Returns whether processor `cpu` does the kernel's own periodic work: false for the processors of
/// `nohz_full=` and `isolcpus=nohz,`.
pub(crate) fn has_kernel_noise(cpu: CpuId) -> bool {
    // SAFETY: A `CpuId` is less than `nr_cpu_ids`. The mask stays as it is after the boot.
    unsafe { taskscope_has_kernel_noise(cpu.into()) }
}

/// Lets `taskscope_nmi()` be called in every NMI that is a processor's own, and not yet known to
/// come from elsewhere. Fails with the error of the kernel.
///
/// # Safety
///
/// It is called once until [`unregister_nmi_handler`] is. There is a function `taskscope_nmi()` of
/// this module, which can be called until that returns.
#[cfg(CONFIG_X86)]
pub(crate) unsafe fn register_nmi_handler() -> Result {
    // SAFETY: By this function's requirements; the name is the module's own.
    to_result(unsafe { taskscope_register_nmi_handler() })
}

/// Ends what [`register_nmi_handler`] has begun; no call is going on when this returns. May sleep.
#[cfg(CONFIG_X86)]
pub(crate) fn unregister_nmi_handler() {
    // SAFETY: The handler is found by its name, and it does no harm if there is none.
    unsafe { taskscope_unregister_nmi_handler() };
}

/// Returns a new file that is in no directory, open for reading. May sleep; fails with the error of
/// the kernel.
///
/// # Safety
///
/// `operations` are good for a file with this `private` data, until they have released it, which
/// they do if this succeeds.
pub(crate) unsafe fn anonymous_file(
    name: &'static CStr,
    operations: &'static bindings::file_operations,
    private: *mut c_void,
) -> Result<NonNull<bindings::file>> {
    const FLAGS: u32 = bindings::O_RDONLY | bindings::O_CLOEXEC;

    // SAFETY: The name is a NUL-terminated string and the operations are a constant; the rest is
    // this function's requirements. CAST: The flags are small.
    let file = from_err_ptr(unsafe {
        anon_inode_getfile(name.as_char_ptr(), operations, private, FLAGS as c_int)
    })?;

    NonNull::new(file).ok_or(ENOMEM)
}

/// Calls `during` with `preempt_count` set to `count`, whatever that means.
///
/// # Safety
///
/// Interrupts are disabled, and `during` does nothing but look.
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) unsafe fn with_preempt_count<T>(count: usize, during: impl FnOnce() -> T) -> T {
    let before = preempt_count();

    // SAFETY: This writes a per-CPU variable. Nothing acts on it before it is restored, by this
    // function's requirements.
    unsafe { taskscope_preempt_count_set(count) };
    let result = during();
    // SAFETY: As above.
    unsafe { taskscope_preempt_count_set(before) };
    result
}

/// Returns what counts once in `preempt_count`: `PREEMPT_OFFSET`, `SOFTIRQ_OFFSET`,
/// `HARDIRQ_DISABLE_OFFSET`, `HARDIRQ_OFFSET` and `NMI_OFFSET`.
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) fn preempt_offsets() -> [usize; 5] {
    [
        // SAFETY: This returns a constant.
        unsafe { taskscope_preempt_offset() },
        // SAFETY: As above.
        unsafe { taskscope_softirq_offset() },
        // SAFETY: As above.
        unsafe { taskscope_hardirq_disable_offset() },
        // SAFETY: As above.
        unsafe { taskscope_hardirq_offset() },
        // SAFETY: As above.
        unsafe { taskscope_nmi_offset() },
    ]
}

#[kunit_tests(taskscope_sys)]
mod tests {
    use super::*;

    const POINTERS: [usize; 2] = [0xffff_8880_1234_5678, 0xffff_c900_0000_4000];

    #[test]
    fn hashes_have_eight_digits() {
        let mut hashes = [[0; HASH_DIGITS]; HASHED_AT_ONCE];

        hashes[0] = *b"0012abcd";
        hashes[1] = *b"ffffffff";
        assert_eq!(
            told_apart(b"0012abcdffffffff", &POINTERS),
            Printed::Hashed(hashes)
        );
    }

    #[test]
    fn every_byte_is_a_digit_or_not() {
        for byte in 0..=u8::MAX {
            let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');

            for place in 0..HASH_DIGITS {
                for others in [b'0', b'9', b'a', b'f'] {
                    let mut bytes = [others; HASH_DIGITS];

                    bytes[place] = byte;
                    assert_eq!(is_digit, no_digits(&bytes) == 0);
                }
            }
        }
    }

    #[test]
    fn addresses_are_told_by_all_their_digits() {
        let raw = b"ffff888012345678ffffc90000004000";

        assert_eq!(told_apart(raw, &POINTERS), Printed::AsTheyAre);
        assert_eq!(told_apart(&raw[..16], &POINTERS[..1]), Printed::AsTheyAre);
        assert_eq!(
            told_apart(b"00001000ffff888012345678", &[0x1000, POINTERS[0]]),
            Printed::AsTheyAre
        );
    }

    #[test]
    fn all_else_is_unknown() {
        for text in [
            &b"(____ptrval____)(____ptrval____)"[..],
            // One raw, one hashed, both ways.
            b"ffff88801234567800000001",
            b"00000001ffffc90000004000",
            // Another address, and less or more than there should be.
            b"ffff888012345678ffffc90000004001",
            b"ffff888012345678ffffc9000000400",
            b"ffff888012345678ffffc900000040000",
            b"",
            b"0012abcd",
            // No digits.
            b"0012abcdfffffffg",
            b"0012ABCDFFFFFFFF",
            b"(efault)(efault)",
        ] {
            assert_eq!(told_apart(text, &POINTERS), Printed::Unknown);
        }
        // It may be the address, and it may be a hash.
        assert_eq!(told_apart(b"00001000", &[0x1000]), Printed::Unknown);
        assert_eq!(told_apart(b"89abcdef", &[0x1000]), Printed::Unknown);
    }
}
