#include "image/image.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void image_free(struct image *image) {
  free(image->pixels);
  *image = (struct image){0};
}

struct signature {
  size_t offset, length;
  const char *bytes, *name;
};

static const struct signature others[] = {
    {0, 4, "GIF8", "GIF"},
    {8, 4, "WEBP", "WebP"},
    {0, 4, "II*\0", "TIFF"},
    {0, 4, "MM\0*", "TIFF"},
    {4, 4, "ftyp", "HEIF, AVIF or video"},
    {6, 4, "\0\0\0\0", "BMP"},
    {0, 4, "%PDF", "PDF"},
    {0, 8, "\0\0\0\x0cjP  ", "JPEG 2000"},
    {0, 4, "\x76\x2f\x31\x01", "OpenEXR"},
};

static const char *other_name(const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    const struct signature *s = &others[i];
    if (size < s->offset + s->length || memcmp(bytes + s->offset, s->bytes, s->length) != 0) continue;
    if (strcmp(s->name, "BMP") == 0 && memcmp(bytes, "BM", 2) != 0) continue;
    if (strcmp(s->name, "WebP") == 0 && memcmp(bytes, "RIFF", 4) != 0) continue;
    return s->name;
  }
  return NULL;
}

enum image_kind image_sniff(const uint8_t *bytes, size_t size) {
  if (size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0) return IMAGE_JPEG;
  if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0) return IMAGE_PNG;
  return other_name(bytes, size) ? IMAGE_OTHER : IMAGE_UNKNOWN;
}

static int looks_like_text(const uint8_t *bytes, size_t size) {
  for (size_t i = 0; i < size && i < 64; i++)
    if (bytes[i] < 128 && !isprint(bytes[i]) && !isspace(bytes[i])) return 0;
  return 1;
}

enum status image_decode(const uint8_t *bytes, size_t size, struct image *out) {
  *out = (struct image){0};
  switch (image_sniff(bytes, size)) {
  case IMAGE_JPEG: return jpeg_decode(bytes, size, out);
  case IMAGE_PNG: return png_decode(bytes, size, out);
  case IMAGE_OTHER: return fail(E_FORMAT, "a %s file; convert it to JPEG or PNG", other_name(bytes, size));
  case IMAGE_UNKNOWN: break;
  }
  if (size == 0) return fail(E_FORMAT, "an empty file");
  return fail(E_FORMAT, "not an image: neither JPEG nor PNG (the content is %s)",
              looks_like_text(bytes, size) ? "text" : "something else");
}
