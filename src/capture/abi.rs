// SPDX-License-Identifier: GPL-2.0

//! The system call tables of an architecture, and the names of the calls in them.
//!
//! A kernel has one table for its own programs, and others for those of the 32-bit architecture
//! that it runs as well. A number means nothing without its table: call 29 is `shmget` for an
//! x86-64 program and `pause` for an i386 one, and an x86-64 program can make either.
//!
//! C headers: [`arch/x86/include/asm/syscall.h`](srctree/arch/x86/include/asm/syscall.h),
//! [`arch/arm64/include/asm/syscall.h`](srctree/arch/arm64/include/asm/syscall.h).

use kernel::bindings;
use kernel::prelude::*;

/// The names of system calls by number, a table for each header of the kernel that lists some.
///
/// `src/capture/call_names.awk` writes them when the module is built.
mod names {
    include!(env!("TASKSCOPE_CALL_NAMES"));
}

/// In a table, a number without a name.
const NAMELESS: &str = "-";

/// The bit in the number of each x32 call: `__X32_SYSCALL_BIT`.
const X32_BIT: i32 = 1 << 30;

/// A system call table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abi {
    /// That of x86-64.
    X86_64,
    /// That of i386, which x86-64 programs can use as well.
    I386,
    /// That of x86-64 programs with 32-bit pointers: its numbers have a bit that the other numbers
    /// lack.
    X32,
    /// That of arm64.
    Aarch64,
    /// That of 32-bit ARM.
    Arm,
}

impl Abi {
    /// Returns the table of call `nr` when the kernel took it for one of `machine`, an `EM_*`;
    /// [`None`] if `nr` is no call.
    pub(crate) fn new(machine: u16, nr: i32) -> Option<Self> {
        match u32::from(machine) {
            _ if nr < 0 => None,
            bindings::EM_X86_64 if nr & X32_BIT != 0 => Some(Self::X32),
            bindings::EM_X86_64 => Some(Self::X86_64),
            bindings::EM_386 => Some(Self::I386),
            bindings::EM_AARCH64 => Some(Self::Aarch64),
            bindings::EM_ARM => Some(Self::Arm),
            _ => None,
        }
    }

    /// Returns the word for this table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::I386 => "i386",
            Self::X32 => "x32",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
        }
    }

    /// Returns the names in this table; none if it is of another kernel than this one.
    const fn names(self) -> &'static [&'static str] {
        match self {
            #[cfg(CONFIG_X86_64)]
            Self::X86_64 => &names::UNISTD_64,
            #[cfg(CONFIG_X86_64)]
            Self::I386 => &names::UNISTD_32,
            #[cfg(CONFIG_X86_64)]
            Self::X32 => &names::UNISTD_X32,
            #[cfg(CONFIG_ARM64)]
            Self::Aarch64 => &names::UNISTD_64,
            #[cfg(CONFIG_ARM64)]
            Self::Arm => &names::UNISTD_32,
            _ => &[],
        }
    }

    /// Returns the name of call `nr`, or `-` if it has none.
    pub(crate) fn call(self, nr: i32) -> &'static str {
        let nr = match self {
            Self::X32 => nr & !X32_BIT,
            _ => nr,
        };

        usize::try_from(nr)
            .ok()
            .and_then(|nr| self.names().get(nr))
            .unwrap_or(&NAMELESS)
    }
}

#[kunit_tests(taskscope_abi)]
mod tests {
    use super::*;

    /// The machines of the kernels that the module is for, and of the programs that they run.
    const X86_64: u16 = bindings::EM_X86_64 as u16;
    const I386: u16 = bindings::EM_386 as u16;
    const AARCH64: u16 = bindings::EM_AARCH64 as u16;
    const ARM: u16 = bindings::EM_ARM as u16;

    /// What the C library of x32 adds to a number.
    const X32: i32 = 0x4000_0000;

    /// The tables.
    const ALL: [Abi; 5] = [Abi::X86_64, Abi::I386, Abi::X32, Abi::Aarch64, Abi::Arm];

    #[test]
    fn the_machine_and_a_bit_tell_the_table() {
        assert_eq!(Abi::new(X86_64, 34), Some(Abi::X86_64));
        assert_eq!(Abi::new(X86_64, X32 | 34), Some(Abi::X32));
        assert_eq!(Abi::new(I386, 29), Some(Abi::I386));
        assert_eq!(Abi::new(I386, X32 | 29), Some(Abi::I386));
        assert_eq!(Abi::new(AARCH64, 73), Some(Abi::Aarch64));
        assert_eq!(Abi::new(ARM, 29), Some(Abi::Arm));
    }

    #[test]
    fn no_call_has_no_table() {
        for machine in [X86_64, I386, AARCH64, ARM] {
            assert_eq!(Abi::new(machine, -1), None);
            assert_eq!(Abi::new(machine, i32::MIN), None);
        }
    }

    #[cfg(CONFIG_X86_64)]
    #[test]
    fn a_name_is_that_of_its_x86_table() {
        assert_eq!(Abi::X86_64.call(29), "shmget");
        assert_eq!(Abi::X86_64.call(34), "pause");
        assert_eq!(Abi::I386.call(29), "pause");
        assert_eq!(Abi::X32.call(X32 | 34), "pause");
        // x32 has calls of its own.
        assert_eq!(Abi::X32.call(X32 | 512), "rt_sigaction");
        assert_eq!(Abi::X86_64.call(512), "-");
    }

    #[cfg(CONFIG_ARM64)]
    #[test]
    fn a_name_is_that_of_its_arm_table() {
        assert_eq!(Abi::Aarch64.call(73), "ppoll");
        assert_eq!(Abi::Arm.call(29), "pause");
    }

    #[test]
    fn a_number_without_a_name() {
        for abi in ALL {
            assert_eq!(abi.call(-1), "-");
            assert_eq!(abi.call(100_000), "-");
            assert_eq!(abi.call(i32::MAX), "-");
        }
    }
}
