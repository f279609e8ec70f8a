#!/bin/sh
# A C program of 20 files and a header, with a make file that builds and tests it, in a folder of its own.
set -e
mkdir -p "$1"
cd "$1"
{
  echo '#pragma once'
  for i in $(seq 20); do echo "int part$i(int n);"; done
} >parts.h
for i in $(seq 20); do
  cat >"part$i.c" <<END
#include "parts.h"
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int part$i(int n)
{
    int *values = malloc(sizeof(int) * (size_t)n), sum = 0;

    for (int k = 0; k < n; k++)
        values[k] = (k * 7919) % n;
    qsort(values, (size_t)n, sizeof(int), compare);
    for (int k = 0; k < n; k++)
        sum += values[k] == k ? $i : 0;
    free(values);
    return sum;
}
END
done
{
  printf '#include "parts.h"\n#include <stdio.h>\n\nint main(void)\n{\n    int sum = 0;\n\n'
  for i in $(seq 20); do echo "    sum += part$i(19);"; done
  printf '    printf("passed: %%d\\n", sum);\n    return sum != 3990;\n}\n'
} >main.c
cat >Makefile <<'END'
CFLAGS := -O2 -Wall -Wextra -Werror
OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))
all: program
program: $(OBJECTS)
	$(CC) -o $@ $^
%.o: %.c parts.h
	$(CC) $(CFLAGS) -c -o $@ $<
test: all
	./program
clean:
	rm -f $(OBJECTS) program
.PHONY: all test clean
END
