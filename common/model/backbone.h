/* ResNet-10/18/34/50 without the classifier (He et al., "Deep residual learning for image recognition";
 * torchvision's form: the stride of a bottleneck is on its 3x3 convolution), under torchvision's parameter
 * names with the prefix "backbone.". ResNet-10 has one basic block per stage.
 *
 * Starting values: convolutions Kaiming-normal over fan-out, BatchNorm scale 1 and shift 0, but scale 0 on
 * the last BatchNorm of every block. */
#ifndef MODEL_BACKBONE_H
#define MODEL_BACKBONE_H

#include "model/model.h"

/* x [N, 3, S, S] -> features [N, D], D = model_features. `groups`: the batch is that many consecutive
 * BatchNorm calls (2 for two stacked views). Errors stick to the graph. */
struct value backbone(struct model *model, struct value x, int groups);

#endif
