/*
 * Makes one host call and says what came back, if anything does:
 *
 *     syscall NR [ARG...]     by the 64-bit entry
 *     int80 NR [ARG...]       by the 32-bit one, which has other numbers
 *     vsyscall                by the page at the top of the address space
 *
 * An argument is a number, "buffer" (the address of a page of zeros), "epoll",
 * "timer" (the tender's descriptors) or "fd:NAME" (the descriptor of a device).
 */
#include "probe.h"
#include "solo5_notes.h"

/* spt ABI 2: where the boot info is, and what of it is needed here. */
#define BOOT_INFO 0x11000

struct boot_info {
    uint64_t mem_size, kernel_end;
    const char *cmdline;
    const struct solo5_mft *mft;
    int32_t epollfd, timerfd;
};

static uint8_t page[4096] __attribute__((aligned(4096)));

static bool argument(const char *word, size_t len, uint64_t *value)
{
    const struct boot_info *boot = (const struct boot_info *)BOOT_INFO;

    if (word_is(word, len, "buffer")) {
        *value = (uintptr_t)page;
        return true;
    }
    if (word_is(word, len, "epoll")) {
        *value = (uint64_t)boot->epollfd;
        return true;
    }
    if (word_is(word, len, "timer")) {
        *value = (uint64_t)boot->timerfd;
        return true;
    }
    if (len > 3 && word_is(word, 3, "fd:")) {
        for (unsigned i = 1; i < boot->mft->entries; i++)
            if (word_is(word + 3, len - 3, boot->mft->e[i].name)) {
                *value = (uint64_t)boot->mft->e[i].b.hostfd;
                return true;
            }
        return false;
    }
    return parse_number(word, len, value);
}

static int64_t call64(const uint64_t a[7])
{
    register uint64_t r10 __asm__("r10") = a[4];
    register uint64_t r8 __asm__("r8") = a[5];
    register uint64_t r9 __asm__("r9") = a[6];
    int64_t ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(a[0]), "D"(a[1]), "S"(a[2]), "d"(a[3]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

static int64_t call32(const uint64_t a[7])
{
    int32_t ret;

    __asm__ volatile("int $0x80"
                     : "=a"(ret)
                     : "a"((uint32_t)a[0]), "b"((uint32_t)a[1]), "c"((uint32_t)a[2]), "d"((uint32_t)a[3]),
                       "S"((uint32_t)a[4]), "D"((uint32_t)a[5])
                     : "r8", "r9", "r10", "r11", "memory");
    return ret;
}

/* gettimeofday(page, NULL) at its fixed address. */
static int64_t vsyscall(void)
{
    int64_t ret;

    __asm__ volatile("call *%%rax"
                     : "=a"(ret)
                     : "a"(0xffffffffff600000ull), "D"(page), "S"(0)
                     : "rcx", "r11", "memory");
    return ret;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    const char *rest = info->cmdline;
    uint64_t a[7] = {0};
    int64_t ret;
    size_t len;
    const char *how = next_word(&rest, &len);
    const size_t how_len = len;

    for (unsigned i = 0; i < 7; i++) {
        const char *word = next_word(&rest, &len);

        if (len > 0 && !argument(word, len, &a[i]))
            return fail("argument");
    }
    if (word_is(how, how_len, "syscall"))
        ret = call64(a);
    else if (word_is(how, how_len, "int80"))
        ret = call32(a);
    else if (word_is(how, how_len, "vsyscall"))
        ret = vsyscall();
    else
        return fail("give syscall, int80 or vsyscall");
    print("returned ");
    print_signed(ret);
    print("\n");
    return SOLO5_EXIT_SUCCESS;
}
