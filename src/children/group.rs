//! Signals to a child and all that it started.

use duct::{Expression, Handle};

/// What a group is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// To end.
    Term,
    /// Nothing: it is ended.
    Kill,
}

/// Gives the child a process group of its own, which whatever it starts belongs to as well.
#[cfg(unix)]
pub(super) fn of_its_own(expression: &Expression) -> Expression {
    use std::os::unix::process::CommandExt as _;
    expression.before_spawn(|command| {
        command.process_group(0);
        Ok(())
    })
}

/// Tells the group of `child`, which may have exited already.
#[cfg(unix)]
pub(super) fn tell(child: &Handle, message: Message) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = match message {
        Message::Term => Signal::TERM,
        Message::Kill => Signal::KILL,
    };
    for pid in child.pids() {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // A group that has ended by now is what was wanted.
            let _ = kill_process_group(pid, signal);
        }
    }
}

/// Without process groups, the child alone.
#[cfg(not(unix))]
pub(super) fn of_its_own(expression: &Expression) -> Expression {
    expression.clone()
}

/// Without signals, the child is ended.
#[cfg(not(unix))]
pub(super) fn tell(child: &Handle, _message: Message) {
    let _ = child.kill();
}
