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
CXX    := g++# emulated CUDA kernels (tests)

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
# Kernels: machine code for the A100's and the H100's families, PTX for what comes after. C++ without its run-time library.
CUDA_CODE := $(foreach sm,80 90,-gencode arch=compute_$(sm),code=sm_$(sm)) -gencode arch=compute_90,code=compute_90
CXX_LEAN  := -fPIC -fno-exceptions -fno-rtti -fno-threadsafe-statics
CXX_FLAGS := -std=c++20 -O3 -g -pthread $(CXX_LEAN)
CXX_WARN  := -Wall -Wextra -Wno-missing-field-initializers
NVCC_FLAGS := -std=c++20 -O3 -lineinfo $(CUDA_CODE) -Xcompiler "$(CXX_LEAN) $(CXX_WARN)"
ifeq ($(HAVE_CUDA),1)
override CPPFLAGS += -isystem $(CUDA_HOME)/include
LDLIBS += $(CUDA_HOME)/lib64/libcudart_static.a -ldl -lrt
endif
ifeq ($(WERROR),1)
WARN += -Werror
CXX_WARN += -Werror
NVCC_FLAGS += -Werror all-warnings
endif
ifneq ($(SAN),)
override CFLAGS  += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
CXX_FLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
override LDFLAGS += -fsanitize=$(SAN)
endif

.DELETE_ON_ERROR:
.PHONY: all tests cuda-tests test chaos bench format lint asan tsan fuzz fuzz-targets gpu-programs gpu-programs-here gpu-bundle gpu-bundle-here clean help docs

# --- Sources -------------------------------------------------------------------------------------------------------

# What of these files this build has.
LEFT_OUT := $(if $(filter 1,$(HAVE_CUDA)),,%_cuda.c %_cuda.cu %/backends/cuda.c common/nn/cuda/% tests/unit/nn/cuda/%) \
            $(if $(filter 1,$(CPU_MATH)),,%_cpu.c %/backends/cpu.c common/nn/cpu.c stages/linear/% tests/unit/stages/linear/% tests/oracle/linear/%)
built     = $(filter-out $(LEFT_OUT),$(wildcard $(1)))
COMMON   := $(call built,common/*/*.c common/*/*/*.c)
KERNELS  := $(call built,common/*/*/*.cu)
STAGES   := $(notdir $(patsubst %/main.c,%,$(call built,stages/*/main.c)))
ARCHIVES := $(sort $(foreach f,$(call built,stages/*/*.c),$(word 2,$(subst /, ,$(f)))))
stage_src = $(wildcard stages/$(1)/*.c stages/$(1)/*/*.c)
UNIT     := $(call built,$(foreach d,unit/*/ unit/*/*/ oracle/ oracle/*/ gpu/ gpu/*/ parity/,tests/$(d)*_test.c))
BENCH    := $(wildcard tests/bench/*.c tests/bench/*/*.c)
FUZZ     := $(wildcard tests/fuzz/*_fuzz.c)

# --- Registries: FOLDER files become `const struct TYPE *const TYPE_registry[]`, each file defining TYPE_<file name> --

REGISTRIES := transform_op format base method kernel optimiser backend
registry_transform_op := $(wildcard common/transform/ops/*.c)
registry_format       := $(wildcard stages/ingest/formats/*.c)
registry_base         := $(wildcard stages/train/bases/*.c)
registry_method       := $(wildcard stages/train/methods/*.c)
registry_kernel       := $(call built,common/nn/*/*_ref.c common/nn/*/*_cpu.c common/nn/*/*_cuda.c common/nn/*/*_cuda.cu)
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
               $(KERNELS:%.cu=$(BUILD)/%.o) \
               $(foreach isa,$(ISAS),$(SIMD:%.c=$(BUILD)/%.$(isa).o)) $(call registries_of,common)
BIN         := $(STAGES:%=$(BUILD)/bin/tandem-%)
UNIT_BIN    := $(UNIT:tests/%.c=$(BUILD)/tests/%)
BENCH_BIN   := $(BENCH:tests/%.c=$(BUILD)/tests/%)
FUZZ_REPLAY := $(FUZZ:tests/%.c=$(BUILD)/tests/%)
stage_obj    = $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c,$(call stage_src,$(1)))) $(call registries_of,stages/$(1))

all: $(BIN)
tests: $(UNIT_BIN) $(FUZZ_REPLAY) $(BENCH_BIN)
cuda-tests: $(filter $(BUILD)/tests/unit/nn/cuda/% $(BUILD)/tests/gpu/%,$(UNIT_BIN)) # of a CUDA build alone

# A stage's archive (all but main.c), so that tests can link what they test.
define archive_rules
$(BUILD)/stages/$(1).a: $(call stage_obj,$(1)) | $(BUILD)/stages
	@rm -f $$@ && ar rcs $$@ $(call stage_obj,$(1))
endef
define stage_rules
$(BUILD)/bin/tandem-$(1): $(BUILD)/stages/$(1)/main.o $(BUILD)/stages/$(1).a $(LIB)
	@mkdir -p $$(@D)
	@echo '  LD $$@'
	$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $(LDLIBS)
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

$(BUILD)/%.o: %.cu $(BUILD)/.flags
	@mkdir -p $(@D)
	@echo '  NVCC $<'
	$(Q)$(NVCC) $(NVCC_FLAGS) -Icommon -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

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

# A file that is written when its text changes, for rules to depend on.
stamp = $(shell mkdir -p $(dir $(1)); echo '$(2)' | cmp -s - $(1) || echo '$(2)' > $(1))

# FOLDER, TYPE, the variable that lists its files
define registry_rules
$(call stamp,$(1)/.$(2),$($(3)))
$(1)/$(2)_registry.c: scripts/registry $($(3)) $(1)/.$(2)
	@scripts/registry $(2) $($(3)) > $$@
endef
$(foreach r,$(REGISTRIES),$(eval $(call registry_rules,$(BUILD)/gen,$(r),registry_$(r))))

# Rebuild when the switches change.
FLAGS := $(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) $(CXX_FLAGS) $(CXX_WARN) $(LDFLAGS) $(if $(filter 1,$(HAVE_CUDA)),$(subst ",,$(NVCC_FLAGS)))
$(call stamp,$(BUILD)/.flags,$(FLAGS))

# --- Which tests need what ----------------------------------------------------------------------------------------------

# tests/unit/stages/NAME/x_test.c, tests/oracle/NAME/x_test.c and tests/gpu/NAME/x_test.c link the stage's archive as well; a
# benchmark may need any.
test_words = $(subst /, ,$(1))
test_stage = $(if $(filter bench,$(word 2,$(test_words))),$(STAGES:%=$(BUILD)/stages/%.a),$(patsubst %,$(BUILD)/stages/%.a,\
             $(filter $(ARCHIVES),$(word $(if $(filter oracle gpu,$(word 2,$(test_words))),3,4),$(test_words)))))

# --- CUDA under emulation (tests/emulation): the backend and its kernels compiled for the CPU, run by the parity tests -----

# What calls NVIDIA's libraries stays out; tests/emulation/NAME_emulated.c stands for common/nn/cuda/NAME.c.
EMU       := $(BUILD)/emulated
CUDA_SRC  := $(wildcard $(foreach e,c cu,common/nn/backends/cuda.$(e) common/nn/cuda/*.$(e) common/nn/*/*_cuda.$(e)))
EMU_OWN   := $(filter-out %_test.c,$(wildcard tests/emulation/*.c tests/emulation/*.cc tests/emulation/*.cu))
EMU_SRC   := $(filter-out $(patsubst %,common/nn/cuda/%.c,dnn operation matmul libraries descriptor),$(CUDA_SRC)) $(EMU_OWN)
EMU_OBJ   := $(addprefix $(EMU)/,$(addsuffix .o,$(basename $(EMU_SRC))) gen/kernel_registry.o gen/backend_registry.o)
EMU_TESTS := $(filter tests/parity/% tests/oracle/train/% tests/oracle/linear/% %/nn/optimiser_test.c,$(UNIT)) $(wildcard tests/emulation/*_test.c)
EMU_BIN   := $(patsubst %.c,$(BUILD)/tests/parity/emulated/%,$(notdir $(EMU_TESTS)))
EMU_FLAGS := -Itests/emulation/include -Itests/emulation

tests: $(EMU_BIN)

registry_emulated_kernel  := $(wildcard common/nn/*/*_ref.c) $(filter %_cuda.c %_cuda.cu,$(CUDA_SRC))
registry_emulated_backend := common/nn/backends/ref.c common/nn/backends/cuda.c
$(foreach r,kernel backend,$(eval $(call registry_rules,$(EMU)/gen,$(r),registry_emulated_$(r))))

$(EMU)/gen/%.o: $(EMU)/gen/%.c $(BUILD)/.flags
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -c -o $@ $<
$(EMU)/%.o: %.c $(BUILD)/.flags
	@mkdir -p $(@D)
	@echo '  CC $< (emulated)'
	$(Q)$(CC) $(EMU_FLAGS) $(CPPFLAGS) $(CFLAGS) $(WARN) -MMD -MP -c -o $@ $<
define emulated_cxx
$(EMU)/%.o: %.$(1) $(BUILD)/.flags
	@mkdir -p $$(@D)
	@echo '  CXX $$< (emulated)'
	$(Q)$(CXX) -x c++ $(EMU_FLAGS) $(CPPFLAGS) $(CXX_FLAGS) $(CXX_WARN) -MMD -MP -c -o $$@ $$<
	$(if $(filter cu,$(1)),$(Q)objcopy --set-section-alignment .bss=32 --rename-section .bss=emulated_shared$(comma)alloc $$@)
endef
$(foreach ext,cu cc,$(eval $(call emulated_cxx,$(ext))))

define emulated_test
$(BUILD)/tests/parity/emulated/$(basename $(notdir $(1))): $(EMU)/$(1:%.c=%.o) $(EMU_OBJ) $(call test_stage,$(1)) $(LIB)
	@mkdir -p $$(@D)
	@echo '  LD $$@'
	$(Q)$(CXX) $(LDFLAGS) -o $$@ $$^ -lcmocka $(LDLIBS)
endef
$(foreach t,$(EMU_TESTS),$(eval $(call emulated_test,$(t))))

# --- Tests ------------------------------------------------------------------------------------------------------------

define test_rules
$(BUILD)/$(1:%.c=%): $(BUILD)/$(1:%.c=%.o) $(call test_stage,$(1)) $(LIB)
	@mkdir -p $$(@D)
	@echo '  LD $$@'
	$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka $(LDLIBS)
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

# --- For a GPU machine -------------------------------------------------------------------------------------------------

# Programs that need of us only what lies in lib/ beside them: scripts/gpu-check runs them here, or from the bundle there.
GPU_BUILD   := build/gpu
GPU_TESTS   := $(filter tests/gpu/% tests/parity/% tests/oracle/train/%,$(UNIT))
GPU_PROGRAM := $(BIN) $(GPU_TESTS:%.c=$(BUILD)/%) $(BUILD)/tests/bench/train/step
GPU_RPATH   := -Wl,--disable-new-dtags $(foreach up,.. ../.. ../../..,-Wl$(comma)-rpath$(comma)\$$$$ORIGIN/$(up)/lib)

GPU_MAKE    := $(MAKE) BUILD=$(GPU_BUILD) CUDA=1 CPU_MATH=0 LDFLAGS='$(GPU_RPATH)'

gpu-programs gpu-bundle:
	+$(GPU_MAKE) $@-here
gpu-programs-here: $(GPU_PROGRAM)
gpu-bundle-here: $(GPU_PROGRAM)
	scripts/gpu-bundle $(BUILD)/tandem-gpu.tar.xz $(BUILD) $(GPU_PROGRAM:$(BUILD)/%=%)

# --- Habits -----------------------------------------------------------------------------------------------------------

C_FILES := $(shell find common stages tests -name '*.[ch]' 2>/dev/null)
CXX_FILES := $(wildcard common/*/*/*.cu common/*/*/*.cuh tests/emulation/*.cc tests/emulation/*.cu)
format:
	clang-format -i $(C_FILES) $(CXX_FILES)

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
	@echo 'make gpu-bundle one file for a GPU machine without a toolkit; scripts/gpu-check: here (docs/gpu.md)'
	@echo 'make format     clang-format in place;  make lint: clang-format, clang-tidy, cppcheck'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
