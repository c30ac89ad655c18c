/* Linear evaluation of a frozen network, from options to result (docs/evaluation.md). */
#ifndef LINEAR_LINEAR_H
#define LINEAR_LINEAR_H

#include "options.h"

enum status linear_run(void *options); /* struct linear_options */

#endif
