//! whose-stack: a stack pointer, and whose stack it points into.

use crate::glue::Stack;
use crate::lab::Context;

/// Returns whose stack `pointer` points into. The kernel stack of `current` has `size` bytes, and `base` is the address
/// of the lowest one. `context` is the context of the code whose stack pointer this is. This is called in an NMI, too.
pub(crate) fn whose(pointer: usize, base: usize, size: usize, context: Context) -> Stack {
    //| // This takes all for interrupt stacks.
    //| let _ = (pointer, base, size, context);
    //| Stack::Irq
    //> begin
    // Below the stack, this is a very large number.
    if pointer.wrapping_sub(base) < size {
        Stack::Task
    } else if context.nmi {
        Stack::Nmi
    } else {
        Stack::Irq
    }
    //> end
}
