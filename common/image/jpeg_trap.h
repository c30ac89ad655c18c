/* How libjpeg's errors come back: a jump out of it, with the reason. Used by the files of this folder that
 * call libjpeg.
 *
 * Everything that must survive a jump lives in a struct whose address is taken, not in locals of the function
 * that calls setjmp. */
#ifndef IMAGE_JPEG_TRAP_H
#define IMAGE_JPEG_TRAP_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h> /* which jpeglib.h forgets */

#include <jpeglib.h>

#include "base/status.h"

struct jpeg_trap {
  struct jpeg_error_mgr manager; /* first: libjpeg hands out a pointer to it */
  jmp_buf jump;
  struct jpeg_progress_mgr progress;
  enum status status; /* E_FORMAT or E_MEMORY */
  char text[JMSG_LENGTH_MAX];
};

/* Makes errors of `info` jump to trap->jump, which the caller sets before the next call into libjpeg.
 * Warnings count as errors: data was missing or corrupt and libjpeg would go on with invented pixels. */
void jpeg_trap_set(struct jpeg_trap *trap, j_common_ptr info);

/* After jpeg_create_decompress: a file of very many scans, which is an attack on time, is an error too. */
void jpeg_trap_scans(struct jpeg_trap *trap, j_decompress_ptr info);

/* Reports a decoder's error in the words of `trap`. */
enum status jpeg_trap_failed(const struct jpeg_trap *trap);

/* Jumps, with these words. */
_Noreturn void jpeg_trap_spring(struct jpeg_trap *trap, const char *text);

/* Reads the header of a file in memory and refuses sizes that nobody means (E_FORMAT); errors of libjpeg
 * jump. */
enum status jpeg_read_start(j_decompress_ptr info, const uint8_t *bytes, size_t size);

/* Settings with which the pixels depend on the bytes alone: the accurate integer DCT (its SIMD and C versions
 * agree bit for bit, which the fast and floating-point ones do not) and fancy upsampling. Progressive files
 * without their last scans are not smoothed: how depends on libjpeg's version, and on which part is decoded.
 * CMYK comes out as it is, everything else as RGB. */
void jpeg_settle(j_decompress_ptr info);

/* Four-channel rows to RGB by Adobe's convention (as Pillow also assumes): stored values are inverted inks.
 */
void jpeg_cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, size_t width);

#endif
