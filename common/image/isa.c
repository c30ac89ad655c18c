#include "image/isa.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

const char *const isa_names[ISA_COUNT] = {"scalar", "sse4", "avx2", "neon"};

const struct opt isa_opts[] = {{"isa", OPT_STR, offsetof(struct isa_options, isa), "auto",
                                "instruction set of the pixel loops; the pixels do not depend on it",
                                "auto|scalar|sse4|avx2|neon"},
                               {0}};

static _Atomic int chosen = -1; /* written by isa_select, or by the first question */

#ifdef __x86_64__
#if __has_include(<sys/platform/x86.h>) /* glibc from 2.33: what GLIBC_TUNABLES leaves */
#include <sys/platform/x86.h>
#define HAS(glibc_name, gcc_name) CPU_FEATURE_ACTIVE(glibc_name)
#else
#define HAS(glibc_name, gcc_name) __builtin_cpu_supports(gcc_name)
#endif

bool isa_usable(enum isa isa) {
  switch (isa) {
  case ISA_SCALAR: return true;
  case ISA_SSE4: return HAS(SSE4_2, "sse4.2");
  case ISA_AVX2: return HAS(AVX2, "avx2");
  default: return false;
  }
}
#elif defined(__aarch64__)
bool isa_usable(enum isa isa) { return isa == ISA_SCALAR || isa == ISA_NEON; }
#else
bool isa_usable(enum isa isa) { return isa == ISA_SCALAR; }
#endif

static enum isa best(void) {
  int isa = ISA_COUNT - 1;
  while (!isa_usable((enum isa)isa)) isa--;
  return (enum isa)isa;
}

/* libjpeg-turbo chooses for itself on first use, among what these variables leave. */
static void limit_jpeg(enum isa isa) {
  static const char *const limits[ISA_COUNT] = {"JSIMD_FORCENONE", "JSIMD_FORCESSE2", "JSIMD_FORCEAVX2",
                                                "JSIMD_FORCENEON"};
  for (int i = 0; i < ISA_COUNT; i++) unsetenv(limits[i]);
  setenv(limits[isa], "1", 1);
}

static enum status not_usable(const char *name) {
  char list[64] = "";
  size_t used = 0;
  for (int i = 0; i < ISA_COUNT; i++)
    if (isa_usable((enum isa)i))
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", isa_names[i]);
  return fail(E_ARG, "--isa %s: this CPU has %s; take one of these, or auto", name, list);
}

enum status isa_select(const char *name) {
  if (strcmp(name, "auto") == 0) {
    chosen = (int)best();
    log_debug("instruction set: %s", isa_names[chosen]);
    return OK;
  }
  int isa = 0;
  while (isa < ISA_COUNT && strcmp(isa_names[isa], name) != 0) isa++;
  if (isa == ISA_COUNT || !isa_usable((enum isa)isa)) return not_usable(name);
  limit_jpeg((enum isa)isa);
  chosen = isa;
  log_debug("instruction set: %s, as asked for", name);
  return OK;
}

enum isa isa_chosen(void) {
  int isa = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (isa < 0) {
    isa = (int)best();
    atomic_store_explicit(&chosen, isa, memory_order_relaxed);
  }
  return (enum isa)isa;
}
