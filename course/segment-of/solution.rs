//! segment-of: where is this address?

use crate::glue::Segment;
//> begin
use crate::lab::{
    Space,
    TaskView,
    PF_KTHREAD, //
};
use kernel::sync::rcu;

/// Returns whether the thread that calls this is a kernel thread.
fn is_kernel_thread() -> bool {
    let guard = rcu::read_lock();

    TaskView::current(&guard).flags() & PF_KTHREAD != 0
}
//> end

/// Returns the segment of `address`, in the address space of the thread that calls this.
pub(crate) fn segment_of(address: usize) -> Option<Segment> {
    //| let _ = address;
    //| None
    //> begin
    // It may have borrowed an address space.
    if is_kernel_thread() {
        return None;
    }
    let space = Space::of_current()?;
    let parts = space.parts();
    let mapping = space.mapping_at(address)?;

    Some(if parts.text.contains(&address) {
        Segment::Text
    } else if parts.data.contains(&address) {
        Segment::Data
    } else if parts.heap.contains(&address) {
        Segment::Heap
    } else if mapping.contains(&parts.stack) {
        Segment::Stack
    } else if (parts.data.end..parts.heap.start).contains(&address) {
        Segment::Bss
    } else {
        Segment::Mapping
    })
    //> end
}
