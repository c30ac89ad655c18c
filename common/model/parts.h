/* What the builders of common/model share. */
#ifndef MODEL_PARTS_H
#define MODEL_PARTS_H

#include "model/model.h"
#include "nn/batch_norm/batch_norm.h"

enum { TENSOR_NAME_SIZE = NORM_NAME_SIZE + 32 };

/* The parameter `name`, made on first use; of a target network: its shadow. */
struct value model_param(struct model *model, const char *name, struct shape shape, struct init init);

/* The four tensors of the BatchNorm `name`, made on first use and counted. `last_of_block`: its scale starts
 * at 0. */
struct bn_params norm_params(struct model *model, const char *name, int64_t channels, bool last_of_block,
                             int calls);

#endif
