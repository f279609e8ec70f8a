/*
 * The application manifest of a guest (abi/solo5_notes.h): hostile input until
 * manifest_check has seen it.
 */
#ifndef RUNNC_MANIFEST_H
#define RUNNC_MANIFEST_H

#include "abi/solo5_notes.h"

#include <stddef.h>

/* Room for the largest manifest there may be. */
union manifest {
    struct solo5_mft m;
    uint8_t bytes[sizeof(struct solo5_mft) +
                  SOLO5_MFT_MAX_ENTRIES * sizeof(struct solo5_mft_entry)];
};

/*
 * Checks the size bytes of a manifest note read from the file kernel, and
 * clears the fields that belong to the tender. Ends through fail() unless it
 * has a known version, the exact size, the reserved first entry, and up to 63
 * devices of known types with unique alphanumeric names.
 */
void manifest_check(union manifest *manifest, size_t size, const char *kernel);

/* Bytes of a checked manifest. */
size_t manifest_size(const union manifest *manifest);

/* "BLOCK_BASIC" or "NET_BASIC". */
const char *manifest_type_name(uint32_t type);

/*
 * For an option "PREFIX" "NAME=VALUE" (prefix is "--net:" and the like): the
 * index of the device NAME of that type, with *value set behind the '='. Ends
 * through fail() if there is no such device.
 */
unsigned manifest_option(const union manifest *manifest, const char *option, const char *prefix,
                         uint32_t type, const char **value);

#endif
