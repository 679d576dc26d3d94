// SPDX-License-Identifier: GPL-2.0

//! Who may open the tables that show what is otherwise for ptrace() alone.

use crate::sys;
use kernel::prelude::*;

/// Fails with `EPERM` unless the caller has `CAP_SYS_PTRACE` in the initial user namespace, which is
/// what looking at the memory, the stacks and the registers of any process asks for.
///
/// Nobody comes here without `CAP_SYS_ADMIN`.
pub(crate) fn may_look() -> Result {
    if sys::capable_sys_ptrace() {
        Ok(())
    } else {
        Err(EPERM)
    }
}
