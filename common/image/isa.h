/* Which instruction set the pixel loops use: chosen once at start, for the whole process.
 *
 * A file NAME_simd.c is compiled once for each set of the architecture (Makefile, "Instruction sets"); the
 * functions that it defines with PIXEL_LOOP (image/simd.h) branch to the version for the chosen one. The
 * choice cannot change a result: every version performs the same IEEE operations in the same order, which
 * tests/unit/image/isa_test.c compares byte for byte. libjpeg's own loops follow the choice. */
#ifndef IMAGE_ISA_H
#define IMAGE_ISA_H

#include <stdbool.h>

#include "base/cli.h"

enum isa {
  ISA_SCALAR, /* what every CPU of the architecture has, no loop vectorised */
  ISA_SSE4,   /* x86: SSE4.2 */
  ISA_AVX2,   /* x86: AVX2 */
  ISA_NEON,   /* ARM */
  ISA_COUNT
};

extern const char *const isa_names[ISA_COUNT];

/* Compiled in and supported by this CPU. What GLIBC_TUNABLES masks counts as missing. */
bool isa_usable(enum isa isa);

/* `name`: one of isa_names, or "auto" for the best. To be called before other threads start and before a JPEG
 * is decoded. E_ARG: not usable here; the message says what is. */
enum status isa_select(const char *name);

/* The chosen one; the best without a choice. Any thread. */
enum isa isa_chosen(void);

/* --isa for a command's option table: {"isa", OPT_TABLE, offsetof(..., isa), .sub = isa_opts}. */
struct isa_options {
  const char *isa;
};
extern const struct opt isa_opts[];

#endif
