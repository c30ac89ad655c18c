/* Huffman decoding of baseline JPEGs, put in the place of libjpeg's, which is where a full decode spends four
 * fifths of its time.
 *
 * It decodes only what is asked for: skipped blocks are stepped over, and those behind the last wanted block
 * of a row only if something below needs them. It handles clean data alone: at anything unusual it
 * gives up, and the caller lets libjpeg decode the image and say what is wrong. Everything else - inverse DCT,
 * upsampling, colour - remains libjpeg's. */
#ifndef IMAGE_JPEG_HUFFMAN_H
#define IMAGE_JPEG_HUFFMAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h> /* which jpeglib.h forgets */

#include <jpeglib.h>

#include "image/jpeg.h"

enum { HUFFMAN_LOOKUP = 10, HUFFMAN_CODE = 16 /* bits: of a table's index, of the longest code */ };

struct huffman_table {
  JHUFF_TBL source; /* what it was made from */
  bool made;
  uint32_t entry[1 << HUFFMAN_LOOKUP];
  uint32_t
      limit[HUFFMAN_CODE + 1]; /* the first code, left-aligned to 16 bits, that is longer than the index */
  int32_t offset[HUFFMAN_CODE + 1]; /* of its symbols in source.huffval, minus the code */
};

/* The next `count` bits, from the top. Below them may stand bits that are still to come. */
struct huffman_bits {
  uint64_t bits;
  int count;
  const uint8_t *at; /* what follows */
};

struct jpeg_huffman {
  struct huffman_table dc[NUM_HUFF_TBLS], ac[NUM_HUFF_TBLS];
  struct scratch clean; /* one restart interval without stuffing, then zeros */
  struct huffman_bits in;
  const uint8_t *clean_end, *file_at, *file_end; /* file_at: behind the interval */
  const struct jpeg_file *file;                  /* its index, if it has one, says where intervals begin */
  uint64_t interval_end;                         /* with an index: the MCU behind the interval */
  int32_t last_dc[MAX_COMPS_IN_SCAN];
  JDIMENSION first_column, last_column; /* MCUs that are wanted of each row */
  JDIMENSION row, column;               /* the MCU that libjpeg asks for next */
  uint64_t mcu;                         /* the MCU at which `in` stands */
  uint32_t left;                        /* MCUs until the next restart marker */
  int next_restart;
  void (*give_up)(void *context, const char *why); /* does not return; why NULL: ask libjpeg */
  void *context;
};

/* Whether the scan that `info` is about to decode (after jpeg_start_decompress) can be decoded here. */
bool jpeg_huffman_can(j_decompress_ptr info);

/* Takes over from libjpeg: info->client_data must be `h`, give_up and context set. The pixels from `left`,
 * `width` of them, are wanted of each row, both as jpeg_crop_scanline left them. The tables and buffers stay
 * from image to image; zeroed at first. E_MEMORY,
 * E_FORMAT (the index cannot be this file's). */
enum status jpeg_huffman_begin(struct jpeg_huffman *h, j_decompress_ptr info, const struct jpeg_file *file,
                               JDIMENSION left, JDIMENSION width);

void jpeg_huffman_free(struct jpeg_huffman *h); /* accepts a zeroed struct */

#endif
