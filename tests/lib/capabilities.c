// SPDX-License-Identifier: GPL-2.0
#include <sys/syscall.h>

#include "capabilities.h"
#include "guest.h"

void keep_capabilities(unsigned long kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	must(syscall(SYS_capget, &header, data));
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= kept >> (32 * i);
		data[i].effective = data[i].permitted;
		data[i].inheritable &= data[i].permitted;
	}
	must(syscall(SYS_capset, &header, data));
}

void drop_capability(int capability)
{
	keep_capabilities(~ONLY(capability));
}
