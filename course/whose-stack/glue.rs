// SPDX-License-Identifier: GPL-2.0

//! What calls the student's function in the exercise `whose-stack`: for each stack pointer, a line with its name, the
//! CPU, the pointer, the stack of `current`, the context, whether a program was interrupted, the answer, and the name
//! of `current`.
//!
//! The addresses are raw: the grader compares them with those of the kernel's variables. The file is root's.

use crate::abstractions::callbacks::{
    Callback,
    IrqWork,
    RemoteCall,
    WorkItem, //
};
use crate::abstractions::cpus::online_now;
use crate::abstractions::interrupted::InterruptedCode;
use crate::abstractions::nmi::Nmis;
use crate::abstractions::stack::{
    stack_pointer,
    thread_size, //
};
use crate::lab::{
    Comm,
    Context,
    Exercise,
    Lines,
    TaskView,
    COMM_LEN, //
};
use crate::preempt_count::NoBottomHalves;
use crate::student::whose;
use kernel::cpu::CpuId;
use kernel::prelude::*;
use kernel::sync::{
    rcu,
    Arc,
    ArcBorrow,
    Completion,
    SetOnce, //
};
use kernel::time::hrtimer::{
    ArcHrTimerHandle,
    HrTimer,
    HrTimerCallback,
    HrTimerCallbackContext,
    HrTimerPointer,
    HrTimerRestart,
    RelativePinnedHardMode, //
};
use kernel::time::{
    Delta,
    Monotonic, //
};
use kernel::{
    impl_has_hr_timer,
    static_lock_class,
    workqueue, //
};

/// Whose stack it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a skeleton uses one")]
pub(crate) enum Stack {
    /// The kernel stack of `current`.
    Task,
    /// The interrupt stack of the CPU.
    Irq,
    /// The NMI stack of the CPU.
    Nmi,
}

impl Stack {
    fn name(self) -> &'static str {
        match self {
            Self::Task => "Task",
            Self::Irq => "Irq",
            Self::Nmi => "Nmi",
        }
    }
}

/// The name of no task.
const NO_NAME: [u8; COMM_LEN] = *b"-\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A stack pointer, and what the student's function says of it.
#[derive(Clone, Copy)]
struct Answer {
    cpu: u32,
    pointer: usize,
    base: usize,
    size: usize,
    context: Context,
    comm: [u8; COMM_LEN],
    /// Whether an interrupt has interrupted a program in user space.
    is_user: bool,
    stack: Stack,
}

impl Answer {
    /// Returns the answer for the stack pointer of the caller. Any context.
    fn here() -> Self {
        let context = Context::now();
        let guard = rcu::read_lock();
        let current = TaskView::current(&guard);
        // A thread that runs has its stack.
        let base = current.stack().map_or(0, |stack| stack.addr().get());

        Self {
            cpu: CpuId::current().as_u32(),
            is_user: !context.nmi && InterruptedCode::now().is_some_and(|code| code.is_user),
            comm: current.comm(),
            ..Self::of(stack_pointer(), base, thread_size(), context)
        }
    }

    /// Returns the answer for a stack pointer.
    fn of(pointer: usize, base: usize, size: usize, context: Context) -> Self {
        Self {
            cpu: 0,
            pointer,
            base,
            size,
            context,
            comm: NO_NAME,
            is_user: false,
            stack: whose(pointer, base, size, context),
        }
    }

    /// Adds the line of the answer.
    fn add(&self, what: &str, lines: &mut Lines) -> Result {
        let Context { hardirq, nmi, .. } = self.context;

        lines.add(fmt!(
            "{what} {} {:x} {:x} {:x} {} {} {} {}",
            self.cpu,
            self.pointer,
            self.base,
            self.size,
            if nmi {
                "nmi"
            } else if hardirq {
                "hardirq"
            } else {
                "other"
            },
            if self.is_user { "user" } else { "kernel" },
            self.stack.name(),
            Comm(self.comm)
        ))
    }
}

/// An answer that a callback gives, and that a thread waits for.
#[pin_data]
struct Asked {
    answer: SetOnce<Answer>,
    #[pin]
    done: Completion,
}

impl Asked {
    /// There is no answer yet. May sleep.
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                answer: SetOnce::new(),
                done <- Completion::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Gives the answer of this place. Any context but NMI.
    fn give(&self) {
        self.answer.populate(Answer::here());
        self.done.complete_all();
    }

    /// Waits for the answer. Sleeps.
    fn wait(&self) -> Result<Answer> {
        self.done.wait_for_completion();
        self.answer.copy().ok_or(EIO)
    }
}

/// A callback that gives an answer.
struct Give(Arc<Asked>);

impl Callback for Give {
    fn call(&self) {
        self.0.give();
    }
}

/// Returns the answer of an interrupt that comes while this runs. Sleeps.
fn ask_interrupt() -> Result<Answer> {
    let asked = Asked::new()?;
    let work = IrqWork::new(Give(asked.clone()))?;

    work.queue();
    asked.wait()
}

/// Returns the answer of a softirq: one that is served when this enables bottom halves, or one that is left to the
/// kernel. Sleeps.
fn ask_softirq(is_at_once: bool) -> Result<Answer> {
    let asked = Asked::new()?;
    let item = WorkItem::new(
        Give(asked.clone()),
        c"whose-stack softirq",
        static_lock_class!(),
    );
    let item = KBox::pin_init(item, GFP_KERNEL)?;
    let no_bottom_halves = is_at_once.then(NoBottomHalves::begin);

    item.queue_on(CpuId::current(), workqueue::system_bh());
    drop(no_bottom_halves);
    asked.wait()
}

/// How long a CPU has to go back to what it did.
const DELAY: Delta = Delta::from_millis(2);

/// A high-resolution timer.
#[pin_data]
struct CpuTimer {
    asked: Arc<Asked>,
    #[pin]
    timer: HrTimer<Self>,
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for CpuTimer {
        mode: RelativePinnedHardMode<Monotonic>, field: self.timer
    }
}

impl HrTimerCallback for CpuTimer {
    type Pointer<'a> = Arc<Self>;

    fn run(this: ArcBorrow<'_, Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        this.asked.give();
        HrTimerRestart::NoRestart
    }
}

/// What starts a timer on a CPU.
struct Start {
    // Dropped first, which cancels the timer.
    handle: SetOnce<ArcHrTimerHandle<CpuTimer>>,
    timer: Arc<CpuTimer>,
}

impl Callback for Start {
    fn call(&self) {
        self.handle.populate(self.timer.clone().start(DELAY));
    }
}

/// Returns the answer of a timer on `cpu`. Sleeps.
fn ask_timer(cpu: CpuId) -> Result<Answer> {
    let asked = Asked::new()?;
    let timer = Arc::pin_init(
        pin_init!(CpuTimer {
            asked,
            timer <- HrTimer::new(),
        }),
        GFP_KERNEL,
    )?;
    let start = RemoteCall::new(Start {
        handle: SetOnce::new(),
        timer,
    });
    let start = KBox::pin_init(start, GFP_KERNEL)?;

    start.send(cpu)?;
    start.callback().timer.asked.wait()
}

/// Adds the answers for stacks that do not exist: their ends, from the interrupt and the NMI that came.
fn add_ends(base: usize, size: usize, contexts: [Context; 2], lines: &mut Lines) -> Result {
    for context in contexts {
        for (what, pointer) in [
            ("lowest", base),
            ("below", base - 8),
            ("middle", base + size / 2),
            ("highest", base + size - 8),
            ("end", base + size),
            ("above", base + 2 * size),
        ] {
            Answer::of(pointer, base, size, context).add(what, lines)?;
        }
    }
    Ok(())
}

pub(crate) struct Answers {
    /// Where the stacks lie that do not exist.
    base: usize,
    nmis: Nmis<Answer>,
}

impl Exercise for Answers {
    fn load(word: &str) -> Result<Self> {
        let number = word
            .bytes()
            .fold(0, |number, letter| number * 32 + usize::from(letter % 32));

        Ok(Self {
            // In the area where the kernel maps stacks. Every stack begins at a multiple of its size.
            base: 0xffff_c900_0000_0000 + (number << 17) % (1 << 40),
            nmis: Nmis::watch(Answer::here)?,
        })
    }

    fn show(&self, lines: &mut Lines) -> Result {
        Answer::here().add("syscall", lines)?;
        let interrupt = ask_interrupt()?;

        interrupt.add("interrupt", lines)?;
        ask_softirq(true)?.add("softirq", lines)?;
        ask_softirq(false)?.add("softirq-later", lines)?;
        for cpu in online_now() {
            ask_timer(cpu)?.add("hrtimer", lines)?;
        }
        // QEMU sends an NMI to the first CPU.
        let Some(nmi) = CpuId::from_u32(0).and_then(|cpu| self.nmis.latest(cpu)) else {
            return Ok(());
        };

        nmi.add("nmi", lines)?;
        for size in [thread_size(), 8 << 10, 64 << 10] {
            add_ends(self.base, size, [interrupt.context, nmi.context], lines)?;
        }
        Ok(())
    }
}
