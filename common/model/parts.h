/* What the builders of common/model share. */
#ifndef MODEL_PARTS_H
#define MODEL_PARTS_H

#include "model/model.h"
#include "nn/batch_norm/batch_norm.h"

/* The four tensors of the BatchNorm `name`, made on first use and counted. `last_of_block`: its scale starts
 * at 0. */
struct bn_params norm_params(struct model *model, const char *name, int64_t channels, bool last_of_block,
                             int calls);

#endif
