/* Tells what its terminal is: its size at the beginning and whenever it changes, and each line that is typed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void say_size(const char *when)
{
    char text[64];
    struct winsize size = {0};

    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0)
        strcpy(text, "no terminal\n");
    else
        snprintf(text, sizeof text, "%s %dx%d\n", when, size.ws_col, size.ws_row);
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(2);
}

static void on_change(int signal)
{
    (void)signal;
    say_size("changed");
}

int main(void)
{
    const struct sigaction action = {.sa_handler = on_change, .sa_flags = SA_RESTART};
    char line[128];

    if (sigaction(SIGWINCH, &action, NULL) != 0)
        return 2;
    say_size("begins");
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("got %s", line);
        fflush(stdout);
        if (strcmp(line, "end\n") == 0)
            return 7;
    }
    return 1;
}
