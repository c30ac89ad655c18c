#include "ingest/rewrite.h"

#include <stdlib.h>

#include "image/resize.h"
#include "transform/short_side.h"

/* The resize of the evaluation policy: antialiased bilinear, from 8 bits to 8 bits. */
static enum status scale(struct image *image, struct extent to) {
  struct workspace work = {0};
  struct planes scaled;
  struct image out = {to.width, to.height, malloc(3 * (size_t)to.width * (size_t)to.height)};
  const struct resize job = {{image->width, image->height}, to, {0, 0, to.width, to.height}, FILTER_BILINEAR};
  enum status st = out.pixels ? OK : fail(E_MEMORY, "out of memory while scaling an image");
  if (st == OK)
    st = resize_rgb8(&work, &job, image->pixels, (struct rect){0, 0, image->width, image->height}, &scaled);
  if (st == OK) {
    planes_to_rgb8(&scaled, out.pixels);
    image_free(image);
    *image = out;
    out.pixels = NULL;
  }
  image_free(&out);
  workspace_free(&work);
  return st;
}

static void scale_boxes(struct sample *s, struct extent from, struct extent to) {
  float x = (float)to.width / (float)from.width, y = (float)to.height / (float)from.height;
  for (size_t i = 0; i < s->n_boxes; i++) {
    s->boxes[i].left *= x;
    s->boxes[i].right *= x;
    s->boxes[i].top *= y;
    s->boxes[i].bottom *= y;
  }
}

static enum status encode_again(struct sample *s, int quality) {
  uint8_t *bytes;
  size_t size;
  enum status st = jpeg_encode(&s->image, quality, &bytes, &size);
  if (st != OK) return st;
  free(s->bytes);
  s->bytes = bytes;
  s->size = size;
  image_free(&s->image);
  return jpeg_decode(s->bytes, s->size, &s->image);
}

enum status rewrite_shrink(struct rewrite *rewrite, const struct ingest_options *o, struct sample *s) {
  struct extent from = {s->image.width, s->image.height},
                to = short_side_extent(from, (int32_t)o->short_side);
  if (o->short_side == 0 || to.width >= from.width) return OK;
  bool jpeg = s->bytes && image_sniff(s->bytes, s->size) == IMAGE_JPEG;
  enum status st;
  TRY(scale(&s->image, to));
  scale_boxes(s, from, to);
  if (jpeg) TRY(encode_again(s, (int)o->quality));
  rewrite->shrunk = true;
out:
  return st;
}

enum status rewrite_recode(struct rewrite *rewrite, const struct sample *s) {
  enum status st = jpeg_recode(s->bytes, s->size, &s->image, &rewrite->jpeg);
  rewrite->recoded = st == OK && rewrite->jpeg.bytes;
  rewrite->not_recodable = st == OK && !rewrite->jpeg.bytes;
  return st;
}

void rewrite_free(struct rewrite *rewrite) { jpeg_recoded_free(&rewrite->jpeg); }
