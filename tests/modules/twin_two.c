// SPDX-License-Identifier: GPL-2.0
#define TWIN_SLEEPS twin_two_sleeps
#include "twin.h"
