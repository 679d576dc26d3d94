// SPDX-License-Identifier: GPL-2.0

//! What calls the student's table in the exercise `your-taskscope`: the file `/dev/exercise`.

use crate::lab::Exercise;
use crate::student::Student;
use kernel::fs::{
    File,
    Kiocb, //
};
use kernel::iov::IovIterDest;
use kernel::miscdevice::{
    MiscDevice,
    MiscDeviceOptions,
    MiscDeviceRegistration, //
};
use kernel::prelude::*;

/// An open file, whose text is a table.
///
/// All functions run in process context and may sleep. `open()` and `read()` run in the task that calls open(2) and
/// read(2); two tasks may read an open file at the same time.
pub(crate) trait Table: Sized + Send + Sync + 'static {
    /// Called each time someone opens the file.
    ///
    /// # Errors
    ///
    /// With an error, the open fails.
    fn open() -> Result<Self>;

    /// Called for each read: puts bytes of the text, from `offset` on, at the beginning of `buffer`, and returns how
    /// many. There may be fewer than fit. 0 means that the text has ended.
    ///
    /// # Errors
    ///
    /// With an error, the read fails.
    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<usize>;
}

/// The most bytes of one read.
const BUFFER_MAX: usize = 64 * 1024;

/// An open file.
struct Open(Student);

#[vtable]
impl MiscDevice for Open {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _device: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Self(Student::open()?), GFP_KERNEL)?)
    }

    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let position = kiocb.ki_pos();
        let mut buffer = KVVec::from_elem(0, iov.len().min(BUFFER_MAX), GFP_KERNEL)?;
        let count = kiocb
            .file()
            .0
            .read(usize::try_from(position)?, &mut buffer)?;
        // More than there was room for is a mistake of the student's.
        let copied = iov.copy_to_iter(buffer.get(..count).ok_or(EIO)?);

        *kiocb.ki_pos_mut() = position + i64::try_from(copied)?;
        Ok(copied)
    }
}

pub(crate) struct Answers {
    _device: Pin<KBox<MiscDeviceRegistration<Open>>>,
}

impl Exercise for Answers {
    fn load(_word: &str) -> Result<Self> {
        let options = MiscDeviceOptions { name: c"exercise" };

        Ok(Self {
            _device: KBox::try_pin_init(MiscDeviceRegistration::register(options), GFP_KERNEL)?,
        })
    }
}
