//! bits: what `preempt_count` says.

use crate::glue::Bits;
use crate::lab::Masks;

/// Returns what `count`, a `preempt_count`, says in a kernel that has these masks. This is called in an NMI, too.
pub(crate) fn decode(count: usize, masks: &Masks) -> Bits {
    //| // This says of every count that it is 0.
    //| let _ = (count, masks);
    //| Bits {
    //|     preempt: 0,
    //|     bottom_halves: 0,
    //|     softirq: false,
    //|     hardirqs: 0,
    //|     nmi: false,
    //|     task: true,
    //| }
    //> begin
    let softirqs = number(count, masks.softirq);
    // 1 is for a softirq that is served, and each 2 for once disabled.
    let softirq = softirqs % 2 == 1;
    let hardirqs = number(count, masks.hardirq);
    let nmi = count & masks.nmi != 0;

    Bits {
        preempt: number(count, masks.preempt),
        bottom_halves: softirqs / 2,
        softirq,
        hardirqs,
        nmi,
        task: !softirq && hardirqs == 0 && !nmi,
    }
    //> end
}
//> begin

/// Returns the number that is in the bits of `mask`.
fn number(count: usize, mask: usize) -> usize {
    (count & mask) >> mask.trailing_zeros()
}
//> end
