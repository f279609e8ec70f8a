# Shared by the Makefiles of the native parts: `include` it after setting PART.
TOP := $(dir $(lastword $(MAKEFILE_LIST)))
OBJ := $(TOP)build/obj/$(PART)
DIST := $(TOP)dist
ABI := $(TOP)tender/common/abi

CC ?= gcc
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS_COMMON := -std=c11 -O2 -g $(WARN) -MMD -MP

$(shell mkdir -p $(OBJ) $(DIST))
