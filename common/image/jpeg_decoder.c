/* Parts of JPEGs through libjpeg-turbo's jpeg_skip_scanlines and jpeg_crop_scanline, baseline files with our
 * own Huffman decoding (jpeg_huffman.h).
 *
 * Fancy upsampling makes a pixel from the chroma sample that it lies in and the nearest neighbour of that, so
 * a part is asked for with one chroma sample more on every side: margin_of. libjpeg treats the border of what
 * it is asked for as it treats an image's border, which only reaches that far. The wider ratios (4:1:1, 4:1:0)
 * repeat samples and need no neighbours, but where less than two samples of such a component are asked for,
 * libjpeg also chooses the upsampling of the others anew. tests/unit/image/jpeg_region_test.c compares every kind of file with
 * full decoding. */
#include "image/jpeg.h"

#include <stdlib.h>
#include <string.h>

#include "image/jpeg_huffman.h"
#include "image/jpeg_trap.h"

struct jpeg_decoder {
  struct jpeg_decompress_struct info;
  struct jpeg_trap trap;
  struct jpeg_huffman huffman;
  bool gave_up;       /* own Huffman decoding met something unusual */
  struct scratch row; /* one row as libjpeg hands it out, with what lies around the part */
};

static void give_up(void *context, const char *why) {
  struct jpeg_decoder *d = context;
  if (why) jpeg_trap_spring(&d->trap, why);
  d->gave_up = true;
  longjmp(d->trap.jump, 1);
}

enum status jpeg_decoder_open(struct jpeg_decoder **out) {
  struct jpeg_decoder *d = *out = calloc(1, sizeof *d);
  if (!d) return fail(E_MEMORY, "out of memory for a JPEG decoder");
  jpeg_trap_set(&d->trap, (j_common_ptr)&d->info);
  d->info.client_data = &d->huffman;
  d->huffman.give_up = give_up;
  d->huffman.context = d;
  return OK;
}

void jpeg_decoder_close(struct jpeg_decoder **decoder) {
  struct jpeg_decoder *d = *decoder;
  *decoder = NULL;
  if (!d) return;
  jpeg_huffman_free(&d->huffman);
  free(d->row.data);
  free(d);
}

/* libjpeg starts afresh with every image: it would use the last one's tables where a file has none of its own. */
static enum status begin(struct jpeg_decoder *d, const struct jpeg_file *file) {
  struct jpeg_decompress_struct *info = &d->info;
  jpeg_create_decompress(info);
  jpeg_trap_scans(&d->trap, info);
  enum status st = jpeg_read_start(info, file->bytes, file->size);
  if (st != OK) return st;
  if (info->image_width != (JDIMENSION)file->whole.width ||
      info->image_height != (JDIMENSION)file->whole.height)
    return fail(E_FORMAT, "a JPEG of %ux%u pixels where %dx%d are expected", info->image_width,
                info->image_height, file->whole.width, file->whole.height);
  jpeg_settle(info);
  info->scale_num = 1;
  info->scale_denom = file->shrink ? (unsigned)file->shrink : 1;
  jpeg_start_decompress(info);
  return OK;
}

/* In pixels: a sample of the widest there are. */
static int32_t margin_of(const struct jpeg_decompress_struct *info) {
  return info->max_h_samp_factor > 2 ? info->max_h_samp_factor : 2;
}

/* libjpeg-turbo 2.1 cuts columns wrongly out of scaled images with chroma of a quarter of the width. */
static bool can_crop(const struct jpeg_decompress_struct *info) {
  return info->scale_denom == 1 || info->max_h_samp_factor <= 2;
}

static enum status read_rows(struct jpeg_decoder *d, const struct jpeg_file *file, struct rect region,
                             bool own, uint8_t *out) {
  struct jpeg_decompress_struct *info = &d->info;
  int32_t margin = margin_of(info);
  JDIMENSION left = (JDIMENSION)(region.left > margin ? region.left - margin : 0);
  JDIMENSION right = (JDIMENSION)(region.left + region.width + margin);
  JDIMENSION width = (right < info->output_width ? right : info->output_width) - left;
  size_t n = (size_t)region.width;
  if (can_crop(info)) {
    jpeg_crop_scanline(info, &left, &width); /* widens both to whole blocks */
  } else {
    left = 0;
    width = info->output_width;
  }
  enum status st = OK;
  if (own && jpeg_huffman_can(info)) st = jpeg_huffman_begin(&d->huffman, info, file, left, width);
  if (st != OK) return st;
  if (region.top > 0) jpeg_skip_scanlines(info, (JDIMENSION)region.top);
  /* Not where vectors are aligned: there libjpeg-turbo stores past the caches, and the row is read at once. */
  enum { ASIDE = 8 };
  st = scratch_reserve(&d->row, ASIDE + (size_t)info->output_width * (size_t)info->output_components);
  if (st != OK) return st;
  uint8_t *row = (uint8_t *)d->row.data + ASIDE;
  const uint8_t *part = row + ((size_t)region.left - (size_t)left) * (size_t)info->output_components;
  for (int32_t y = 0; y < region.height; y++, out += 3 * n) {
    jpeg_read_scanlines(info, &row, 1);
    if (info->output_components == 4)
      jpeg_cmyk_to_rgb(part, out, n);
    else
      memcpy(out, part, 3 * n);
  }
  return OK;
}

/* own: with our Huffman decoding where that can be. */
static enum status attempt(struct jpeg_decoder *d, const struct jpeg_file *file, struct rect region, bool own,
                           uint8_t *out) {
  enum status st;
  d->gave_up = false;
  if (setjmp(d->trap.jump)) {
    st = d->gave_up ? E_FORMAT : jpeg_trap_failed(&d->trap);
    goto out;
  }
  TRY(begin(d, file));
  TRY(read_rows(d, file, region, own, out));
out:
  jpeg_destroy_decompress(&d->info); /* whatever state it is in */
  return st;
}

enum status jpeg_decode_region(struct jpeg_decoder *d, const struct jpeg_file *file, struct rect region,
                               uint8_t *out) {
  enum status st = attempt(d, file, region, true, out);
  return d->gave_up ? attempt(d, file, region, false, out) : st;
}
