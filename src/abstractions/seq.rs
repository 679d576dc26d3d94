// SPDX-License-Identifier: GPL-2.0

//! Tables as files in debugfs.
//!
//! `open()` captures a *table*. Reads make its text piece by piece: a header, rows, a summary.
//! [`Directory`] adds the file of a table to debugfs. The safe trait [`Table`] is all that a table
//! implements.
//!
//! `seq_file` does the reading. (`kernel::debugfs` makes its text when it is read, by
//! `single_open()`: its files cannot take a snapshot in `open()`.) The text of an open file never
//! changes, so that reads of any size, `pread()` and `lseek()` return pieces of the same text.
//! Readers that share a descriptor take turns.
//!
//! # Loading and unloading
//!
//! No file is open while the module is unloaded. An open file holds a reference to the module, so
//! that `rmmod` fails with `EWOULDBLOCK`. An `open()` that races with `rmmod` fails with `ENXIO` or
//! `ENOENT`, or the removal of the directory waits for it.
//!
//! `open()` itself takes the reference. debugfs would take it for operations that have an owner,
//! but warns when that fails and the module is not yet marked as being unloaded: `delete_module()`
//! marks the module only after it has put the last reference. So a file begins with operations
//! without an owner. `open()` replaces them by the operations of an open file, which have an owner,
//! whose reference the kernel puts after `release()`, or after an `open()` that has failed. If
//! `open()` fails before it has taken the reference, it leaves the file without operations, because
//! the kernel looks at their owner when the module may be gone.
//!
//! A module whose load fails is freed although files may be in use. So `open()` fails with `ENXIO`
//! until [`Directory::publish`] is called, after which loading cannot fail.
//!
//! # An open that the kernel refuses after `open()`
//!
//! The kernel can refuse an open whose `open()` has succeeded: for `O_DIRECT`, or because a
//! security module forbids to truncate the file. Then the kernel calls `release()`, as for a file
//! that is closed. Such an open must not change the state of the module, so [`Input::close`] is not
//! called. `flush()` tells the difference: the kernel calls it when a descriptor of the file is
//! closed, and a refused open never had a descriptor. (A direct descriptor of io_uring never calls
//! `flush()`. So `Input::close` is not called for it: what was written stays, and `O_TRUNC` alone
//! does nothing.)
//!
//! The full proxies of debugfs do not forward `flush()`. Hence `debugfs_create_file_unsafe()` makes
//! the files: its proxy is used for `open()` only. A full proxy protects the operations from the
//! removal of the file. Here the reference to the module does so: only unloading removes the files.
//!
//! # Killed readers
//!
//! A fatal signal ends `open()` with `EINTR`, and a read between two blocks of rows.
//!
//! C headers: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h),
//! [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h).

use crate::abstractions::capability::Capability;
use crate::abstractions::spare::Spare;
use crate::abstractions::{
    signal, //
    THIS_MODULE,
};
use crate::text::line::Line;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr;
use kernel::bindings;
use kernel::error::{
    from_err_ptr,
    from_result,
    to_result, //
};
use kernel::prelude::*;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};
use kernel::sync::{
    new_mutex, //
    Arc,
    ArcBorrow,
    Mutex,
};
use kernel::uaccess::{
    UserPtr,
    UserSlice,
    UserSliceReader, //
};

// Sound: this is the function of helpers.c, with this signature.
unsafe extern "C" {
    /// Returns whether `file` was opened for writing.
    ///
    /// # Safety
    ///
    /// `file` points at a file that is open or being opened.
    fn taskscope_file_writable(file: *const bindings::file) -> bool;
}

/// Tuned: the size in bytes of the buffer through which a table is read at first. A block of rows
/// of less than 256 bytes fits. `seq_file` replaces the buffer by a larger one if a block does not
/// fit; the page with which it would begin is too small for most.
const BUFFER: usize = 32 * 1024;

/// Tuned: the most rows that are written at once. The first of them is written whole, each other
/// one as a change of the row before: with 32, `threads` costs 2% more.
const BLOCK: usize = 128;

/// A table, as captured when its file was opened.
///
/// All methods run in process context and may sleep.
pub(crate) trait Table: Sized + Send + Sync + 'static {
    /// What all files of the directory share.
    type Shared: Send + Sync + 'static;

    /// What takes writes to the file: [`ReadOnly`] if it takes none.
    type Input: Input<Self::Shared>;

    /// Captures the table in the context of the task that opens the file.
    ///
    /// # Errors
    ///
    /// An error is what `open()` returns: `EINTR` if the caller is being killed.
    fn open(shared: &Self::Shared) -> Result<Self>;

    /// Writes the header.
    fn header(&self, _line: &mut Line<'_>) {}

    /// Returns the number of rows.
    fn len(&self) -> usize {
        0
    }

    /// Writes some of the rows. If not all of them fit, the rows are written again into a larger
    /// buffer.
    fn rows(&self, _rows: Range<usize>, _line: &mut Line<'_>) {}

    /// Writes the lines after the rows.
    fn summary(&self, _line: &mut Line<'_>) {}
}

/// What is written to a file, from one open to the last close.
///
/// All methods run in process context and may sleep; those of one open file take turns.
pub(crate) trait Input<S>: Sized + Send + Unpin + 'static {
    /// Begins, when the file is opened for writing; `truncate` says that `O_TRUNC` was given.
    ///
    /// The kernel may refuse the open after this: nothing is to be changed yet.
    ///
    /// # Errors
    ///
    /// An error is what `open()` returns.
    fn open(shared: &S, truncate: bool) -> Result<Self>;

    /// Takes all of what one `write()` was given.
    ///
    /// On an error, nothing has changed. The error is what `write()` returns.
    fn write(&mut self, shared: &S, input: UserSliceReader) -> Result;

    /// Ends, when the last descriptor of the file is closed. Not called if the kernel has refused
    /// the open, or if the file never had a descriptor (a direct descriptor of io_uring is none).
    fn close(self, shared: &S);
}

/// The [`Input`] of a file that takes no writes: to open it for writing fails with `EACCES`.
pub(crate) struct ReadOnly;

impl<S> Input<S> for ReadOnly {
    fn open(_: &S, _: bool) -> Result<Self> {
        Err(EACCES)
    }

    fn write(&mut self, _: &S, _: UserSliceReader) -> Result {
        Err(EBADF)
    }

    fn close(self, _: &S) {}
}

/// What the files of a directory have in common.
#[pin_data]
struct Files<S> {
    /// Whether the files may be opened.
    published: Atomic<bool>,
    /// The buffer that the last reader has left.
    buffer: Arc<Spare<u8>>,
    /// What the tables share.
    #[pin]
    shared: S,
}

/// A directory in debugfs, with its files; both are removed when this is dropped.
///
/// # Invariants
///
/// `dentry` is a directory in debugfs that this owns. The private data of every file in it is the
/// address that `files` points to.
pub(crate) struct Directory<S: Send + Sync + 'static> {
    dentry: *mut bindings::dentry,
    /// Dropped after `drop()` has removed the files.
    files: Arc<Files<S>>,
}

// SAFETY: debugfs may be called from any thread, and `Arc<Files<S>>` may be sent to any, as `S` may
// be sent and shared.
unsafe impl<S: Send + Sync + 'static> Send for Directory<S> {}

// SAFETY: The methods that take a shared reference call debugfs, which has locks of its own, or use
// `Files<S>`, which may be shared as `S` may.
unsafe impl<S: Send + Sync + 'static> Sync for Directory<S> {}

impl<S: Send + Sync + 'static> Directory<S> {
    /// Creates a directory at the root of debugfs, whose files share `shared`.
    ///
    /// May sleep. Fails with `ENOMEM`; with `ENODEV` if the kernel has no debugfs, `EEXIST` if the
    /// name is taken, `EPERM` if debugfs has been switched off.
    pub(crate) fn new(name: &'static CStr, shared: impl PinInit<S, Error>) -> Result<Self> {
        let files = Arc::pin_init(
            try_pin_init!(Files {
                published: Atomic::new(false),
                buffer: Spare::new()?,
                shared <- shared,
            }? Error),
            GFP_KERNEL,
        )?;
        // SAFETY: `name` is a NUL-terminated string; no parent means the root of debugfs.
        let dentry = from_err_ptr(unsafe {
            bindings::debugfs_create_dir(name.as_char_ptr(), ptr::null_mut())
        })?;

        // INVARIANT: The directory has just been created, and has no files.
        Ok(Self { dentry, files })
    }

    /// Adds the file of a table, with the permission bits `mode`. It cannot be opened before
    /// [`publish`].
    ///
    /// May sleep. Fails, with the error of debugfs, when there is no file afterwards.
    ///
    /// [`publish`]: Self::publish
    pub(crate) fn add<T: Table<Shared = S>>(&self, name: &'static CStr, mode: u16) -> Result {
        // SAFETY:
        // - `name` is a NUL-terminated string.
        // - By the type invariant `dentry` is a directory in debugfs. What `files` points to stays
        //   valid until after this directory with all its files has been removed.
        // - The operations are static, and expect the address of a `Files<S>` in an `Arc` as the
        //   private data of the file.
        // - Every operation of an open file may run without the protection of debugfs: the file
        //   holds a reference to the module, which therefore cannot be unloaded, and so does not
        //   remove the file. `open()`, which takes the reference, is protected.
        from_err_ptr(unsafe {
            bindings::debugfs_create_file_unsafe(
                name.as_char_ptr(),
                mode,
                self.dentry,
                Arc::as_ptr(&self.files).cast_mut().cast(),
                Ops::<T>::NEW,
            )
        })?;
        Ok(())
    }

    /// Lets all files be opened.
    ///
    /// After this, loading the module must not fail: a caller whose `open()` has failed may still
    /// be about to put its reference to the module, which nothing waits for.
    pub(crate) fn publish(&self) {
        self.files.published.store(true, Release);
    }
}

impl<S: Send + Sync + 'static> Drop for Directory<S> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is a directory in debugfs that we own. Once this
        // returns, no `open()` of one of its files is running, and none will be called: debugfs
        // sees to that. No other operation is running or will be: an open file holds a reference to
        // the module, which is dropped only when there is none, or, if loading has failed, before
        // `publish` has let any file be opened.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}

/// What several writers may share.
type Locked<I> = Mutex<Option<I>>;

/// An open file. It is the private data of its `seq_file`.
///
/// # Invariants
///
/// If `cleared` is the size of the buffer of the `seq_file`, all bytes of that buffer are
/// initialised.
struct Open<T: Table> {
    table: T,
    /// What is written, if the file is open for writing; taken out when it is closed.
    input: Option<Pin<KBox<Locked<T::Input>>>>,
    /// Whether a descriptor of the file has been closed: then the kernel has not refused the open.
    had_descriptor: Atomic<bool>,
    /// The size in bytes of the buffer that was cleared last; 0 if the buffer may have been
    /// replaced since.
    cleared: Atomic<usize>,
    /// How many bytes the latest block of rows had: so much room the next one probably needs.
    block: Atomic<usize>,
    files: Arc<Files<T::Shared>>,
}

impl<T: Table> Open<T> {
    /// Passes on what is written to the file. Fails with `EBADF` if it is open for reading only.
    fn write(&self, reader: UserSliceReader) -> Result {
        let mut input = self.input.as_ref().ok_or(EBADF)?.lock();

        match &mut *input {
            Some(input) => input.write(&self.files.shared, reader),
            None => Err(EBADF),
        }
    }
}

/// The operations of the files for tables of type `T`.
struct Ops<T>(PhantomData<T>);

impl<T: Table> Ops<T> {
    /// The operations of a file that is being opened, until `open` has taken the reference to the
    /// module.
    const NEW: &'static bindings::file_operations = &bindings::file_operations {
        open: Some(Self::open),
        ..pin_init::zeroed()
    };

    /// The operations of an open file.
    const FILE: &'static bindings::file_operations = &bindings::file_operations {
        owner: THIS_MODULE,
        read: Some(bindings::seq_read),
        write: Some(Self::write),
        llseek: Some(bindings::seq_lseek),
        flush: Some(Self::flush),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    /// The sequence: index 0 is the header, the last is the summary, the blocks of rows are between
    /// them.
    const SEQ: &'static bindings::seq_operations = &bindings::seq_operations {
        start: Some(Self::start),
        next: Some(Self::next),
        stop: Some(Self::stop),
        show: Some(Self::show),
    };

    /// Opens a file: captures the table.
    ///
    /// # Safety
    ///
    /// To be called by debugfs only, for a file that [`Directory::add`] has added for `T`.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            // After an open that fails, the kernel looks at the owner of the file's operations.
            // Without a reference, this module, and its operations with it, may be gone by then. So
            // the file has no operations until the reference is taken.
            // SAFETY: The file is being opened, so that no other thread uses it.
            // `do_dentry_open()`, which looks at the operations after an open that has failed,
            // accepts that there are none.
            unsafe { (*file).f_op = ptr::null() };
            Capability::SysAdmin.require()?;
            // SAFETY: The inode is that of the file that is being opened, valid meanwhile.
            let private = unsafe { (*inode).i_private };
            // SAFETY: `add` has made the private data the address of a `Files<T::Shared>` in an
            // `Arc`. The directory drops its `Arc` only after the file has been removed, which
            // waits for this call. There is no `UniqueArc` of it.
            let files = unsafe { ArcBorrow::<Files<T::Shared>>::from_raw(private.cast()) };
            let files = Arc::from(files);

            if !files.published.load(Acquire) {
                return Err(ENXIO);
            }
            // SAFETY: This module exists: debugfs counts this call, and `debugfs_remove()`, in the
            // module's exit, waits for it.
            if !unsafe { bindings::try_module_get(THIS_MODULE) } {
                return Err(ENXIO);
            }
            // SAFETY:
            // - The file is being opened, so that no other thread uses it. The kernel reads the
            //   operations again when this function has returned.
            // - The reference is that of the owner of the operations. The kernel puts it.
            unsafe { (*file).f_op = Self::FILE };
            // SAFETY: The file is being opened, and its mode is set.
            let writable = unsafe { taskscope_file_writable(file) };
            let input = if writable {
                // SAFETY: The file is being opened, and its flags are set.
                let truncate = unsafe { (*file).f_flags } & bindings::O_TRUNC != 0;
                let input = T::Input::open(&files.shared, truncate)?;

                Some(KBox::pin_init(new_mutex!(Some(input)), GFP_KERNEL)?)
            } else {
                None
            };
            let table = T::open(&files.shared)?;
            let mut buffer = files.buffer.take(BUFFER, BUFFER)?;

            buffer.resize(BUFFER, 0, GFP_KERNEL)?;
            let open = KBox::new(
                Open {
                    table,
                    input,
                    had_descriptor: Atomic::new(false),
                    // INVARIANT: All bytes of the vector are initialised.
                    cleared: Atomic::new(BUFFER),
                    block: Atomic::new(0),
                    files,
                },
                GFP_KERNEL,
            )?;

            // SAFETY: The file is being opened and has no private data yet; the operations are
            // static.
            to_result(unsafe { bindings::seq_open(file, Self::SEQ) })?;

            // SAFETY: `seq_open()` has succeeded, and has made the private data of the file a
            // `seq_file` that no other thread can know of yet.
            let seq = unsafe { &mut *(*file).private_data.cast::<bindings::seq_file>() };

            seq.private = KBox::into_raw(open).cast();

            // `seq_file` frees the buffer with `kvfree()` when it needs a larger one, which is
            // right for memory of a `KVVec`.
            let (buf, _, _) = buffer.into_raw_parts();

            seq.buf = buf.cast();
            seq.size = BUFFER;
            Ok(0)
        })
    }

    /// Notes that a descriptor of the file is closed. The file may have more descriptors, which
    /// write later.
    ///
    /// # Safety
    ///
    /// To be called by the kernel only, for a file that `open` has opened.
    unsafe extern "C" fn flush(file: *mut bindings::file, _: bindings::fl_owner_t) -> c_int {
        // SAFETY: `open` has made the private data of the file a `seq_file`.
        let seq = unsafe { (*file).private_data.cast::<bindings::seq_file>() };
        // SAFETY: `open` has made its private data an `Open<T>`, which is only ever borrowed until
        // `release`, and that does not run while a descriptor is being closed.
        let open = unsafe { &*(*seq).private.cast::<Open<T>>() };

        // The reference to the file that is put after this orders it before `release`.
        open.had_descriptor.store(true, Relaxed);
        0
    }

    /// Closes a file: drops the table.
    ///
    /// # Safety
    ///
    /// To be called by the kernel only, for a file that `open` has opened.
    unsafe extern "C" fn release(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` has made the private data of the file a `seq_file`.
        let seq = unsafe { (*file).private_data.cast::<bindings::seq_file>() };
        // SAFETY: `open` has made its private data an `Open<T>` from `KBox::into_raw`. This is the
        // last call for this file, so that it is not used any more.
        let mut open = unsafe { KBox::from_raw((*seq).private.cast::<Open<T>>()) };
        // SAFETY: This is the last call for this file, so that no other thread uses these fields.
        let (buf, size) = unsafe { ((*seq).buf, (*seq).size) };

        // A larger buffer is more than most tables need.
        if !buf.is_null() && size == BUFFER && open.cleared.load(Relaxed) == size {
            // SAFETY:
            // - `buf` is the buffer of `open`, or one that `seq_file` has allocated with
            //   `kvmalloc()`, which is where a `KVVec` has memory from.
            // - It has `size` bytes, all of which are initialised by the type invariant of `Open`.
            // - `u8` has no alignment to keep.
            let buffer = unsafe { KVVec::from_raw_parts(buf.cast(), size, size) };

            // SAFETY: As for the fields above: `seq_release()` must not free the buffer.
            unsafe { (*seq).buf = ptr::null_mut() };
            open.files.buffer.leave(buffer);
        }

        // SAFETY: `open` has called `seq_open()`, and this is the last call for this file.
        unsafe { bindings::seq_release(inode, file) };

        if open.had_descriptor.load(Relaxed) {
            if let Some(input) = open.input.take().and_then(|input| input.lock().take()) {
                input.close(&open.files.shared);
            }
        }
        0
    }

    /// Writes to a file.
    ///
    /// # Safety
    ///
    /// To be called by the kernel only, for a file that `open` has opened.
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        buf: *const c_char,
        len: usize,
        pos: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: `open` has made the private data of the file a `seq_file`.
        let seq = unsafe { (*file).private_data.cast::<bindings::seq_file>() };
        // SAFETY: `open` has made its private data an `Open<T>`, which is only ever borrowed until
        // `release`, and that does not run while a write does.
        let open = unsafe { &*(*seq).private.cast::<Open<T>>() };
        let user = UserPtr::from_ptr(buf.cast_mut().cast());

        match open.write(UserSlice::new(user, len).reader()) {
            Ok(()) => {
                // CAST: The length of a write is at most `MAX_RW_COUNT`, which is below 2^31.
                // SAFETY: The caller passes a valid position, and no other write or read uses it
                // meanwhile.
                unsafe { *pos += len as bindings::loff_t };
                // CAST: The length is below 2^31.
                len as isize
            }
            // CAST: An error number is small.
            Err(error) => error.to_errno() as isize,
        }
    }

    /// Returns the token of the item at `index`: the index plus one, or null after the last item.
    ///
    /// # Safety
    ///
    /// `seq` is that of a file which `open` has opened, and it is locked.
    unsafe fn item(seq: *mut bindings::seq_file, index: bindings::loff_t) -> *mut c_void {
        // SAFETY: By this function's requirements the private data is what `open` has made it.
        let open = unsafe { &*(*seq).private.cast::<Open<T>>() };

        match usize::try_from(index) {
            Ok(index) if index <= open.table.len().div_ceil(BLOCK) + 1 => {
                ptr::without_provenance_mut(index + 1)
            }
            _ => ptr::null_mut(),
        }
    }

    /// Begins to read at `*pos`.
    ///
    /// # Safety
    ///
    /// To be called by `seq_file` only, for a file that `open` has opened.
    unsafe extern "C" fn start(
        seq: *mut bindings::seq_file,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: `seq_file` calls this with its lock held and with a valid position.
        unsafe { Self::item(seq, *pos) }
    }

    /// Moves on to the next item.
    ///
    /// # Safety
    ///
    /// To be called by `seq_file` only, for a file that `open` has opened.
    unsafe extern "C" fn next(
        seq: *mut bindings::seq_file,
        _item: *mut c_void,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: `seq_file` calls this with its lock held and with a valid position, which is at
        // most one more than the number of items.
        unsafe {
            *pos += 1;
            Self::item(seq, *pos)
        }
    }

    /// Ends reading, which takes nothing.
    extern "C" fn stop(_seq: *mut bindings::seq_file, _item: *mut c_void) {}

    /// Writes the item to the buffer. If it does not fit, `seq_file` calls this again with a larger
    /// buffer. Fails with `EINTR` if the caller is being killed: to read from an offset, `seq_file`
    /// makes all rows before it.
    ///
    /// # Safety
    ///
    /// To be called by `seq_file` only, for a file that `open` has opened, with an item that
    /// `start` or `next` has returned.
    unsafe extern "C" fn show(seq: *mut bindings::seq_file, item: *mut c_void) -> c_int {
        // SAFETY: `open` has made the private data an `Open<T>`, which is only ever borrowed until
        // `release`.
        let open = unsafe { &*(*seq).private.cast::<Open<T>>() };
        // SAFETY: `seq_file` calls this with its lock held, so that no other thread uses these
        // fields.
        let (buf, size, begin) = unsafe { ((*seq).buf, (*seq).size, (*seq).count) };

        if open.cleared.load(Relaxed) != size {
            // SAFETY: `seq_file` calls this only with a buffer: `seq_read_iter()` and `traverse()`
            // allocate one of `size` bytes if there is none. `count` is at most `size`, for only
            // the end of this function increases it.
            unsafe { buf.add(begin).write_bytes(0, size - begin) };
            open.cleared.store(size, Relaxed);
        }
        // SAFETY:
        // - `buf` has `size` bytes, and `begin` is at most `size`, as above.
        // - All of them are initialised, by the type invariant of `Open`.
        // - `seq_file` has its lock held, so that no other thread uses them until this returns.
        let rest =
            unsafe { core::slice::from_raw_parts_mut(buf.add(begin).cast::<u8>(), size - begin) };
        let mut line = Line::new(rest);
        let at = item.addr() - 1;
        let rows = open.table.len();

        if at % const { signal::ROWS_PER_CHECK / BLOCK } == 0
            && signal::check_fatal_signal().is_err()
        {
            return EINTR.to_errno();
        }
        match at {
            0 => open.table.header(&mut line),
            at if (at - 1) * BLOCK < rows => {
                let start = (at - 1) * BLOCK;

                // No time goes into rows that will not fit: they are written when the buffer is
                // empty again.
                if begin == 0 || line.has_room(open.block.load(Relaxed)) {
                    open.table.rows(start..rows.min(start + BLOCK), &mut line);
                    open.block.store(line.as_bytes().len(), Relaxed);
                }
            }
            _ => open.table.summary(&mut line),
        }

        // As `seq_commit()`: a full buffer means that the item did not fit.
        let count = line.finish().map_or(size, |len| begin + len);

        if begin == 0 && count == size {
            // INVARIANT: `seq_file` replaces a buffer that is too small for a single item. The next
            // buffer has not been cleared.
            open.cleared.store(0, Relaxed);
        }
        // SAFETY: `seq_file` calls this with its lock held, and `count` is at most `size`.
        unsafe { (*seq).count = count };
        0
    }
}
