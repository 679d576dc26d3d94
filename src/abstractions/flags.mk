# SPDX-License-Identifier: GPL-2.0
#
# Included by the Kbuild of each module with these files. compat.rs has what Linux 7.2 lacks; 7.3 and later have kernel_7_3.

rustflags-y += $(if $(filter 7.2,$(VERSION).$(PATCHLEVEL)),,--cfg=kernel_7_3)
