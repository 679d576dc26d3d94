//! threads: counts the threads of each group itself, while it visits them.

use crate::lab::{
    processes,
    Comm,
    Exercise,
    Lines,
    COMM_LEN, //
};
use kernel::prelude::*;
use kernel::sync::rcu;
use kernel::task::Pid;

pub(crate) struct Student;

struct Group {
    tgid: Pid,
    size: usize,
}

struct Member {
    pid: Pid,
    task: *const c_void,
    comm: [u8; COMM_LEN],
}

/// Fills both vectors as far as they have room. Returns whether that was enough.
fn visit(groups: &mut KVVec<Group>, members: &mut KVVec<Member>) -> bool {
    let guard = rcu::read_lock();

    for leader in processes(&guard) {
        let before = members.len();

        for thread in leader.thread_group() {
            let member = Member {
                pid: thread.pid(),
                task: thread.as_ptr().cast(),
                comm: thread.comm(),
            };

            if members.push_within_capacity(member).is_err() {
                return false;
            }
        }
        let group = Group {
            tgid: leader.tgid(),
            size: members.len() - before,
        };

        if groups.push_within_capacity(group).is_err() {
            return false;
        }
    }
    true
}

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        Ok(Self)
    }

    fn show(&self, lines: &mut Lines) -> Result {
        let mut room = 256;
        let (groups, members) = loop {
            let mut groups = KVVec::with_capacity(room, GFP_KERNEL)?;
            let mut members = KVVec::with_capacity(room, GFP_KERNEL)?;

            if visit(&mut groups, &mut members) {
                break (groups, members);
            }
            room *= 4;
        };
        let mut at = 0;

        for group in &groups {
            for member in &members[at..at + group.size] {
                lines.add(fmt!(
                    "{} {} {} {:p} {}",
                    group.tgid,
                    member.pid,
                    group.size,
                    member.task,
                    Comm(member.comm)
                ))?;
            }
            at += group.size;
        }
        Ok(())
    }
}
