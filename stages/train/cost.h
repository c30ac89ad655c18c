/* `tandem-train cost`: how long a training step takes, and how long it would take at the device's best. */
#ifndef TRAIN_COST_H
#define TRAIN_COST_H

#include "base/cli.h"

extern const struct command cost_command;

#endif
