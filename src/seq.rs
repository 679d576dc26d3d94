// SPDX-License-Identifier: GPL-2.0

//! Tables as files in debugfs.
//!
//! A *table* is captured when its file is opened, and the text that describes it is made piece by
//! piece as it is read: a header, a row for each item, a summary. [`Directory`] puts files for
//! tables into debugfs; everything a table needs to do is in the safe trait [`Table`].
//!
//! Reading is what `seq_file` makes of it. The text of an open file never changes, so reads of any
//! size, `pread()` and `lseek()` give pieces of one and the same text; readers that share a
//! descriptor take turns.
//!
//! # A file that is open while the module is unloaded
//!
//! There is none. Each file's operations name the module as their owner, so an open file holds a
//! reference to the module, and unloading is refused with `EWOULDBLOCK` until the file is closed.
//! An `open()` that races with unloading finds the module on its way out and fails with `ENXIO`;
//! one that has got further is waited for when the directory is removed. Loading has the same
//! hazard from the other end, because a module that fails to load is freed whether it is in use or
//! not: until [`Directory::publish`] is called, when nothing can fail any more, `open()` fails
//! with `ENXIO`.
//!
//! # An open that the kernel refuses after `open()`
//!
//! The kernel may still refuse an open whose `open()` has succeeded: for `O_DIRECT`, or because a
//! security module forbids to truncate the file. It then calls `release()`, as for a file that is
//! closed. What a close does to the state of the module ([`Input::close`]) it must not do then.
//! `flush()` tells the two apart: it is called when a descriptor of the file is closed, and a file
//! whose open was refused never had one.
//!
//! The proxies of debugfs do not forward `flush()`. Hence a file that is written to is made by
//! `debugfs_create_file_unsafe()`, whose proxy is gone once the file is open. It would protect
//! the operations from the removal of the file. Here the reference to the module does so: the files
//! are removed when the module is unloaded, which no open file lets happen.
//!
//! # Killed readers
//!
//! A fatal signal ends `open()`, and a read between two blocks of rows, with `EINTR`.
//!
//! C headers: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h),
//! [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h).

use crate::{
    line::Line,
    sys, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Range,
    ptr, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        new_mutex,
        Arc,
        Mutex, //
    },
    types::ForeignOwnable,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    },
};

/// The size in bytes of the buffer through which a table is read at first: fewer, larger reads than
/// with the page that `seq_file` would take. A row that does not fit makes `seq_file` enlarge it.
const BUFFER: usize = 16 * 1024;

/// A table, as captured when its file was opened.
///
/// All methods run in process context and may sleep.
pub(crate) trait Table: Sized + Send + Sync + 'static {
    /// What all files of the directory share.
    type Shared: Send + Sync + 'static;

    /// What an open for writing leads to: [`ReadOnly`], unless the file is an input.
    type Input: Input<Shared = Self::Shared>;

    /// Captures the table in the context of the task that opens the file.
    ///
    /// # Errors
    ///
    /// An error is what `open()` returns: `EINTR` if the caller is being killed.
    fn open(shared: &Self::Shared) -> Result<Self>;

    /// Writes the header.
    fn header(&self, _line: &mut Line<'_>) {}

    /// Returns the number of rows.
    fn rows(&self) -> usize;

    /// How many rows are written at once.
    const BLOCK: usize = 1;

    /// Writes row `at`, which is below [`Table::rows`].
    fn row(&self, at: usize, line: &mut Line<'_>);

    /// Writes [`Table::BLOCK`] rows that follow each other, or those that are left at the end.
    ///
    /// If not all of them fit, none does.
    #[inline]
    fn block(&self, rows: Range<usize>, line: &mut Line<'_>) {
        for at in rows {
            self.row(at, line);
        }
    }

    /// Writes what comes after the rows.
    fn summary(&self, _line: &mut Line<'_>) {}
}

/// What is written to a file, from one open to the last close.
///
/// All methods run in process context and may sleep; those of one open file take turns.
pub(crate) trait Input: Sized + Send + Unpin + 'static {
    /// What all files of the directory share.
    type Shared: Send + Sync + 'static;

    /// Begins, when the file is opened for writing; `truncate` says that `O_TRUNC` was given.
    ///
    /// The kernel may refuse the open after this: nothing is to be changed yet.
    ///
    /// # Errors
    ///
    /// An error is what `open()` returns.
    fn open(shared: &Self::Shared, truncate: bool) -> Result<Self>;

    /// Takes all of what one `write()` was given.
    ///
    /// An error is what `write()` returns, and then nothing may have changed.
    fn write(&mut self, shared: &Self::Shared, input: UserSliceReader) -> Result;

    /// Ends, when the last descriptor of the file is closed. Not called if the kernel has refused
    /// the open.
    fn close(self, shared: &Self::Shared);
}

/// The [`Input`] of a file that has none: opening it for writing fails with `EACCES`.
pub(crate) struct ReadOnly<S>(PhantomData<fn(&S)>);

impl<S: Send + Sync + 'static> Input for ReadOnly<S> {
    type Shared = S;

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
    /// A buffer that nobody reads through at the moment. A new one costs more than the reads that
    /// it saves in a short table, since the kernel may clear it first.
    #[pin]
    spare: Mutex<Option<KVVec<u8>>>,
    /// What the tables share.
    #[pin]
    shared: S,
}

impl<S> Files<S> {
    /// Returns a buffer of [`BUFFER`] bytes. May sleep; fails with `ENOMEM`.
    fn buffer(&self) -> Result<KVVec<u8>> {
        let spare = self.spare.lock().take();

        Ok(match spare {
            Some(buffer) => buffer,
            None => KVVec::with_capacity(BUFFER, GFP_KERNEL)?,
        })
    }

    /// Takes back a buffer, for the next that opens a file. May sleep.
    fn keep(&self, buffer: KVVec<u8>) {
        // One that has been enlarged is more than most tables need. (One of this size may still be
        // `seq_file`'s own, of a reader for whom memory was short at first, and stays charged to the
        // memory cgroup of that.)
        if buffer.capacity() == BUFFER {
            // The lock is let go of here, and what was kept before is freed after that.
            let _surplus = self.spare.lock().replace(buffer);
        }
    }
}

/// A directory in debugfs, with its files; both are removed when this is dropped.
///
/// # Invariants
///
/// - `dentry` is a directory in debugfs that this owns.
/// - `files` comes from `Arc::into_foreign()` and stands for a reference that this owns. It is the
///   private data of every file in the directory.
pub(crate) struct Directory<S: Send + Sync + 'static> {
    dentry: *mut bindings::dentry,
    files: *mut c_void,
    _shared: PhantomData<Arc<Files<S>>>,
}

// SAFETY: debugfs may be called from any thread, and `Arc<Files<S>>` may be sent to any, as `S` may
// be sent and shared.
unsafe impl<S: Send + Sync + 'static> Send for Directory<S> {}

// SAFETY: The methods that take a shared reference call debugfs, which has locks of its own, or
// borrow `Files<S>`, which may be shared as `S` may.
unsafe impl<S: Send + Sync + 'static> Sync for Directory<S> {}

impl<S: Send + Sync + 'static> Directory<S> {
    /// Creates a directory at the root of debugfs, whose files share `shared`.
    ///
    /// May sleep. Fails with `ENOMEM`; with `ENODEV` if the kernel has no debugfs, `EEXIST` if the
    /// name is taken, `EPERM` if debugfs has been switched off.
    pub(crate) fn new(name: &'static CStr, shared: impl PinInit<S, Error>) -> Result<Self> {
        let spare = KVVec::with_capacity(BUFFER, GFP_KERNEL)?;
        let files = Arc::pin_init(
            try_pin_init!(Files {
                published: Atomic::new(false),
                spare <- new_mutex!(Some(spare)),
                shared <- shared,
            }? Error),
            GFP_KERNEL,
        )?;
        // SAFETY: `name` is a NUL-terminated string; no parent means the root of debugfs.
        let dentry = from_err_ptr(unsafe {
            bindings::debugfs_create_dir(name.as_char_ptr(), ptr::null_mut())
        })?;

        // INVARIANT: The directory has just been created, and the reference has just been given up.
        Ok(Self {
            dentry,
            files: files.into_foreign(),
            _shared: PhantomData,
        })
    }

    /// Adds a file for a table that is only read, with the permission bits `mode`.
    ///
    /// May sleep. Fails, with the error of debugfs, when there is no file afterwards.
    pub(crate) fn add<T>(&self, name: &'static CStr, mode: u16) -> Result
    where
        T: Table<Shared = S, Input = ReadOnly<S>>,
    {
        // SAFETY:
        // - `name` is a NUL-terminated string.
        // - By the type invariant `dentry` is a directory in debugfs, and `files` stays valid until
        //   after this directory with all its files has been removed.
        // - The operations are a constant, and expect `files` as the private data of the file.
        from_err_ptr(unsafe {
            bindings::debugfs_create_file_full(
                name.as_char_ptr(),
                mode,
                self.dentry,
                self.files,
                ptr::null(),
                &Ops::<T>::FILE,
            )
        })?;
        Ok(())
    }

    /// Adds the file of a table that is written to, with the permission bits `mode`, and lets all
    /// files be opened.
    ///
    /// After this, loading the module must not fail: a caller whose `open()` has failed may still
    /// be about to put its reference to the module, which nothing waits for.
    ///
    /// May sleep. Fails, with the error of debugfs, when there is no such file afterwards.
    pub(crate) fn publish<T: Table<Shared = S>>(&self, name: &'static CStr, mode: u16) -> Result {
        // SAFETY:
        // - As in `add`.
        // - Every operation of an open file may run without the protection of debugfs: the file
        //   holds a reference to the module (`owner`), which therefore cannot be unloaded, and
        //   so does not remove the file. `open()` is protected.
        from_err_ptr(unsafe {
            bindings::debugfs_create_file_unsafe(
                name.as_char_ptr(),
                mode,
                self.dentry,
                self.files,
                &Ops::<T>::FILE,
            )
        })?;
        // SAFETY: By the type invariant `files` comes from `Arc::into_foreign()`, and the reference
        // that it stands for is given up only when `self` is dropped. Nobody borrows it mutably.
        let files = unsafe { Arc::<Files<S>>::borrow(self.files) };

        files.published.store(true, Release);
        Ok(())
    }
}

impl<S: Send + Sync + 'static> Drop for Directory<S> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is a directory in debugfs that we own. Once this
        // returns, no operation on one of its files is running except `release()`, which does not
        // use the private data of the file, and none will be called: debugfs sees to that, and in
        // the case of the file that `publish` has added, that no file is open any more.
        unsafe { bindings::debugfs_remove(self.dentry) };
        // SAFETY: By the type invariant this comes from `Arc::into_foreign()` and is ours. The files
        // that refer to it are gone.
        drop(unsafe { Arc::<Files<S>>::from_foreign(self.files) });
    }
}

/// What several writers may share.
type Locked<I> = Mutex<Option<I>>;

/// An open file. It is the private data of its `seq_file`.
struct Open<T: Table> {
    table: T,
    /// What is written, if the file is open for writing; taken out when it is closed.
    input: Option<Pin<KBox<Locked<T::Input>>>>,
    /// Whether a descriptor of the file has been closed: then the kernel has not refused the open.
    had_descriptor: Atomic<bool>,
    files: Arc<Files<T::Shared>>,
}

impl<T: Table> Open<T> {
    /// Passes on what is written to the file; `EBADF` if it is open for reading only.
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
    /// The file operations. `read` and not `read_iter`: the proxies of debugfs forward no other.
    /// `flush` they do not forward either; it is called for a file that is written to.
    const FILE: bindings::file_operations = bindings::file_operations {
        owner: sys::THIS_MODULE,
        open: Some(Self::open),
        read: Some(bindings::seq_read),
        write: Some(Self::write),
        llseek: Some(bindings::seq_lseek),
        flush: Some(Self::flush),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    /// The sequence: index 0 is the header, the last is the summary, the blocks of rows are between
    /// them.
    const SEQ: bindings::seq_operations = bindings::seq_operations {
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
            if !sys::capable_sys_admin() {
                return Err(EPERM);
            }
            // SAFETY: The inode is that of the file that is being opened, valid meanwhile.
            let private = unsafe { (*inode).i_private };
            // SAFETY: `Directory::add` has made the private data what `Arc::into_foreign()` had
            // returned, and the reference is given up only after the file has been removed, which
            // waits for this call. Nobody borrows it mutably.
            let files = Arc::from(unsafe { Arc::<Files<T::Shared>>::borrow(private) });

            if !files.published.load(Acquire) {
                return Err(ENXIO);
            }
            // SAFETY: The file is being opened, and its mode is set.
            let writable = unsafe { sys::file_writable(file) };
            let input = if writable {
                // SAFETY: As above; the flags are set too.
                let truncate = unsafe { (*file).f_flags } & bindings::O_TRUNC != 0;
                let input = T::Input::open(&files.shared, truncate)?;

                Some(KBox::pin_init(new_mutex!(Some(input)), GFP_KERNEL)?)
            } else {
                None
            };
            let table = T::open(&files.shared)?;
            // Made here, so that it is `open()` which fails when there is no memory for it.
            let buffer = files.buffer()?;
            let open = KBox::new(
                Open {
                    table,
                    input,
                    had_descriptor: Atomic::new(false),
                    files,
                },
                GFP_KERNEL,
            )?;

            // SAFETY: The file is being opened and has no private data yet; the operations are a
            // constant.
            to_result(unsafe { bindings::seq_open(file, &Self::SEQ) })?;

            // SAFETY: `seq_open()` has succeeded, and has made the private data of the file a
            // `seq_file` which nobody else can know of yet.
            let seq = unsafe { &mut *(*file).private_data.cast::<bindings::seq_file>() };

            seq.private = KBox::into_raw(open).cast();

            // `seq_file` makes it anew when it is too small, and frees the old one with `kvfree()`,
            // which is right for what a `KVVec` has allocated.
            let (buf, _, size) = buffer.into_raw_parts();

            seq.buf = buf.cast();
            seq.size = size;
            Ok(0)
        })
    }

    /// Notes that a descriptor of the file is closed. There may be more of them, of this process
    /// or of others, which write later.
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
    /// To be called by debugfs only, for a file that `open` has opened.
    unsafe extern "C" fn release(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` has made the private data of the file a `seq_file`.
        let seq = unsafe { (*file).private_data.cast::<bindings::seq_file>() };
        // SAFETY: `open` has made its private data an `Open<T>` from `KBox::into_raw`. This is the
        // last call for this file, so nobody uses it any more.
        let mut open = unsafe { KBox::from_raw((*seq).private.cast::<Open<T>>()) };
        // SAFETY: Nobody else uses this field any more, as this is the last call.
        let buf = unsafe { ptr::replace(&raw mut (*seq).buf, ptr::null_mut()) };
        // SAFETY: As above.
        let size = unsafe { (*seq).size };

        // It is null where there was no memory to enlarge it.
        if !buf.is_null() {
            // SAFETY: `buf` is a buffer of `open`'s, or one that `seq_file` has allocated in its
            // place, by `kvmalloc()`, which is where `KVmalloc` has memory from. Both have `size`
            // bytes, `u8` has no alignment to keep, and `seq_file` knows of it no more.
            let buffer = unsafe { KVVec::from_raw_parts(buf.cast(), 0, size) };

            open.files.keep(buffer);
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
    /// To be called by debugfs only, for a file that `open` has opened.
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
                // CAST: As above.
                len as isize
            }
            // CAST: An error number is small.
            Err(error) => error.to_errno() as isize,
        }
    }

    /// Returns what stands for the item at `index`: its number plus one, or null after the last.
    ///
    /// # Safety
    ///
    /// `seq` is that of a file which `open` has opened, and it is locked.
    unsafe fn item(seq: *mut bindings::seq_file, index: bindings::loff_t) -> *mut c_void {
        // SAFETY: By this function's requirements the private data is what `open` has made it.
        let open = unsafe { &*(*seq).private.cast::<Open<T>>() };

        match usize::try_from(index) {
            Ok(index) if index <= open.table.rows().div_ceil(T::BLOCK) + 1 => {
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

    /// Ends reading: there is nothing to be undone.
    ///
    /// # Safety
    ///
    /// None; it is `unsafe` to be of the type that C expects.
    unsafe extern "C" fn stop(_seq: *mut bindings::seq_file, _item: *mut c_void) {}

    /// Writes the item to the buffer; if it does not fit, `seq_file` comes again with a larger one.
    /// Fails with `EINTR` if the caller is being killed: to read on from an offset, `seq_file` makes
    /// all rows before it.
    ///
    /// # Safety
    ///
    /// To be called by `seq_file` only, for a file that `open` has opened, with an item that
    /// `start` or `next` has returned.
    unsafe extern "C" fn show(seq: *mut bindings::seq_file, item: *mut c_void) -> c_int {
        // SAFETY: `open` has made the private data an `Open<T>`, which is only ever borrowed until
        // `release`.
        let open = unsafe { &*(*seq).private.cast::<Open<T>>() };
        // SAFETY: `seq_file` calls this with its lock held: nobody else uses these fields.
        let (buf, size, count) = unsafe { ((*seq).buf, (*seq).size, (*seq).count) };
        // SAFETY:
        // - `buf` has `size` bytes, of which the first `count` are taken, and `count <= size`.
        // - Nobody else uses the rest until this returns, and it need not be initialised.
        let rest = unsafe {
            core::slice::from_raw_parts_mut(buf.cast::<MaybeUninit<u8>>().add(count), size - count)
        };
        let mut line = Line::new(rest);
        let at = item.addr() - 1;
        let rows = open.table.rows();

        if at % const { sys::ROWS_PER_CHECK / T::BLOCK } == 0 && sys::check_fatal_signal().is_err()
        {
            return EINTR.to_errno();
        }
        match at {
            0 => open.table.header(&mut line),
            at if (at - 1) * T::BLOCK < rows => {
                let start = (at - 1) * T::BLOCK;

                open.table
                    .block(start..rows.min(start + T::BLOCK), &mut line);
            }
            _ => open.table.summary(&mut line),
        }

        // As `seq_commit()`: a full buffer is how an overflow is told.
        let count = line.finish().map_or(size, |len| count + len);
        // SAFETY: As above; `Line` wrote no more than `rest` has room for.
        unsafe { (*seq).count = count };
        0
    }
}
