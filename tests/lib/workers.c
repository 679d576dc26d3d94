// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest.h"
#include "workers.h"

static int set_up_ring(unsigned int flags, struct io_uring_params *parameters)
{
	*parameters = (struct io_uring_params) { .flags = flags, .sq_thread_idle = 1 };
	return must(syscall(SYS_io_uring_setup, 4, parameters));
}

static void poll_submissions(void *unused)
{
	struct io_uring_params parameters;

	set_up_ring(IORING_SETUP_SQPOLL, &parameters);
}

static void open_asynchronously(void *unused)
{
	struct io_uring_params parameters;
	struct io_uring_sqe *entry;
	unsigned int *tail, *array;
	char *ring;
	int file;

	file = set_up_ring(0, &parameters);
	ring = mmap(NULL, parameters.sq_off.array + parameters.sq_entries * sizeof(*array),
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, IORING_OFF_SQ_RING);
	entry = mmap(NULL, parameters.sq_entries * sizeof(*entry), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, file, IORING_OFF_SQES);
	if (ring == MAP_FAILED || entry == MAP_FAILED)
		die("mmap of a ring");
	tail = (unsigned int *)(ring + parameters.sq_off.tail);
	array = (unsigned int *)(ring + parameters.sq_off.array);
	/* A FIFO without a writer: io_uring's worker blocks in the open. */
	*entry = (struct io_uring_sqe) {
		.opcode = IORING_OP_OPENAT, .flags = IOSQE_ASYNC, .fd = AT_FDCWD,
		.addr = (uintptr_t)"/tmp/fifo", .open_flags = O_RDONLY,
	};
	array[*tail] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, file, 1, 0, 0, NULL, 0));
}

static void open_device(void *device)
{
	must(open(device, O_RDONLY));
}

/* Waits for the worker; the format of its name may take the PID of its process. */
static struct worker wait_for_worker(pid_t process, const char *format)
{
	struct worker worker = { .process = process };

	snprintf(worker.name, sizeof(worker.name), format, process);
	worker.thread = wait_for_thread(process, worker.name);
	return worker;
}

struct worker start_ring_poller(void)
{
	return wait_for_worker(start_child(poll_submissions, NULL), "iou-sqp-%d");
}

struct worker start_ring_worker(void)
{
	unlink("/tmp/fifo");
	must(mkfifo("/tmp/fifo", 0600));
	return wait_for_worker(start_child(open_asynchronously, NULL), "iou-wrk-%d");
}

struct worker start_user_worker(void)
{
	load_module("/tests/user_worker.ko", "");
	return wait_for_worker(start_child(open_device, "/dev/user_worker"), "user_worker");
}

pid_t start_borrower(void)
{
	pid_t borrower;

	load_module("/tests/borrow_mm.ko", "");
	start_child(open_device, "/dev/borrow_mm");
	wait_until((borrower = find_thread_named("borrow_mm")), "no borrower");
	return borrower;
}

pid_t start_helper(const char *program)
{
	char parameters[100] = "";
	pid_t pid;

	if (program) {
		close(must(open(program, O_WRONLY | O_CREAT, 0700)));
		snprintf(parameters, sizeof(parameters), "program=%s", program);
	}
	load_module("/tests/hold_helper.ko", parameters);
	pid = parameter_value("hold_helper", "pid");
	wait_for_state(pid, pid, "I");
	return pid;
}

#define UNBOUND "/sys/devices/virtual/workqueue/cpumask"

char *run_unbound_items_on(int cpu)
{
	char *cpus = slurp(UNBOUND, NULL), only[20];

	snprintf(only, sizeof(only), "%x", 1u << cpu);
	write_file(UNBOUND, only);
	return cpus;
}

void run_unbound_items_as_before(char *cpus)
{
	write_file(UNBOUND, cpus);
	free(cpus);
}
