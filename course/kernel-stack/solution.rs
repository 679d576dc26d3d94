//! kernel-stack: how full is the kernel stack of a thread?

use crate::glue::Stack;
//| use crate::lab::TaskView;
//> begin
use crate::lab::{
    saved_stack_pointer,
    thread_size,
    TaskView, //
};
//> end

/// Returns what is known of the thread's kernel stack; [`None`] if it has none any more. Nothing may sleep here.
pub(crate) fn stack_of(task: &TaskView<'_>) -> Option<Stack> {
    //| // This takes all threads for dead.
    //| let _ = task;
    //| None
    //> begin
    let base = task.stack()?.addr().get();
    let size = thread_size();
    // The stack grows down from its high end. Who runs has the stack pointer in a register.
    let used = match task.running_on() {
        Some(_) => None,
        None => (base + size).checked_sub(saved_stack_pointer(task)),
    };

    Some(Stack { base, size, used })
    //> end
}
