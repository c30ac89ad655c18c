/* The commands of tandem-augment, each in its own file. */
#ifndef AUGMENT_COMMANDS_H
#define AUGMENT_COMMANDS_H

#include "base/cli.h"

extern const struct command augment_work; /* the nameless one */
extern const struct command augment_apply, augment_preview, augment_policy, augment_replay;

#endif
