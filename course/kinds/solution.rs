//! kinds: what kind of thread is this?

use crate::glue::Kind;
//| use crate::lab::TaskView;
//> begin
use crate::lab::{
    TaskView,
    PF_KTHREAD,
    PF_USER_WORKER, //
};
//> end

/// Returns what the thread is. Nothing may sleep here.
pub(crate) fn kind(task: &TaskView<'_>) -> Kind {
    //| // This takes all threads for those of programs.
    //| let _ = task;
    //| Kind::User
    //> begin
    let flags = task.flags();

    if flags & PF_KTHREAD != 0 {
        Kind::Kernel
    } else if flags & PF_USER_WORKER != 0 {
        Kind::Worker
    } else {
        Kind::User
    }
    //> end
}
