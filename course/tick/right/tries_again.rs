//! tick: a lock that is tried until it is free.

use crate::lab::{
    on_cpu,
    online_cpus,
    Exercise,
    Lines,
    TaskView, //
};
use kernel::cpu::CpuId;
use kernel::impl_has_hr_timer;
use kernel::prelude::*;
use kernel::sync::{
    new_spinlock_irq,
    rcu,
    SpinLockIrq, //
};
use kernel::sync::{
    Arc,
    ArcBorrow, //
};
use kernel::task::Pid;
use kernel::time::hrtimer::{
    ArcHrTimerHandle,
    HrTimerPointer, //
};
use kernel::time::hrtimer::{
    HrTimer,
    HrTimerCallback,
    HrTimerCallbackContext,
    HrTimerRestart,
    RelativePinnedMode, //
};
use kernel::time::{
    Delta,
    Monotonic, //
};

/// How often the timers expire.
const PERIOD: Delta = Delta::from_millis(1);

/// The timer of a CPU.
#[pin_data]
struct CpuTimer {
    cpu: CpuId,
    /// Whom it has interrupted, and how often. The timer takes this lock in an interrupt, so interrupts are disabled while
    /// a thread holds it.
    #[pin]
    counts: SpinLockIrq<KVec<(Pid, u64)>>,
    #[pin]
    timer: HrTimer<Self>,
}

// A timer that expires some time after it was started, on the CPU on which it was started, in an interrupt.
impl_has_hr_timer! {
    impl HasHrTimer<Self> for CpuTimer {
        mode: RelativePinnedMode<Monotonic>, field: self.timer
    }
}

impl HrTimerCallback for CpuTimer {
    type Pointer<'a> = Arc<Self>;

    /// Called when the timer has expired.
    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        let pid = TaskView::current(&rcu::read_lock()).pid();
        let mut counts = loop {
            if let Some(counts) = this.counts.try_lock() {
                break counts;
            }
        };

        match counts.iter_mut().find(|(counted, _)| *counted == pid) {
            Some((_, times)) => *times += 1,
            None => {
                // Memory that is there at once, or none: nothing may sleep here.
                let _ = counts.push((pid, 1), GFP_ATOMIC);
            }
        }
        drop(counts);

        context.forward_now(PERIOD);
        HrTimerRestart::Restart
    }
}

pub(crate) struct Student {
    timers: KVec<Arc<CpuTimer>>,
    /// A timer runs until its handle is dropped.
    _handles: KVec<ArcHrTimerHandle<CpuTimer>>,
}

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        let mut timers = KVec::new();
        let mut handles = KVec::new();

        for cpu in online_cpus() {
            let timer = pin_init!(CpuTimer {
                cpu,
                counts <- new_spinlock_irq!(KVec::new()),
                timer <- HrTimer::new(),
            });
            let timer = Arc::pin_init(timer, GFP_KERNEL)?;

            timers.push(timer.clone(), GFP_KERNEL)?;
            let handle = on_cpu(cpu, move || timer.clone().start(PERIOD))?;

            handles.push(handle, GFP_KERNEL)?;
        }
        Ok(Self {
            timers,
            _handles: handles,
        })
    }

    fn show(&self, lines: &mut Lines) -> Result {
        for timer in &self.timers {
            // A copy, because lines.add() may sleep, and nothing may while this has the lock.
            let mut counts = KVec::new();

            counts.extend_from_slice(&timer.counts.lock(), GFP_ATOMIC)?;
            for (pid, times) in &counts {
                lines.add(fmt!("{} {pid} {times}", timer.cpu.as_u32()))?;
            }
        }
        Ok(())
    }
}
