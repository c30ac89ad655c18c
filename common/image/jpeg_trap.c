#include "image/jpeg_trap.h"

#include <jerror.h>

#include "image/image.h"

enum { MAX_SCANS = 500 /* progressive files have about ten */ };

static _Noreturn void on_error(j_common_ptr info) {
  struct jpeg_trap *trap = (struct jpeg_trap *)info->err;
  trap->status = trap->manager.msg_code == JERR_OUT_OF_MEMORY ? E_MEMORY : E_FORMAT;
  trap->manager.format_message(info, trap->text);
  longjmp(trap->jump, 1);
}

_Noreturn void jpeg_trap_spring(struct jpeg_trap *trap, const char *text) {
  trap->status = E_FORMAT;
  snprintf(trap->text, sizeof trap->text, "%s", text);
  longjmp(trap->jump, 1);
}

static void on_message(j_common_ptr info, int level) {
  if (level < 0) on_error(info); /* -1: a warning */
}

static void on_progress(j_common_ptr info) {
  if (((j_decompress_ptr)info)->input_scan_number > MAX_SCANS)
    jpeg_trap_spring((struct jpeg_trap *)info->err, "hundreds of scans");
}

void jpeg_trap_set(struct jpeg_trap *trap, j_common_ptr info) {
  info->err = jpeg_std_error(&trap->manager);
  trap->manager.error_exit = on_error;
  trap->manager.emit_message = on_message;
}

void jpeg_trap_scans(struct jpeg_trap *trap, j_decompress_ptr info) {
  trap->progress.progress_monitor = on_progress;
  info->progress = &trap->progress;
}

enum status jpeg_trap_failed(const struct jpeg_trap *trap) {
  if (trap->status == E_MEMORY) return fail(E_MEMORY, "out of memory while decoding a JPEG");
  return fail(E_FORMAT, "a truncated or corrupt JPEG (%s)", trap->text);
}

enum status jpeg_read_start(j_decompress_ptr info, const uint8_t *bytes, size_t size) {
  jpeg_mem_src(info, bytes, size);
  jpeg_read_header(info, TRUE);
  uint64_t pixels = (uint64_t)info->image_width * info->image_height;
  if (pixels > IMAGE_MAX_PIXELS)
    return fail(E_FORMAT, "a JPEG of %ux%u pixels; at most %lld are supported", info->image_width,
                info->image_height, (long long)IMAGE_MAX_PIXELS);
  return OK;
}

void jpeg_settle(j_decompress_ptr info) {
  info->out_color_space = info->num_components == 4 ? JCS_CMYK : JCS_RGB;
  info->dct_method = JDCT_ISLOW;
  info->do_fancy_upsampling = TRUE;
  info->do_block_smoothing = FALSE;
}

/* Rounded a * b / 255. */
static uint8_t mul255(unsigned a, unsigned b) {
  unsigned t = a * b + 128;
  return (uint8_t)((t + (t >> 8)) >> 8);
}

void jpeg_cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, size_t width) {
  for (size_t x = 0; x < width; x++, cmyk += 4, rgb += 3)
    for (int c = 0; c < 3; c++) rgb[c] = mul255(cmyk[c], cmyk[3]);
}
