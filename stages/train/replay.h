/* `tandem-train replay`. */
#ifndef TRAIN_REPLAY_H
#define TRAIN_REPLAY_H

#include "base/cli.h"

extern const struct command replay_command;

#endif
