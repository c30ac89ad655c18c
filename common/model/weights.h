/* A model's weights as safetensors files, in the names of the official STL code's state_dict.
 *
 * final.safetensors holds every module ("backbone.*" and the heads); backbone.safetensors the backbone alone
 * under torchvision's names, without prefix, so that torchvision and timm load it as it is. Reading is
 * strict. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "model/model.h"
#include "store/safetensors.h"

/* What a weights file says about itself. */
struct weights_info {
  bool backbone_only;        /* torchvision names without prefix */
  int64_t size;              /* pixels, side of the training views; 0: not said */
  bool has_mean_std;         /* whether the next two were there */
  double mean[3], std[3];    /* channel statistics the pixels were normalised with, images in [0, 1] */
  const char *method, *base; /* borrowed from the file; NULL: not said */
};

/* E_FORMAT: metadata that does not parse. The backbone's options come from model_resolve. */
enum status weights_info(struct weights_info *out, const struct safetensors *file);

/* Copies every parameter and buffer of the planned model from `file` (f32 or f64 tensors). Forgiven: fc.*,
 * absent num_batches_tracked, and modules in the file (NAME_projector, NAME_predictor, NAME_backbone,
 * NAME_transform, NAME_head, and any of them or backbone under target.) of which the model has nothing; with
 * `fresh_heads`, also a file without any head, whose heads then keep their values, and one without target
 * networks, which then start as copies. `path` is for messages. Errors: E_FORMAT, with the names: tensors
 * missing, unknown, or of another shape or type. Nothing is changed then. */
enum status weights_load(struct model *model, const struct safetensors *file, const char *path,
                         bool fresh_heads);

/* Write all modules, or the backbone alone, as f32, with num_batches_tracked as i64 scalars; arch, stem and
 * width are added to `metadata`. Same weights and metadata, same bytes. Errors: E_IO, E_MEMORY. */
enum status weights_save(const struct model *model, const char *path, const struct metadata *metadata,
                         size_t n_metadata);
enum status weights_save_backbone(const struct model *model, const char *path,
                                  const struct metadata *metadata, size_t n_metadata);

#endif
