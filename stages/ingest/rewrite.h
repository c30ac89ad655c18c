/* What --short-side and --restart do to an image between reading and storing. */
#ifndef INGEST_REWRITE_H
#define INGEST_REWRITE_H

#include "image/jpeg_recode.h"
#include "ingest/ingest.h"

/* How an image changed on its way in, and what of it belongs to this. */
struct rewrite {
  bool shrunk;                 /* by --short-side */
  bool recoded, not_recodable; /* by --restart */
  struct jpeg_recoded jpeg;    /* what is stored instead of the sample's bytes, if recoded */
};

/* Scales a decoded image down to the shorter side of the options, its boxes with it; smaller ones stay as
 * they are. A JPEG is encoded again with the options' quality, and `image` is what that decodes to. E_MEMORY.
 */
enum status rewrite_shrink(struct rewrite *rewrite, const struct ingest_options *options,
                           struct sample *sample);

/* A JPEG with restart markers instead of the sample's, where its pixels stay the same. E_MEMORY. */
enum status rewrite_recode(struct rewrite *rewrite, const struct sample *sample);

void rewrite_free(struct rewrite *rewrite);

#endif
