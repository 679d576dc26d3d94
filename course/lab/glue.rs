// SPDX-License-Identifier: GPL-2.0

//! What the module calls: the student's own [`Exercise`](crate::lab::Exercise).

pub(crate) use crate::student::Student as Answers;
