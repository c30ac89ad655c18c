/* `tandem-train` without a command: pretraining. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "base/cli.h"

extern const struct command train_command;

#endif
