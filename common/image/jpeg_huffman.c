#include "image/jpeg_huffman.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define JPEG_INTERNALS /* struct jpeg_entropy_decoder, the same in every libjpeg and libjpeg-turbo */
#include <jpegint.h>

/* Zeros behind an interval: what a block of 64 coefficients of 31 bits each can read too much before that is
 * seen, and some words of 8 bytes. */
enum { CLEAN_MARGIN = 64 * 31 / 8 + 4 * 8 };

/* A table's entry: the bits of the code, of the value behind it, and of both; how many zeros are before the
 * value. 0: no code, or one longer than the index. */
enum { CODE_SHIFT = 8, SIZE_SHIFT = 16, RUN_SHIFT = 24, BYTE = 255, NIBBLE = 15, ZEROS_16 = 15 };

static inline uint32_t entry_of(unsigned code_length, uint8_t symbol) {
  unsigned size = symbol & NIBBLE, run = symbol >> 4;
  return (code_length + size) | code_length << CODE_SHIFT | size << SIZE_SHIFT | run << RUN_SHIFT;
}

/* Every index that begins with `code`. */
static void fill_entries(struct huffman_table *t, uint32_t code, unsigned length, uint8_t symbol) {
  unsigned rest = HUFFMAN_LOOKUP - length;
  for (uint32_t i = 0; i < 1U << rest; i++) t->entry[code << rest | i] = entry_of(length, symbol);
}

/* Codes count up, as long as one length lasts, and double from length to length (T.81 C.2). libjpeg has
 * checked that they fit. */
static void make_table(struct huffman_table *t, const JHUFF_TBL *source) {
  if (t->made && memcmp(t->source.bits, source->bits, sizeof source->bits) == 0 &&
      memcmp(t->source.huffval, source->huffval, sizeof source->huffval) == 0)
    return;
  t->source = *source;
  t->made = true;
  memset(t->entry, 0, sizeof t->entry);
  uint32_t code = 0;
  int32_t at = 0;
  for (unsigned length = 1; length <= HUFFMAN_CODE; length++, code <<= 1) {
    t->offset[length] = at - (int32_t)code;
    for (int i = 0; i < source->bits[length] && at < 256; i++, at++, code++)
      if (length <= HUFFMAN_LOOKUP && code < 1U << length) fill_entries(t, code, length, source->huffval[at]);
    t->limit[length] = code << (HUFFMAN_CODE - length);
  }
}

/* --- Bits --- */

/* At least 56 bits. Reads up to 8 bytes, which the zeros behind the interval allow for. */
static inline void refill(struct huffman_bits *b) {
  uint64_t word;
  memcpy(&word, b->at, sizeof word);
  b->bits |= be64toh(word) >> b->count;
  b->at += (63 - b->count) >> 3;
  b->count |= 56;
}

static inline void drop(struct huffman_bits *b, unsigned n) {
  b->bits <<= n;
  b->count -= (int)n;
}

static __attribute__((noinline)) uint32_t long_code(const struct huffman_table *t, uint64_t bits) {
  uint32_t code = (uint32_t)(bits >> (64 - HUFFMAN_CODE));
  for (unsigned length = HUFFMAN_LOOKUP + 1; length <= HUFFMAN_CODE; length++)
    if (code < t->limit[length]) {
      int32_t i = t->offset[length] + (int32_t)(code >> (HUFFMAN_CODE - length));
      return entry_of(length, t->source.huffval[i & BYTE]);
    }
  return 0;
}

/* The entry of the next code; 0: there is no such code. */
static inline uint32_t look_up(const struct huffman_table *t, uint64_t bits) {
  uint32_t e = t->entry[bits >> (64 - HUFFMAN_LOOKUP)];
  return __builtin_expect(e != 0, 1) ? e : long_code(t, bits);
}

/* The value of an entry with size > 0: the upper half of the numbers of so many bits are positive, the lower
 * half stand for negative ones (T.81 F.2.2.1). */
static inline int32_t value_of(uint32_t e, uint64_t bits) {
  uint64_t from = bits << (e >> CODE_SHIFT & BYTE);
  unsigned size = e >> SIZE_SHIFT & BYTE;
  int32_t lower = (int32_t)(from >> 63) - 1; /* all ones in the lower half */
  return (int32_t)(from >> (64 - size)) + (lower & (int32_t)(1 - (1U << size)));
}

/* --- Blocks --- */

/* Natural place of the k-th coefficient in zigzag order; 15 more, where a run may lead in bad data. */
static const uint8_t natural[64 + 16] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                         12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                         35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                         58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
                                         63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63};

/* The difference to the block before. false: no such code. */
static inline bool decode_dc(struct huffman_bits *b, const struct huffman_table *t, int32_t *difference) {
  refill(b);
  uint32_t e = look_up(t, b->bits);
  *difference = e >> SIZE_SHIFT & BYTE ? value_of(e, b->bits) : 0;
  drop(b, e & BYTE);
  return e != 0;
}

/* store false: steps over the block. false: not a clean block. */
static inline __attribute__((always_inline)) bool
decode_ac(struct huffman_bits *b, const struct huffman_table *t, bool store, JCOEF *block) {
  int k = 1;
  while (k < 64) {
    refill(b);
    for (int i = 0; i < 3 && k < 64 && b->count >= HUFFMAN_CODE + NIBBLE;
         i++) { /* 56 bits often hold three */
      uint32_t e = look_up(t, b->bits);
      unsigned run = e >> RUN_SHIFT;
      if (__builtin_expect((e >> SIZE_SHIFT & BYTE) == 0, 0)) {
        drop(b, e & BYTE);
        if (run != ZEROS_16) return e != 0; /* end of block, or no such code */
        k += 16;
      } else {
        k += (int)run;
        if (store) block[natural[k]] = (JCOEF)value_of(e, b->bits);
        drop(b, e & BYTE);
        k++;
      }
    }
  }
  return k == 64;
}

/* One MCU; data NULL: only its DC differences are kept. false: not clean. */
static inline __attribute__((always_inline)) bool decode_blocks(struct jpeg_huffman *h, j_decompress_ptr info,
                                                                JBLOCKROW *data) {
  struct huffman_bits b = h->in;
  for (int i = 0; i < info->blocks_in_MCU; i++) {
    int c = info->MCU_membership[i];
    const jpeg_component_info *component = info->cur_comp_info[c];
    int32_t difference;
    if (!decode_dc(&b, &h->dc[component->dc_tbl_no], &difference)) return false;
    h->last_dc[c] = (int32_t)((uint32_t)h->last_dc[c] + (uint32_t)difference);
    if (data) data[i][0][0] = (JCOEF)h->last_dc[c];
    if (!decode_ac(&b, &h->ac[component->ac_tbl_no], data != NULL, data ? data[i][0] : NULL)) return false;
    if (b.at > h->clean_end + sizeof b.bits) return false;
  }
  h->in = b;
  return true;
}

/* --- Intervals and rows --- */

/* Copies the interval that begins at `at` without the zeros stuffed in behind every 0xff. */
static void begin_interval(struct jpeg_huffman *h, j_decompress_ptr info, const uint8_t *at) {
  uint8_t *to = h->clean.data;
  for (;;) {
    size_t n = (size_t)(h->file_end - at);
    const uint8_t *mark = memchr(at, 0xff, n);
    if (mark) n = (size_t)(mark - at);
    memcpy(to, at, n);
    to += n;
    at += n;
    if (h->file_end - at < 2 || at[1] != 0) break;
    *to++ = 0xff;
    at += 2;
  }
  memset(to, 0, CLEAN_MARGIN);
  h->file_at = at;
  h->clean_end = to;
  h->in = (struct huffman_bits){.at = h->clean.data};
  memset(h->last_dc, 0, sizeof h->last_dc);
  h->left = info->restart_interval;
}

/* Bits of the interval that are left, negative if more were used than it has. */
static ptrdiff_t bits_left(const struct jpeg_huffman *h) {
  return 8 * (h->clean_end - h->in.at) + h->in.count;
}

/* At the end of an interval: fewer than 8 bits are left, then comes the marker with the next number. */
static bool pass_marker(struct jpeg_huffman *h, j_decompress_ptr info) {
  const uint8_t *at = h->file_at;
  if (bits_left(h) >= 8 || h->file_end - at < 2 || at[1] != JPEG_RST0 + h->next_restart) return false;
  h->next_restart = (h->next_restart + 1) & 7;
  begin_interval(h, info, at + 2);
  return true;
}

static const char *const bad_index = "its index of restart intervals is wrong";

/* To the beginning of an interval by the index; the marker before it must be there. */
static void seek(struct jpeg_huffman *h, j_decompress_ptr info, uint64_t interval) {
  uint32_t place;
  memcpy(&place, h->file->restarts + 4 * interval, sizeof place);
  place = le32toh(place);
  const uint8_t *bytes = h->file->bytes, *scan = info->src->next_input_byte;
  bool right = interval == 0
                   ? place == (size_t)(scan - bytes)
                   : place > (size_t)(scan - bytes) && place < h->file->size && bytes[place - 2] == 0xff &&
                         bytes[place - 1] == JPEG_RST0 + ((interval - 1) & 7);
  if (!right) h->give_up(h->context, bad_index);
  begin_interval(h, info, bytes + place);
  h->mcu = interval * info->restart_interval;
  h->interval_end = h->mcu + info->restart_interval;
}

static bool step(struct jpeg_huffman *h, j_decompress_ptr info, JBLOCKROW *data) {
  if (info->restart_interval && h->left == 0 && !pass_marker(h, info)) return false;
  h->left--;
  h->mcu++;
  return (data ? decode_blocks(h, info, data) : decode_blocks(h, info, NULL)) && bits_left(h) >= 0;
}

/* In libjpeg's place: one MCU in raster order; data NULL: not wanted, nor is what lies outside the columns.
 */
static boolean decode_mcu(j_decompress_ptr info, JBLOCKROW *data) {
  struct jpeg_huffman *h = info->client_data;
  JDIMENSION column = h->column++, row = h->row;
  if (h->column == info->MCUs_per_row) {
    h->column = 0;
    h->row++;
  }
  if (!data || column < h->first_column || column > h->last_column) return TRUE;
  uint64_t mcu = (uint64_t)row * info->MCUs_per_row + column;
  bool clean = true;
  if (h->file->restarts && mcu >= h->interval_end) seek(h, info, mcu / info->restart_interval);
  while (clean && h->mcu < mcu) clean = step(h, info, NULL);
  if (!clean || !step(h, info, data)) h->give_up(h->context, NULL);
  return TRUE;
}

bool jpeg_huffman_can(j_decompress_ptr info) {
  return !info->progressive_mode && !info->arith_code && !jpeg_has_multiple_scans(info);
}

/* Of the scan. */
static uint64_t mcus_of(j_decompress_ptr info) {
  return (uint64_t)info->MCUs_per_row * info->MCU_rows_in_scan;
}

enum status jpeg_huffman_begin(struct jpeg_huffman *h, j_decompress_ptr info, const struct jpeg_file *file,
                               JDIMENSION left, JDIMENSION width) {
  uint64_t interval = info->restart_interval;
  if (file->restarts && (interval == 0 || file->n_restarts != (mcus_of(info) + interval - 1) / interval))
    return fail(E_FORMAT, "a truncated or corrupt JPEG (%s)", bad_index);
  enum status st = scratch_reserve(&h->clean, info->src->bytes_in_buffer + CLEAN_MARGIN);
  if (st != OK) return st;
  for (int i = 0; i < info->comps_in_scan; i++) {
    const jpeg_component_info *component = info->cur_comp_info[i];
    make_table(&h->dc[component->dc_tbl_no], info->dc_huff_tbl_ptrs[component->dc_tbl_no]);
    make_table(&h->ac[component->ac_tbl_no], info->ac_huff_tbl_ptrs[component->ac_tbl_no]);
  }
  JDIMENSION mcu = (JDIMENSION)(info->num_components > 1 ? info->max_h_samp_factor : 1) *
                   (JDIMENSION)info->min_DCT_scaled_size; /* its width in the output */
  h->first_column = left / mcu;
  h->last_column = (left + width + mcu - 1) / mcu - 1;
  h->row = h->column = 0;
  h->mcu = 0;
  h->next_restart = 0;
  h->file_end = info->src->next_input_byte + info->src->bytes_in_buffer;
  h->file = file;
  h->interval_end = 0;
  if (!file->restarts) begin_interval(h, info, info->src->next_input_byte);
  info->entropy->decode_mcu = decode_mcu;
  return OK;
}

void jpeg_huffman_free(struct jpeg_huffman *h) {
  free(h->clean.data);
  h->clean = (struct scratch){0};
}
