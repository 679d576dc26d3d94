//! whoami: who reads this file?

use crate::lab::{
    Comm,
    Context,
    Exercise,
    Lines,
    TaskView, //
};
use kernel::prelude::*;
use kernel::sync::rcu;

pub(crate) struct Student;

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        Ok(Self)
    }

    fn show(&self, lines: &mut Lines) -> Result {
        // What is asked of the task is asked while the guard exists. The lines are added afterwards, because
        // that may sleep.
        //| let (comm, context) = {
        //> begin
        let (comm, pid, tgid, users, context) = {
            //> end
            let guard = rcu::read_lock();
            let me = TaskView::current(&guard);

            //| (me.comm(), Context::now())
            //> begin
            (
                me.comm(),
                me.pid(),
                me.tgid(),
                me.credentials(),
                Context::now(),
            )
            //> end
        };

        //| // Each line has a dash where it is to have a value.
        //| let _ = (Comm(comm), context.in_task);
        //| lines.add(fmt!("comm: -"))?;
        //| lines.add(fmt!("pid: -"))?;
        //| lines.add(fmt!("tgid: -"))?;
        //| lines.add(fmt!("uid: -"))?;
        //| lines.add(fmt!("euid: -"))?;
        //| lines.add(fmt!("in_task: -"))?;
        //> begin
        lines.add(fmt!("comm: {}", Comm(comm)))?;
        lines.add(fmt!("pid: {pid}"))?;
        lines.add(fmt!("tgid: {tgid}"))?;
        lines.add(fmt!("uid: {}", users.uid))?;
        lines.add(fmt!("euid: {}", users.euid))?;
        lines.add(fmt!("in_task: {}", context.in_task))?;
        //> end
        Ok(())
    }
}
