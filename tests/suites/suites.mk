# SPDX-License-Identifier: GPL-2.0
#
# Included by the project's Kbuild. Adds to the module its KUnit suites, and run.c, which runs them, although the
# kernel is configured without KUnit.

suites := $(obj)/tests/suites

taskscope-y += tests/suites/kernel.o tests/suites/run.o
LDFLAGS_taskscope.o := -T $(src)/tests/suites/suites.lds
CFLAGS_src/abstractions/helpers.o := -DWITH_SUITES
# As in the kernel, no header declares what only Rust calls.
CFLAGS_REMOVE_tests/suites/run.o := -Wmissing-prototypes -Wmissing-declarations

# The kernel's Rust library lacks its module `kunit`. The crate kernel.rs has all of that library, and that module
# from the kernel's source; the module is compiled with this crate in place of the library.
quiet_cmd_kernel_crate = GEN     $@
      cmd_kernel_crate = sed 's,KUNIT_RS,$(abspath $(srctree))/rust/kernel/kunit.rs,' $< >$@

$(suites)/kernel.rs: $(src)/tests/suites/kernel.rs.in FORCE
	$(call if_changed,kernel_crate)

targets += tests/suites/kernel.rs

metadata := $(abspath $(suites))/libkernel.rmeta
RUSTFLAGS_tests/suites/kernel.o := --emit=metadata=$(metadata) -Cmetadata=with_kunit --extern bindings
RUSTFLAGS_src/taskscope.o := --cfg=CONFIG_KUNIT=\"y\" --extern kernel=$(metadata)

$(obj)/src/taskscope.o: $(suites)/kernel.o
