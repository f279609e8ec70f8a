/* What sysctls of config.json change. */
#include "boot/config.h"
#include "net/inet/inet.h"

struct inet_settings inet_settings = {
    .first_port = 32768,
    .last_port = 60999,
    .first_unprivileged_port = 1024,
    .last_ping_group = INT32_MAX,
};

/* "a" or "a b", decimal; false if it is anything else. */
static bool read_numbers(const char *text, uint32_t *numbers, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t value = 0;
        while (*text == ' ' || *text == '\t') text++;
        if (*text < '0' || *text > '9') return false;
        for (; *text >= '0' && *text <= '9'; text++) {
            value = value * 10 + (uint64_t)(*text - '0');
            if (value > UINT32_MAX) return false;
        }
        numbers[i] = (uint32_t)value;
    }
    while (*text == ' ' || *text == '\t' || *text == '\n') text++;
    return !*text;
}

static bool read_setting(const char *name, uint32_t *numbers, int count)
{
    const char *given = boot_sysctl(name);

    return given && read_numbers(given, numbers, count);
}

/* What the kernel of the host refused init has refused the container: what is out of bounds here changes nothing. */
void inet_settings_read(void)
{
    uint32_t n[2];

    if (read_setting("net.ipv4.ip_local_port_range", n, 2) && n[0] > 0 && n[0] <= n[1] && n[1] <= UINT16_MAX) {
        inet_settings.first_port = n[0];
        inet_settings.last_port = n[1];
    }
    if (read_setting("net.ipv4.ip_unprivileged_port_start", n, 1)) inet_settings.first_unprivileged_port = n[0];
    if (read_setting("net.ipv4.ping_group_range", n, 2)) {
        inet_settings.first_ping_group = n[0];
        inet_settings.last_ping_group = n[1];
    }
}
