// SPDX-License-Identifier: GPL-2.0

//! Capabilities of the calling thread.
//!
//! C header: [`include/linux/capability.h`](srctree/include/linux/capability.h).

use kernel::bindings;
use kernel::prelude::*;

/// A capability that a table asks for.
#[derive(Clone, Copy)]
pub(crate) enum Capability {
    /// `CAP_SYS_ADMIN`.
    SysAdmin = bindings::CAP_SYS_ADMIN as isize,
    /// `CAP_SYS_PTRACE`. A debugger needs it to look at the memory, the stacks and the registers of
    /// any process.
    SysPtrace = bindings::CAP_SYS_PTRACE as isize,
}

impl Capability {
    /// Refuses a caller without the capability in the initial user namespace.
    ///
    /// Task context. If the caller has it, this sets `PF_SUPERPRIV` of the caller, as each use of a
    /// capability does.
    ///
    /// # Errors
    ///
    /// `EPERM`.
    pub(crate) fn require(self) -> Result {
        // CAST: The number of a capability is below 64.
        // SAFETY: Each value of `Self` is the number of a capability. Another number would be a
        // `BUG()`.
        if unsafe { bindings::capable(self as c_int) } {
            Ok(())
        } else {
            Err(EPERM)
        }
    }
}
