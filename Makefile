# Tandem. `make` builds build/bin/tandem-*; `make help` lists the rest.
#
# Everything is found by name: a folder under stages/ is an executable, a file under tests/unit a test program, a file
# in a registry folder (see "Registries") an entry of that registry. Adding one edits nothing here.

CUDA   ?= auto# auto: use nvcc when it is there; 0: never; 1: fail without it
CPU_MATH ?= 1#  0: without oneDNN and OpenBLAS, and so without the cpu backend and the linear stage
WERROR ?= 0#    1: warnings are errors (CI)
V      ?= 0#    1: show the commands
SAN    ?= #     e.g. address,undefined or thread
FUZZ_ENGINE ?=# fuzzer: fuzz targets get libFuzzer instead of the replay driver (scripts/fuzz)
BUILD  ?= build
CC     ?= gcc
ifeq ($(origin CC),default)
CC     := gcc
endif

comma := ,
Q := $(if $(filter 1,$(V)),,@)

NVCC := $(shell command -v nvcc 2>/dev/null)
CUDA_HOME := $(patsubst %/bin/,%,$(dir $(realpath $(NVCC))))
ifeq ($(CUDA),auto)
HAVE_CUDA := $(if $(NVCC),1,0)
else
HAVE_CUDA := $(CUDA)
endif
ifeq ($(HAVE_CUDA)$(NVCC),1)
$(error CUDA=1 but nvcc is not on PATH; install the CUDA Toolkit or use CUDA=0)
endif

# -ffp-contract=off: a fused multiply-add must not decide a pixel or differ between machines. -fno-trapping-math only
# gives up exception flags, which nobody reads, so that loops with a choice in them can be vectorised.
# override: what decides results stays when a user passes CFLAGS=... of their own.
override CFLAGS   += -std=c11 -O3 -g -fno-math-errno -fno-trapping-math -ffp-contract=off -fopenmp -fPIC -pthread
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings -Wundef \
            -Wno-missing-field-initializers
override CPPFLAGS += -D_GNU_SOURCE -Icommon -Istages -Itests -I$(BUILD)/gen
override LDFLAGS  += -Wl,--as-needed -pthread -fopenmp
# The OpenMP build of OpenBLAS, whichever variant the machine's alternatives point to: a second thread pool beside
# OpenMP's would fight it for the cores.
BLAS     := $(if $(filter 1,$(CPU_MATH)),$(firstword $(wildcard /usr/lib/$(shell $(CC) -print-multiarch 2>/dev/null)/openblas-openmp)))
LDFLAGS  += $(if $(BLAS),-L$(BLAS) -Wl$(comma)-rpath$(comma)$(BLAS))
LDLIBS   := -lzmq -lmsgpackc -llmdb -ljpeg -lpng $(if $(filter 1,$(CPU_MATH)),-ldnnl -lopenblas -llbfgs) -ljansson -lxxhash -lm
ifeq ($(HAVE_CUDA),1)
override CPPFLAGS += -isystem $(CUDA_HOME)/include
endif
ifeq ($(WERROR),1)
WARN += -Werror
endif
ifneq ($(SAN),)
override CFLAGS  += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
override LDFLAGS += -fsanitize=$(SAN)
endif

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all tests test chaos bench format lint asan tsan fuzz fuzz-targets clean help docs

# --- Sources -------------------------------------------------------------------------------------------------------

# What of these files this build has.
LEFT_OUT := $(if $(filter 1,$(HAVE_CUDA)),,%_cuda.c %/backends/cuda.c common/nn/cuda/% tests/unit/nn/cuda/%) \
            $(if $(filter 1,$(CPU_MATH)),,%_cpu.c %/backends/cpu.c common/nn/cpu.c stages/linear/% tests/unit/stages/linear/%)
built     = $(filter-out $(LEFT_OUT),$(wildcard $(1)))
COMMON   := $(call built,common/*/*.c common/*/*/*.c)
STAGES   := $(notdir $(patsubst %/main.c,%,$(call built,stages/*/main.c)))
ARCHIVES := $(sort $(foreach f,$(call built,stages/*/*.c),$(word 2,$(subst /, ,$(f)))))
stage_src = $(wildcard stages/$(1)/*.c stages/$(1)/*/*.c)
UNIT     := $(call built,$(foreach d,unit/*/ unit/*/*/ oracle/ oracle/*/ gpu/ parity/,tests/$(d)*_test.c))
BENCH    := $(wildcard tests/bench/*.c tests/bench/*/*.c)
FUZZ     := $(wildcard tests/fuzz/*_fuzz.c)

# --- Registries: FOLDER files become `const struct TYPE *const TYPE_registry[]`, each file defining TYPE_<file name> --

REGISTRIES := transform_op format base method kernel optimiser backend
registry_transform_op := $(wildcard common/transform/ops/*.c)
registry_format       := $(wildcard stages/ingest/formats/*.c)
registry_base         := $(wildcard stages/train/bases/*.c)
registry_method       := $(wildcard stages/train/methods/*.c)
registry_kernel       := $(call built,common/nn/*/*_ref.c common/nn/*/*_cpu.c common/nn/*/*_cuda.c)
registry_optimiser    := $(filter-out %_ref.c %_cpu.c %_cuda.c,$(wildcard common/nn/optimisers/*.c))
registry_backend      := $(call built,common/nn/backends/*.c)

registry_home_transform_op := common
registry_home_kernel       := common
registry_home_optimiser    := common
registry_home_backend      := common
registry_home_format       := stages/ingest
registry_home_base         := stages/train
registry_home_method       := stages/train
registries_of = $(foreach r,$(REGISTRIES),$(if $(filter $(1),$(registry_home_$(r))),$(if $(registry_$(r)),$(BUILD)/gen/$(r)_registry.o)))

# --- Instruction sets: a file NAME_simd.c is compiled once for each; the CPU's best is chosen at run time (image/isa.h) ---

ISAS_x86_64  := sse4 avx2
ISAS_aarch64 := neon
ISAS         := scalar $(ISAS_$(firstword $(subst -, ,$(shell $(CC) -dumpmachine))))
ISA_scalar   := -DISA_DISPATCHES -fno-tree-vectorize -fno-tree-slp-vectorize
ISA_sse4     := -msse4.2
ISA_avx2     := -mavx2
SIMD         := $(filter %_simd.c,$(COMMON))

# --- Objects ---------------------------------------------------------------------------------------------------------

LIB         := $(BUILD)/libtandem.a
LIB_OBJ     := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(SIMD),$(COMMON))) \
               $(foreach isa,$(ISAS),$(SIMD:%.c=$(BUILD)/%.$(isa).o)) $(call registries_of,common)
BIN         := $(STAGES:%=$(BUILD)/bin/tandem-%)
UNIT_BIN    := $(UNIT:tests/%.c=$(BUILD)/tests/%)
BENCH_BIN   := $(BENCH:tests/%.c=$(BUILD)/tests/%)
FUZZ_REPLAY := $(FUZZ:tests/%.c=$(BUILD)/tests/%)
stage_obj    = $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c,$(call stage_src,$(1)))) $(call registries_of,stages/$(1))

all: $(BIN)
tests: $(UNIT_BIN) $(FUZZ_REPLAY) $(BENCH_BIN)

# A stage's archive (all but main.c), so that tests can link what they test.
define archive_rules
$(BUILD)/stages/$(1).a: $(call stage_obj,$(1)) | $(BUILD)/stages
	@rm -f $$@ && ar rcs $$@ $(call stage_obj,$(1))
endef
define stage_rules
$(BUILD)/bin/tandem-$(1): $(BUILD)/stages/$(1)/main.o $(BUILD)/stages/$(1).a $(LIB)
	@mkdir -p $$(@D)
	@echo '  LD $$@'
	$(Q)$$(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS)
endef
$(foreach s,$(ARCHIVES),$(eval $(call archive_rules,$(s))))
$(foreach s,$(STAGES),$(eval $(call stage_rules,$(s))))
$(BUILD)/stages: ; @mkdir -p $@

$(LIB): $(LIB_OBJ)
	@rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c $(BUILD)/.flags
	@mkdir -p $(@D)
	@echo '  CC $<'
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -MMD -MP -c -o $@ $<

define isa_rules
$(BUILD)/%.$(1).o: %.c $(BUILD)/.flags
	@mkdir -p $$(@D)
	@echo '  CC $$< ($(1))'
	$(Q)$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(WARN) $(ISA_$(1)) -DISA=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call isa_rules,$(isa))))

# Inside a float32 kernel a fused multiply-add is welcome: results are compared per machine.
$(BUILD)/common/nn/%_cpu.o $(BUILD)/common/nn/%_loops.o: override CFLAGS += -ffp-contract=fast

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/.flags
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -c -o $@ $<

define registry_rules
$(BUILD)/gen/$(1)_registry.c: scripts/registry $(registry_$(1)) $(BUILD)/.registry-$(1)
	@mkdir -p $$(@D)
	@scripts/registry $(1) $(registry_$(1)) > $$@
$(BUILD)/.registry-$(1): FORCE
	@mkdir -p $$(@D); echo '$(registry_$(1))' | cmp -s - $$@ || echo '$(registry_$(1))' > $$@
endef
$(foreach r,$(REGISTRIES),$(eval $(call registry_rules,$(r))))

# Rebuild when the switches change.
FLAGS := $(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) $(LDFLAGS) $(HAVE_CUDA)
$(BUILD)/.flags: FORCE
	@mkdir -p $(@D); echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@
FORCE:

# --- Tests ------------------------------------------------------------------------------------------------------------

# tests/unit/stages/NAME/x_test.c and tests/oracle/NAME/x_test.c link the stage's archive as well; a benchmark may need any.
test_words = $(subst /, ,$(1))
test_stage = $(if $(filter bench,$(word 2,$(test_words))),$(STAGES:%=$(BUILD)/stages/%.a),$(patsubst %,$(BUILD)/stages/%.a,\
             $(filter $(ARCHIVES),$(word $(if $(filter oracle,$(word 2,$(test_words))),3,4),$(test_words)))))
define test_rules
$(BUILD)/$(1:%.c=%): $(BUILD)/$(1:%.c=%.o) $(call test_stage,$(1)) $(LIB)
	@mkdir -p $$(@D)
	@echo '  LD $$@'
	$(Q)$$(CC) $(LDFLAGS) -o $$@ $$^ -lcmocka $(LDLIBS)
endef
$(foreach t,$(UNIT) $(BENCH),$(eval $(call test_rules,$(t))))

# Without a fuzzing engine each target replays its committed corpus, as a test. A target may need any stage.
FUZZ_DRIVER := $(if $(FUZZ_ENGINE),,$(BUILD)/tests/fuzz/replay.o)
$(BUILD)/tests/fuzz/%_fuzz: $(BUILD)/tests/fuzz/%_fuzz.o $(FUZZ_DRIVER) $(STAGES:%=$(BUILD)/stages/%.a) $(LIB)
	@echo '  LD $@'
	$(Q)$(CC) $(LDFLAGS) $(if $(FUZZ_ENGINE),-fsanitize=$(FUZZ_ENGINE)) -o $@ $^ $(LDLIBS)

fuzz-targets: $(FUZZ_REPLAY)

test: all tests
	scripts/run-tests --build $(BUILD)

asan:
	$(MAKE) BUILD=build/asan SAN=address,undefined test

# Without what runs on OpenMP's threads (the engine and its users): the sanitizer cannot see how those wait for each other.
TSAN_TESTS := $(addprefix tests/,$(addprefix unit/,base image store transform wire stages/decode stages/ingest) fuzz \
              $(addprefix flow/,augment dataplane ingest isa ledger shared_memory straggler))
tsan:
	$(MAKE) BUILD=build/tsan SAN=thread all tests
	scripts/run-tests --build build/tsan $(TSAN_TESTS)

chaos: all tests
	@seed=$${TANDEM_CHAOS_SEED:-$$(date +%s)}; echo "make chaos TANDEM_CHAOS_SEED=$$seed draws the same faults"; \
	TANDEM_CHAOS=long TANDEM_CHAOS_SEED=$$seed scripts/run-tests --build $(BUILD) tests/chaos flow/keys flow/straggler

bench: all $(BENCH_BIN)
	scripts/bench

fuzz:
	scripts/fuzz

# --- Habits -----------------------------------------------------------------------------------------------------------

C_FILES := $(shell find common stages tests -name '*.[ch]' 2>/dev/null)
format:
	clang-format -i $(C_FILES)

lint:
	scripts/lint $(C_FILES)

clean:
	rm -rf build

help:
	@echo 'make            build build/bin/tandem-*          CUDA=auto|0|1  CPU_MATH=0|1  WERROR=1'
	@echo 'make test       build and run every test'
	@echo 'make asan tsan  the tests under sanitizers; tsan: all but what runs on OpenMP'
	@echo 'make chaos      the fault tests, long and rough;  TANDEM_CHAOS_SEED=N repeats one'
	@echo 'make bench      speed beside PyTorch and torchvision, where they are installed'
	@echo 'make fuzz       each parser fuzzed for a minute'
	@echo 'make format     clang-format in place;  make lint: clang-format, clang-tidy, cppcheck'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
