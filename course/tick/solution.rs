//! tick: a timer on each CPU that counts whom it interrupts.

//| use crate::lab::{
//|     Exercise,
//|     Lines, //
//| };
//> begin
use crate::lab::{
    on_cpu,
    online_cpus,
    Exercise,
    Lines,
    TaskView, //
};
use kernel::cpu::CpuId;
//> end
use kernel::impl_has_hr_timer;
use kernel::prelude::*;
//> begin
use kernel::sync::{
    new_spinlock_irq,
    rcu,
    SpinLockIrq, //
};
//> end
use kernel::sync::{
    Arc,
    ArcBorrow, //
};
//> begin
use kernel::task::Pid;
use kernel::time::hrtimer::{
    ArcHrTimerHandle,
    HrTimerPointer, //
};
//> end
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
    //> begin
    cpu: CpuId,
    /// Whom it has interrupted, and how often. The timer takes this lock in an interrupt, so interrupts are disabled while
    /// a thread holds it.
    #[pin]
    counts: SpinLockIrq<KVec<(Pid, u64)>>,
    //> end
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
        //| // Here is to be counted whom this has interrupted.
        //| let _ = this;
        //> begin
        let pid = TaskView::current(&rcu::read_lock()).pid();
        let mut counts = this.counts.lock();

        match counts.iter_mut().find(|(counted, _)| *counted == pid) {
            Some((_, times)) => *times += 1,
            None => {
                // Memory that is there at once, or none: nothing may sleep here.
                let _ = counts.push((pid, 1), GFP_ATOMIC);
            }
        }
        drop(counts);
        //> end

        context.forward_now(PERIOD);
        HrTimerRestart::Restart
    }
}

pub(crate) struct Student {
    //| /// Where is the timer of each CPU?
    //| _timer: Arc<CpuTimer>,
    //> begin
    timers: KVec<Arc<CpuTimer>>,
    /// A timer runs until its handle is dropped.
    _handles: KVec<ArcHrTimerHandle<CpuTimer>>,
    //> end
}

impl Exercise for Student {
    fn load(_word: &str) -> Result<Self> {
        //| let timer = pin_init!(CpuTimer {
        //|     timer <- HrTimer::new(),
        //| });
        //|
        //| Ok(Self {
        //|     _timer: Arc::pin_init(timer, GFP_KERNEL)?,
        //| })
        //> begin
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
        //> end
    }

    fn show(&self, lines: &mut Lines) -> Result {
        //| let _ = lines;
        //> begin
        for timer in &self.timers {
            // A copy, because lines.add() may sleep, and nothing may while this has the lock.
            let mut counts = KVec::new();

            counts.extend_from_slice(&timer.counts.lock(), GFP_ATOMIC)?;
            for (pid, times) in &counts {
                lines.add(fmt!("{} {pid} {times}", timer.cpu.as_u32()))?;
            }
        }
        //> end
        Ok(())
    }
}
