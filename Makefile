# SPDX-License-Identifier: GPL-2.0
#
# The targets that a user types; `make help` lists them. Kbuild is for kbuild.

variables := KERNEL SUITE EXPIRED KDIR CPUS MEMORY LIMIT BOOT BOOT_LIMIT APPEND FILES CMD MODULE PARAMS TESTS MUTANTS LAB MINUTES SEED THOROUGH GUESTS FAIL_FAST CLOCK TURNS QUICK \
	CROWDS REPEATS CONTENDERS CLOCKS BPF EMPTY TEST_REPEATS N SPOIL OFFLINE EXERCISES \
	DIR OUT STUDENT JOBS COUNT DEBUG COMPILER_LIMIT INSTALL_MOD_PATH SIGN_KEY SIGN_CERT DISK NETWORK SECURE_BOOT MOK PACKAGES ROWS MATRIX_TESTS
# Exported as the user typed them: make would expand a `$` in them.
$(foreach name,$(variables),$(if $(filter-out undefined,$(origin $(name))),$(eval override $(name) := $$(value $(name)))))
export $(variables)

.PHONY: all run test soak fuzz-readers check mutants matrix shell vm bench bench-check bench-baseline bench-profile bench-loop mutants-generated
.PHONY: headers update lint doctor book tool report install uninstall clean distclean help fuzz-tool deb
.PHONY: lab-vm test-lab
.PHONY: learn exercise hint watch reset solution course-check course-doc
.PHONY: class class-job class-merge class-image course-pack

# With KDIR: for that kernel tree, with the tools of the host. Without: for the kernel KERNEL, in the build
# root.
all:
	@$(if $(KDIR),scripts/build-for "$$KDIR",scripts/launch build)

run shell:
	@scripts/launch $@

test:
	@tests/run

soak:
	@tests/soak/run

fuzz-readers:
	@tests/soak/run fuzz_readers

vm:
	@scripts/launch vm "$$CMD"

check:
	@tests/host/run

mutants:
	@tests/mutants/run

mutants-generated:
	@tests/mutants/generated

lab-vm:
	@scripts/lab-vm "$$CMD"

test-lab:
	@tests/lab/run

matrix:
	@tests/matrix/run

bench:
	@tests/bench/run bench

bench-check bench-baseline bench-profile bench-loop:
	@tests/bench/run $(@:bench-%=%)

learn:
	@course/run learn

exercise hint watch reset solution:
	@course/run $@

course-doc:
	@course/run doc

course-check:
	@course/check

class:
	@course/class all

class-job class-merge class-image course-pack:
	@course/class $(lastword $(subst -, ,$@))

headers:
	@scripts/rust-headers $${KERNEL:+"$$KERNEL"}

update:
	@scripts/rust-headers --newest $${KERNEL:+"$$KERNEL"}

lint:
	@scripts/in-root scripts/lint

doctor:
	@scripts/doctor

book:
	@scripts/in-root scripts/book

install:
	@scripts/install

uninstall:
	@scripts/install --remove

tool:
	@scripts/in-root scripts/tool build

fuzz-tool:
	@scripts/in-root scripts/tool fuzz

deb:
	@scripts/deb

report:
	@scripts/report

clean:
	rm -rf build taskscope.ko

distclean: clean
	@scripts/remove-cache

help:
	@scripts/help
