/* `tandem-train describe`: what a configuration computes, moves and holds, without training. */
#ifndef TRAIN_DESCRIBE_H
#define TRAIN_DESCRIBE_H

#include "base/cli.h"

extern const struct command describe_command;

#endif
