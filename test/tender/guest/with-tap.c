/* with-tap NAME plain|vnet|tun COMMAND...: runs COMMAND with the tap (or tun) NAME as descriptor 3. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct ifreq request = {.ifr_flags = IFF_NO_PI};
    int fd;

    if (argc < 4)
        return 2;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", argv[1]);
    request.ifr_flags |= strcmp(argv[2], "tun") == 0 ? IFF_TUN : IFF_TAP;
    if (strcmp(argv[2], "vnet") == 0)
        request.ifr_flags |= IFF_VNET_HDR;
    fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || dup2(fd, 3) != 3) {
        perror(argv[1]);
        return 2;
    }
    if (fd != 3)
        close(fd);
    execv(argv[3], argv + 3);
    perror(argv[3]);
    return 2;
}
