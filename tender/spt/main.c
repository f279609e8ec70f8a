/*
 * solo5-spt's command line, and the order of events from there to the guest.
 */
#include "fail.h"
#include "modules.h"
#include "tender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#ifndef RUNNC_VERSION
#error "RUNNC_VERSION is set by the Makefile"
#endif

static const char USAGE[] =
    "usage: tender-spt [OPTIONS] [--] KERNEL [ARGS]\n"
    "Runs KERNEL, a Solo5 unikernel for the spt target (a path or @FD), with ARGS.\n"
    "Options:\n"
    "  --mem=MB                    guest memory in MiB (512)\n"
    "  --allow-extras=NAME[,NAME]  extras beyond Solo5's ABI that KERNEL may have if it asks\n"
    "  --keep=@FD                  leave a descriptor open that the guest cannot use: the other end of\n"
    "                              a channel, for whoever may take it out of the process\n"
    "  --seccomp-dump              print the filter instead of running the guest\n"
    "  --trace                     print each host call of the guest on standard error\n"
    "  --x-no-fsgsbase             treat the processor as one without FSGSBASE, for tests\n"
    "  --help, --version           print this, or the version, and exit\n";

static _Noreturn void print_help(void)
{
    fputs(USAGE, stdout);
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->usage != NULL)
            fputs((*m)->usage, stdout);
    exit(0);
}

static _Noreturn void print_version(void)
{
    printf("tender-spt %s\nABI version %u\n", RUNNC_VERSION, SOLO5_SPT_ABI_VERSION);
    exit(0);
}

/* Finds the kernel operand, for the options can be understood only with its manifest. Returns
 * the index of the operand in argv. */
static int find_kernel(char **argv)
{
    int i;

    for (i = 1; argv[i] != NULL && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (strcmp(argv[i], "--help") == 0)
            print_help();
        if (strcmp(argv[i], "--version") == 0)
            print_version();
    }
    if (argv[i] == NULL)
        fail("no KERNEL given; see tender-spt --help");
    return i;
}

static uint64_t memory_option(const char *value, uint64_t max)
{
    char *end;
    unsigned long long mib;

    errno = 0;
    mib = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || mib == 0 ||
        mib > max / MIB)
        fail("--mem=%s: expected a number of MiB from 1 to %llu", value,
             (unsigned long long)(max / MIB));
    return mib * MIB;
}

static bool core_option(struct tender *tender, const char *option)
{
    const char *value = option_value(option, "--mem");

    if (value != NULL)
        tender->mem_size = memory_option(
            value, tender->has_extras_note ? GUEST_MEMORY_MAX_EXTRAS : GUEST_MEMORY_MAX);
    else if ((value = option_value(option, "--keep")) != NULL)
        tender->kept_fd = open_descriptor(value, "--keep");
    else if (strcmp(option, "--seccomp-dump") == 0)
        tender->dump_filter = true;
    else if (strcmp(option, "--trace") == 0)
        tender->trace = true;
    else if (strcmp(option, "--x-no-fsgsbase") == 0)
        tender->no_fsgsbase = true;
    else if ((value = option_value(option, "--allow-extras")) != NULL)
        extras_allow(tender, value);
    else
        return false;
    return true;
}

static void parse_options(struct tender *tender, char **argv, int kernel_index)
{
    for (int i = 1; i < kernel_index && strcmp(argv[i], "--") != 0; i++) {
        bool taken = core_option(tender, argv[i]);

        for (const struct module *const *m = modules; !taken && *m != NULL; m++)
            taken = (*m)->option != NULL && (*m)->option(tender, argv[i]);
        if (!taken)
            fail("unknown option %s; see tender-spt --help", argv[i]);
    }
}

static void open_kernel(struct tender *tender)
{
    struct solo5_abi_note abi;
    size_t size;
    int fd = open_source(tender->kernel_path, O_RDONLY, "kernel");

    elf_open(&tender->kernel, fd, tender->kernel_path);
    size = elf_note(&tender->kernel, SOLO5_NOTE_NAME, SOLO5_NOTE_ABI1, _Alignof(struct solo5_abi_note),
                    &abi, sizeof abi);
    if (size != sizeof abi)
        fail("%s: no Solo5 ABI note: not a Solo5 unikernel", tender->kernel_path);
    if (abi.target != SOLO5_ABI_TARGET_SPT)
        fail("%s: built for Solo5 target %u, not for spt (%u)", tender->kernel_path, abi.target,
             SOLO5_ABI_TARGET_SPT);
    if (abi.version != SOLO5_SPT_ABI_VERSION)
        fail("%s: built for version %u of the spt ABI, not %u; rebuild it with Solo5 0.9 or newer",
             tender->kernel_path, abi.version, SOLO5_SPT_ABI_VERSION);
    size = elf_note(&tender->kernel, SOLO5_NOTE_NAME, SOLO5_NOTE_MFT1, _Alignof(uint64_t),
                    &tender->manifest, sizeof tender->manifest);
    if (size == 0)
        fail("%s: no Solo5 manifest note", tender->kernel_path);
    manifest_check(&tender->manifest, size, tender->kernel_path);
    extras_read(tender);
}

static void check_devices(const struct tender *tender)
{
    for (unsigned i = 1; i < tender->manifest.m.entries; i++) {
        const struct solo5_mft_entry *entry = &tender->manifest.m.e[i];

        if (tender->devices[i].source == NULL)
            fail("%s: device '%s' of type %s is declared but not attached; give --%s:%s=...",
                 tender->kernel_path, entry->name, manifest_type_name(entry->type),
                 entry->type == SOLO5_MFT_NET_BASIC ? "net" : "block", entry->name);
    }
}

static void setup_modules(struct tender *tender)
{
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->setup != NULL && ((*m)->extra == 0 || is_granted(tender, (*m)->extra)))
            (*m)->setup(tender);
}

/* So that no file we open becomes the guest's console. */
static void ensure_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            fail("descriptor %d is closed and /dev/null cannot be opened for it", fd);
}

/* A personality inherited from the parent would make readable mappings executable. */
static void reset_personality(void)
{
    const int persona = personality(0xffffffffu);

    if (persona < 0 || ((persona & READ_IMPLIES_EXEC) &&
                        personality((unsigned long)(persona & ~READ_IMPLIES_EXEC)) < 0))
        fail_errno("cannot reset the personality");
}

int main(int argc, char **argv)
{
    static struct tender tender = {
        .mem_size = GUEST_MEMORY_DEFAULT,
        .kept_fd = -1,
        .boot = {.epollfd = -1, .timerfd = -1},
    };
    int kernel_index;

    if (argc < 1)
        return 1;
    signals_block_all();
    ensure_standard_descriptors();
    reset_personality();
    for (unsigned i = 0; i < SOLO5_MFT_MAX_ENTRIES; i++)
        tender.devices[i].fd = -1;

    kernel_index = find_kernel(argv);
    tender.kernel_path = argv[kernel_index];
    tender.guest_args = argv + kernel_index + 1;
    open_kernel(&tender);
    parse_options(&tender, argv, kernel_index);
    check_devices(&tender);
    extras_grant(&tender);
    if (tender.trace)
        trace_fork();

    memory_map(&tender);
    elf_place(&tender.kernel, GUEST_KERNEL_BASE, tender.mem_size);
    elf_load(&tender.kernel);
    setup_modules(&tender);
    if (tender.dump_filter) {
        filter_print(&tender.filter, stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    boot_info_write(&tender);
    confine(&tender, argv);
    signals_setup(&tender);
    run(&tender);
}
