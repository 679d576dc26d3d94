// SPDX-License-Identifier: GPL-2.0

//! A module that is not this project's: it logs a line when it is loaded and one when it is unloaded.

use kernel::prelude::*;

module! {
    type: Minimal,
    name: "minimal",
    authors: ["The taskscope authors"],
    description: "A module to try `make vm MODULE=` with",
    license: "GPL",
    params: {
        number: i64 {
            default: 1,
            description: "A number that is logged (default: 1)",
        },
        flag: bool {
            default: false,
            description: "A flag that is logged (default: false)",
        },
    },
}

struct Minimal {
    numbers: KVec<i64>,
}

impl kernel::Module for Minimal {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let number = module_parameters::number.value();
        let mut numbers = KVec::new();

        numbers.push(number, GFP_KERNEL)?;
        numbers.push(2 * number, GFP_KERNEL)?;
        pr_info!(
            "loaded, number {}, flag {}\n",
            number,
            module_parameters::flag.value()
        );
        Ok(Self { numbers })
    }
}

impl Drop for Minimal {
    fn drop(&mut self) {
        pr_info!("unloaded, numbers {:?}\n", self.numbers);
    }
}
