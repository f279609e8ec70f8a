/*
 * From inside of a container: two processes exchange what names stand for, folders, links that lead out and files, as fast as
 * they can, while others open, list, link, rename and remove by paths through those names. Nothing that is read may be of
 * outside, and nothing of outside may change: the test looks at that.
 *
 *   racers FOLDER ROUNDS SECRET
 *
 * FOLDER is what hostileFolders() of programs.ts makes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t state;
static const char *secret;
static unsigned long opened;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % below;
}

static void exchange(void)
{
    static const char *const NAMES[] = {"folder", "other", "link-out", "link-up", "link-abs", "folder/sub", "file", "d"};

    for (;;) {
        const char *one = NAMES[draw(8)], *other = NAMES[draw(8)];
        if (draw(4))
            syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
        else
            rename(one, other), rename(other, one);
        switch (draw(6)) {
        case 0: unlink("d"); break;
        case 1: symlink(draw(2) ? "link-out" : "../outside", "d"); break;
        case 2: mkdir("d", 0755); break;
        case 3: rmdir("d"); break;
        case 4: link("folder/secret", "d"); break;
        }
    }
}

static const char *path(char *to)
{
    static const char *const PARTS[] = {"folder", "other", "link-out", "link-up", "sub", "d", "..", "secret", "outside", "link-abs"};
    size_t len = 0;

    for (int n = 1 + (int)draw(4); n > 0; n--) len += (size_t)sprintf(to + len, "%s%s", len ? "/" : "", PARTS[draw(10)]);
    return to;
}

static void look(int fd)
{
    char text[256] = {0};

    if (fd < 0)
        return;
    opened++;
    if (read(fd, text, sizeof text - 1) > 0 && strstr(text, secret)) {
        printf("%s was read\n", secret);
        exit(1);
    }
    close(fd);
}

static void list(const char *name)
{
    DIR *dir = opendir(name);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (strstr(entry->d_name, secret)) {
            printf("%s was listed\n", secret);
            exit(1);
        }
    if (dir)
        closedir(dir);
}

/* Whatever has the name, a link has it again, and that another one. */
static void restore_link(const char *target, const char *name)
{
    unlink("new");
    rename("new", "other");
    if (symlink(target, "new") == 0 && rename("new", name))
        syscall(SYS_renameat2, AT_FDCWD, "new", AT_FDCWD, name, RENAME_EXCHANGE);
}

/* What it all begins with. */
static void restore(void)
{
    mkdir("folder", 0755), mkdir("other", 0755), mkdir("folder/sub", 0755), mkdir("other/sub", 0755);
    close(open(draw(2) ? "folder/secret" : "other/secret", O_WRONLY | O_CREAT, 0644));
    restore_link("../outside", "link-out");
    restore_link("..", "link-up");
    restore_link("../outside/secret", "link-abs");
}

static void use(void)
{
    char one[128], other[128];

    path(one);
    path(other);
    switch (draw(14)) {
    case 0 ... 4: look(open(one, O_RDONLY)); break;
    case 5: look(open(one, O_RDWR | O_CREAT, 0644)); break;
    case 6: list(one); break;
    case 7: rename(one, other); break;
    case 8: link(one, other); break;
    case 9: linkat(AT_FDCWD, one, AT_FDCWD, other, AT_SYMLINK_FOLLOW); break;
    case 10: truncate(one, 100); break;
    case 11: chmod(one, 0755); break;
    case 12: if (draw(3) == 0) unlink(one); break;
    case 13: {
        int dir = open(one, O_PATH | O_DIRECTORY);
        if (dir >= 0) {
            look(openat(dir, "../secret", O_RDONLY));
            look(openat(dir, "../../outside/secret", O_RDONLY));
            unlinkat(dir, "../../outside/secret", 0);
            close(dir);
        }
        break;
    }
    }
    if (draw(20) == 0)
        restore();
}

int main(int argc, char **argv)
{
    pid_t exchangers[2];

    if (argc != 4 || chdir(argv[1]))
        return 2;
    secret = argv[3];
    for (unsigned n = 0; n < 2; n++) {
        state = n + 1;
        if ((exchangers[n] = fork()) == 0)
            exchange();
    }
    state = 99;
    for (long round = atol(argv[2]); round > 0; round--) use();
    for (unsigned n = 0; n < 2; n++) {
        kill(exchangers[n], SIGKILL);
        waitpid(exchangers[n], NULL, 0);
    }
    printf("raced, %s\n", opened > 100 ? "and much was opened" : "but hardly anything was opened");
    return 0;
}
