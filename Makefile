# SPDX-License-Identifier: GPL-2.0
#
# What a user types; `make help` lists it. What kbuild reads is Kbuild.

variables := KERNEL KDIR CPUS MEMORY LIMIT BOOT_LIMIT APPEND FILES CMD TESTS MUTANTS LAB MINUTES THOROUGH GUESTS TURNS QUICK \
	CROWDS REPEATS CONTENDERS CLOCKS BPF EMPTY TEST_REPEATS
# As they were typed: make would expand a `$` in them.
$(foreach name,$(variables),$(if $(filter-out undefined,$(origin $(name))),$(eval override $(name) := $$(value $(name)))))
export $(variables)

.PHONY: all run test soak check mutants shell vm bench bench-check bench-baseline bench-profile bench-loop
.PHONY: headers update lint doctor clean distclean help

# With KDIR, that kernel tree and the host's own tools; otherwise the kernel
# that KERNEL names, in the build root.
all:
	@$(if $(KDIR),scripts/build-for "$$KDIR",scripts/launch build)

run test soak shell:
	@scripts/launch $@

vm:
	@scripts/launch vm "$$CMD"

check:
	@tests/host/run

mutants:
	@tests/mutants/run

bench:
	@tests/bench/run bench

bench-check bench-baseline bench-profile bench-loop:
	@tests/bench/run $(@:bench-%=%)

headers:
	@scripts/rust-headers $${KERNEL:+"$$KERNEL"}

update:
	@scripts/rust-headers --newest $${KERNEL:+"$$KERNEL"}

lint:
	@scripts/in-root scripts/lint

doctor:
	@scripts/doctor

clean:
	rm -rf build taskscope.ko

distclean: clean
	@scripts/remove-cache

help:
	@scripts/help
