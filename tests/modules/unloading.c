// SPDX-License-Identifier: GPL-2.0
/*
 * taskscope as it is for a moment in delete_module(): the last reference is put, and the module is
 * not yet marked as being unloaded. This lasts until this module is unloaded.
 */
#include <linux/kobject.h>
#include <linux/module.h>

static struct module_kobject *taskscope;

static int __init unloading_init(void)
{
	struct kobject *kobject = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, "taskscope");

	if (!kobject)
		return -ENOENT;
	taskscope = container_of(kobject, struct module_kobject, kobj);
	/* As try_release_module_ref(), which fails if a file is open. */
	if (atomic_cmpxchg(&taskscope->mod->refcnt, 1, 0) != 1) {
		kobject_put(kobject);
		return -EWOULDBLOCK;
	}
	return 0;
}

static void __exit unloading_exit(void)
{
	atomic_inc(&taskscope->mod->refcnt);
	kobject_put(&taskscope->kobj);
}

module_init(unloading_init);
module_exit(unloading_exit);
MODULE_DESCRIPTION("Holds taskscope where its last reference has been put");
MODULE_LICENSE("GPL");
