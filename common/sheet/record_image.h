/* The image of a dataset's record, however it is stored. Pure function. */
#ifndef SHEET_RECORD_IMAGE_H
#define SHEET_RECORD_IMAGE_H

#include "image/image.h"
#include "store/dataset.h"

/* *out is overwritten; the caller frees it. E_FORMAT, E_MEMORY. */
enum status record_image(const struct record *record, struct image *out);

#endif
