/* Says what it reads from its terminal, in all modes. "name> " asks the one who types for the next input. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static void show(const char *text, ssize_t n)
{
    printf("[%zd:", n);
    for (ssize_t i = 0; i < n; i++)
        printf(text[i] >= ' ' && text[i] < 127 ? "%c" : "\\x%02x", (unsigned char)text[i]);
    printf("]\n");
}

static void ask(const char *name)
{
    char text[300];

    printf("%s> ", name);
    ssize_t n = read(0, text, sizeof(text));
    if (n < 0)
        printf("[%s]\n", strerror(errno));
    else
        show(text, n);
}

/* The key for a signal may be typed before we wait for it: it is blocked, and stays pending. */
static void ask_signal(const char *name)
{
    sigset_t set;
    int sig = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    printf("%s> ", name);
    sigwait(&set, &sig);
    printf("[signal %d]\n", sig);
}

int main(void)
{
    struct termios old, raw;
    struct winsize size;
    struct pollfd pfd = {0, POLLIN | POLLOUT, 0};
    char text[100];
    int n;

    setvbuf(stdout, NULL, _IONBF, 0);
    printf("terminals %d %d %d\n", isatty(0), isatty(1), isatty(2));
    tcgetattr(0, &old);
    printf("modes %o %o %o %o\n", old.c_iflag, old.c_oflag, old.c_cflag & ~HUPCL, old.c_lflag);
    for (int i = 0; i < 17; i++)
        printf("%d ", old.c_cc[i]);
    ioctl(1, TIOCGWINSZ, &size);
    printf("\nsize %d %d\n", size.ws_row, size.ws_col);
    printf("ready %d %x\n", poll(&pfd, 1, 0), pfd.revents);
    ask("line");
    ask("erase");
    ask("kill");
    ask("word");
    ask("literal");
    ask("carriage return");
    ask("control");
    ask("partial");
    ask("end of file");
    ask_signal("interrupt");
    ask_signal("quit");
    printf("in two reads> ");
    n = (int)read(0, text, 4);
    show(text, n);
    n = (int)read(0, text, 100);
    show(text, n);

    raw = old;
    raw.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(0, TCSANOW, &raw);
    ask("password");
    raw.c_lflag &= ~(tcflag_t)(ICANON | ISIG);
    raw.c_iflag &= ~(tcflag_t)ICRNL;
    raw.c_cc[VMIN] = 3;
    raw.c_cc[VTIME] = 0;
    tcsetattr(0, TCSAFLUSH, &raw);
    ask("three");
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 1;
    tcsetattr(0, TCSANOW, &raw);
    n = (int)read(0, text, 10);
    printf("nothing: %d\n", n);
    ioctl(0, FIONREAD, &n);
    printf("waiting: %d\n", n);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    tcsetattr(0, TCSANOW, &raw);
    printf("raw\noutput\r\n");
    tcsetattr(0, TCSANOW, &old);
    printf("tab\there\n");
    ask("done");
    return 0;
}
