/* Processes: children and how they end, groups, sessions, orphans, pidfds. */
#include "case.h"

#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define P_PIDFD_ 3

static void show_status(const char *what, int status)
{
    if (WIFEXITED(status))
        say("%s: exited %d", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        say("%s: signal %d%s", what, WTERMSIG(status), WCOREDUMP(status) ? ", core" : "");
    else if (WIFSTOPPED(status))
        say("%s: stopped by %d", what, WSTOPSIG(status));
    else
        say("%s: %s", what, WIFCONTINUED(status) ? "continued" : "?");
}

static void wait_for(pid_t pid, const char *what, int options)
{
    int status = -1;
    pid_t got = waitpid(pid, &status, options);

    if (got == pid)
        show_status(what, status);
    else
        say("%s: %s", what, got ? strerror(errno) : "nothing");
}

static void show_info(const char *what, const siginfo_t *info, pid_t pid)
{
    say("%s: signal %d code %d status %d, %s", what, info->si_signo, info->si_code, info->si_status,
        info->si_pid == pid ? "the child" : info->si_pid ? "another" : "nobody");
}

static pid_t sleeper(void)
{
    pid_t pid = fork();

    if (!pid)
        for (;;)
            pause();
    return pid;
}

static void ends(void)
{
    static const int signals[] = {SIGTERM, SIGKILL, SIGUSR1, SIGHUP};
    pid_t pid = fork();

    if (!pid)
        _exit(300);
    wait_for(pid, "exit", 0);
    for (size_t i = 0; i < 4; i++) {
        pid = sleeper();
        kill(pid, signals[i]);
        wait_for(pid, "killed", 0);
    }
    wait_for(pid, "again", 0);
    T(waitpid(-1, NULL, 0));
    T(waitpid(-1, NULL, 0x100));
    T(waitpid(-1, NULL, WNOHANG));
}

static void no_core_where_none_is_allowed(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    pid_t pid = sleeper();
    kill(pid, SIGABRT);
    wait_for(pid, "abort", 0);
    pid = sleeper();
    kill(pid, SIGSEGV);
    wait_for(pid, "segv", 0);
}

static void stops(void)
{
    pid_t pid = sleeper();
    siginfo_t info = {0};

    wait_for(pid, "runs", WNOHANG);
    kill(pid, SIGSTOP);
    wait_for(pid, "stop", WUNTRACED);
    wait_for(pid, "told once", WUNTRACED | WNOHANG);
    kill(pid, SIGCONT);
    wait_for(pid, "cont", WCONTINUED);
    wait_for(pid, "told once", WCONTINUED | WNOHANG);
    kill(pid, SIGSTOP);
    T(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT));
    show_info("left", &info, pid);
    T(waitid(P_PID, (id_t)pid, &info, WSTOPPED));
    show_info("taken", &info, pid);
    T(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG));
    show_info("gone", &info, pid);
    kill(pid, SIGTERM); /* waits for SIGCONT */
    wait_for(pid, "still stopped", WNOHANG);
    kill(pid, SIGCONT);
    wait_for(pid, "ends", 0);
}

static void killed_while_stopped(void)
{
    pid_t pid = sleeper();

    kill(pid, SIGSTOP);
    wait_for(pid, "stop", WUNTRACED);
    kill(pid, SIGKILL);
    wait_for(pid, "kill", 0);
}

static void waitid_in_all_ways(void)
{
    siginfo_t info;
    pid_t pid = fork();

    if (!pid)
        _exit(5);
    memset(&info, 0, sizeof(info));
    T(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
    show_info("left", &info, pid);
    T(waitid(P_ALL, 0, &info, WEXITED));
    show_info("taken", &info, pid);
    T(waitid(P_PID, (id_t)pid, &info, WEXITED));
    T(waitid(P_ALL, 0, &info, 0));
    T(waitid(P_ALL, 0, &info, WEXITED | 0x100));
    T(waitid(P_PID, 0, &info, WEXITED));
    T(waitid(17, 0, &info, WEXITED));
    pid = fork();
    if (!pid) {
        setpgid(0, 0);
        _exit(6);
    }
    setpgid(pid, pid);
    T(waitid(P_PGID, 0, &info, WEXITED | WNOHANG));
    T(waitid(P_PGID, (id_t)pid, &info, WEXITED));
    show_info("group", &info, pid);
    pid = sleeper();
    kill(pid, SIGKILL);
    T(waitid(P_PID, (id_t)pid, NULL, WEXITED));
}

static void by_group(void)
{
    pid_t a = fork();

    if (!a) {
        setpgid(0, 0);
        pause();
    }
    setpgid(a, a);
    pid_t b = fork();
    if (!b) {
        setpgid(0, a);
        pause();
    }
    T(setpgid(b, a));
    T(getpgid(b) == a);
    T(waitpid(-a, NULL, WNOHANG));
    T(waitpid(0, NULL, WNOHANG));
    T(kill(-a, SIGTERM));
    int ended = 0, status;
    while (waitpid(-a, &status, 0) > 0)
        ended += WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    T(ended);
    T(kill(-a, 0));
}

static void group_rules(void)
{
    int fds[2];
    char c;

    T(setpgid(0, -1));
    T(setpgid(999999, 0));
    T(getpgid(999999));
    T(getsid(999999));
    T(setpgid(0, 999999));
    T(pipe(fds));
    pid_t pid = fork();
    if (!pid) {
        bool leader = setsid() == getpid();
        close(fds[1]);
        if (read(fds[0], &c, 1))
            _exit(1);
        T(leader);
        T(setsid());
        T(setpgid(0, 0));
        T(getpgrp() == getpid());
        T(getsid(0) == getpid());
        _exit(0);
    }
    close(fds[0]);
    while (getsid(pid) != pid)
        usleep(500);
    T(setpgid(pid, pid));
    T(setpgid(0, pid));
    close(fds[1]);
    wait_for(pid, "child", 0);
    pid = fork();
    if (!pid) {
        pid_t grandchild = sleeper();
        T(setpgid(grandchild, 0));
        T(getpgid(grandchild) == grandchild);
        kill(grandchild, SIGKILL);
        wait_for(grandchild, "grandchild", 0);
        _exit(0);
    }
    wait_for(pid, "child", 0);
    pid = sleeper();
    pid_t other = fork();
    if (!other) {
        T(setpgid(pid, 0)); /* a brother's */
        _exit(0);
    }
    wait_for(other, "other", 0);
    kill(pid, SIGKILL);
    wait_for(pid, "sleeper", 0);
}

static volatile sig_atomic_t caught;
static siginfo_t caught_info;

static void catch(int sig, siginfo_t *info, void *context)
{
    (void)context;
    caught = sig;
    caught_info = *info;
}

static void told_by_signal(void)
{
    struct sigaction sa = {.sa_sigaction = catch, .sa_flags = SA_SIGINFO}, old;
    sigset_t chld, none;

    sigemptyset(&none);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    sigaction(SIGCHLD, &sa, &old);
    pid_t pid = fork();
    if (!pid)
        _exit(3);
    caught = 0;
    sigsuspend(&none);
    show_info("exit", &caught_info, pid);
    wait_for(pid, "exit", 0);
    pid = sleeper();
    kill(pid, SIGSTOP);
    sigsuspend(&none);
    show_info("stop", &caught_info, pid);
    kill(pid, SIGCONT);
    sigsuspend(&none);
    show_info("cont", &caught_info, pid);
    sa.sa_flags |= SA_NOCLDSTOP;
    sigaction(SIGCHLD, &sa, NULL);
    caught = 0;
    kill(pid, SIGSTOP);
    wait_for(pid, "stop", WUNTRACED);
    sigset_t pending;
    sigpending(&pending);
    say("no signal: %d", sigismember(&pending, SIGCHLD));
    kill(pid, SIGKILL);
    sigsuspend(&none);
    show_info("kill", &caught_info, pid);
    wait_for(pid, "kill", 0);
    sigaction(SIGCHLD, &old, NULL);
    sigprocmask(SIG_UNBLOCK, &chld, NULL);
}

static void children_nobody_waits_for(void)
{
    struct sigaction sa = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}, old;

    signal(SIGCHLD, SIG_IGN);
    pid_t pid = fork();
    if (!pid)
        _exit(3);
    T(waitpid(pid, NULL, 0));
    sigaction(SIGCHLD, &sa, &old);
    pid = fork();
    if (!pid)
        _exit(3);
    T(waitpid(-1, NULL, 0));
    signal(SIGCHLD, SIG_DFL);
}

/* A grandchild tells through the pipe who its parent is, once its own is gone. */
static void orphans_go_to(bool subreaper)
{
    int fds[2], status;
    pid_t me = getpid();

    prctl(PR_SET_CHILD_SUBREAPER, subreaper);
    T(pipe(fds));
    pid_t pid = fork();
    if (!pid) {
        pid_t parent = getpid();
        if (!fork()) {
            while (getppid() == parent)
                usleep(500);
            char who = getppid() == me ? 'm' : getppid() == 1 ? '1' : '?';
            _exit(write(fds[1], &who, 1) == 1 ? 4 : 5);
        }
        _exit(0);
    }
    wait_for(pid, "child", 0);
    char who = ' ';
    T(read(fds[0], &who, 1));
    say("%s", subreaper ? who == 'm' ? "to the subreaper" : "elsewhere" : who == 'm' ? "to us" : "to process 1");
    if (subreaper) {
        T(wait(&status) > 0);
        show_status("orphan", status);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void orphans(void)
{
    /* Were this process 1, orphans would come to it anyway. */
    pid_t pid = fork();

    if (!pid) {
        orphans_go_to(false);
        orphans_go_to(true);
        _exit(0);
    }
    wait_for(pid, "all", 0);
}

static void death_of_the_parent(void)
{
    int fds[2];
    char c;

    T(pipe(fds));
    pid_t pid = fork();
    if (!pid) {
        int ready[2];
        if (pipe(ready))
            _exit(1);
        if (!fork()) {
            sigset_t set;
            int sig = 0;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR2);
            sigprocmask(SIG_BLOCK, &set, NULL);
            T(prctl(PR_SET_PDEATHSIG, SIGUSR2));
            T(prctl(PR_GET_PDEATHSIG, &sig));
            T(sig);
            close(ready[1]);
            sigwait(&set, &sig);
            say("told by %d", sig);
            _exit(0);
        }
        close(ready[1]);
        _exit(read(ready[0], &c, 1) ? 1 : 0);
    }
    close(fds[1]);
    T(read(fds[0], &c, 1)); /* until the grandchild is gone too */
    wait_for(pid, "child", 0);
}

static void orphaned_groups_are_not_left_stopped(void)
{
    int fds[2];
    char c;

    T(pipe(fds));
    pid_t pid = fork();
    if (!pid) {
        setsid(); /* or who adopts the grandchild could continue it */
        pid_t grandchild = fork();
        if (!grandchild) {
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGHUP);
            sigprocmask(SIG_BLOCK, &set, NULL);
            setpgid(0, 0);
            raise(SIGSTOP);
            int sig;
            sigwait(&set, &sig);
            say("continued, and told by %d", sig);
            raise(SIGTSTP); /* nobody could continue us: ignored */
            say("not stopped");
            _exit(0);
        }
        int status;
        waitpid(grandchild, &status, WUNTRACED);
        show_status("grandchild", status);
        _exit(0);
    }
    close(fds[1]);
    T(read(fds[0], &c, 1)); /* until both are gone */
    wait_for(pid, "child", 0);
}

static int pidfd_open(pid_t pid, unsigned flags)
{
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

static int pidfd_send_signal(int fd, int sig)
{
    return (int)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

static void pidfds(void)
{
    pid_t pid = sleeper();
    siginfo_t info = {0};
    int fd = pidfd_open(pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    T(fcntl(fd, F_GETFD));
    T(poll(&p, 1, 0));
    T(pidfd_send_signal(fd, 0));
    T(waitid(P_PIDFD_, (id_t)fd, &info, WEXITED | WNOHANG));
    T(pidfd_send_signal(fd, SIGTERM));
    T(poll(&p, 1, -1));
    T(p.revents);
    T(waitid(P_PIDFD_, (id_t)fd, &info, WEXITED | WNOWAIT));
    show_info("pidfd", &info, pid);
    T(waitid(P_PIDFD_, (id_t)fd, &info, WEXITED));
    T(waitid(P_PIDFD_, (id_t)fd, &info, WEXITED));
    T(pidfd_send_signal(fd, 0));
    T(poll(&p, 1, 0) > 0 && p.revents & POLLIN);
    char c;
    T(read(fd, &c, 1));
    close(fd);
    T(pidfd_open(0, 0));
    T(pidfd_open(-1, 0));
    T(pidfd_open(999999, 0));
    T(pidfd_open(getpid(), 1));
    T(pidfd_send_signal(1, 0));
    T(pidfd_send_signal(99, 0));
    T(waitid(P_PIDFD_, 1, &info, WEXITED));
    T(waitid(P_PIDFD_, 99, &info, WEXITED));
    fd = pidfd_open(getpid(), O_NONBLOCK);
    T(fcntl(fd, F_GETFL) & O_NONBLOCK);
    T(waitid(P_PIDFD_, (id_t)fd, &info, WEXITED));
    close(fd);
    pid = sleeper();
    fd = pidfd_open(pid, O_NONBLOCK);
    T(waitid(P_PIDFD_, (id_t)fd, &info, WEXITED));
    kill(pid, SIGKILL);
    wait_for(pid, "sleeper", 0);
    close(fd);
}

static void pidfd_of_a_clone(void)
{
    int fd = -1;
    struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&fd, .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

    if (!pid)
        _exit(fd == -1 ? 8 : 9);
    siginfo_t info = {0};
    T(fcntl(fd, F_GETFD));
    T(waitid(P_PIDFD_, (id_t)fd, &info, WEXITED));
    show_info("clone3", &info, pid);
    close(fd);
    args.pidfd = 8;
    T(syscall(SYS_clone3, &args, sizeof(args)));
}

static void clone_says_no(void)
{
    struct clone_args a = {.flags = CLONE_THREAD};

    T(syscall(SYS_clone3, &a, sizeof(a)));
    a.flags = CLONE_SIGHAND;
    T(syscall(SYS_clone3, &a, sizeof(a)));
    a.flags = CLONE_SIGHAND | CLONE_VM | CLONE_CLEAR_SIGHAND;
    T(syscall(SYS_clone3, &a, sizeof(a)));
    a.flags = CLONE_FS | CLONE_NEWNS;
    T(syscall(SYS_clone3, &a, sizeof(a)));
    a = (struct clone_args){.exit_signal = 65};
    T(syscall(SYS_clone3, &a, sizeof(a)));
    a = (struct clone_args){.stack = 4096};
    T(syscall(SYS_clone3, &a, sizeof(a)));
    T(syscall(SYS_clone3, &a, 8));
    T(syscall(SYS_clone3, 8, sizeof(a)));
}

static void other_exit_signals(void)
{
    struct clone_args a = {.exit_signal = SIGUSR1};
    struct sigaction sa = {.sa_sigaction = catch, .sa_flags = SA_SIGINFO}, old;

    sigaction(SIGUSR1, &sa, &old);
    caught = 0;
    pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
    if (!pid)
        _exit(2);
    T(waitpid(pid, NULL, 0));
    wait_for(pid, "as a clone", __WCLONE);
    T(caught);
    show_info("signal", &caught_info, pid);
    a.exit_signal = 0;
    caught = 0;
    pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
    if (!pid)
        _exit(2);
    wait_for(pid, "of any kind", __WALL);
    T(caught);
    sigaction(SIGUSR1, &old, NULL);
}

static void brothers(void)
{
    pid_t pid = fork();

    if (!pid) {
        struct clone_args a = {.flags = CLONE_PARENT};
        pid_t brother = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
        if (!brother)
            _exit(21);
        T(waitpid(brother, NULL, 0)); /* not ours */
        _exit(20);
    }
    wait_for(pid, "child", 0);
    int status = 0;
    T(wait(&status) > 0);
    show_status("brother", status);
}

static void *exec_here(void *arg)
{
    execl("/proc/self/exe", "processes", "no-such-case", NULL);
    return arg;
}

static void *sleep_here(void *arg)
{
    pause();
    return arg;
}

static void exec_of_a_thread(void)
{
    pid_t pid = fork();

    if (!pid) {
        pthread_t a, b;
        pthread_create(&a, NULL, sleep_here, NULL);
        pthread_create(&b, NULL, exec_here, NULL);
        pthread_join(b, NULL);
        _exit(9);
    }
    wait_for(pid, "exec", 0);
}

static void names(void)
{
    char name[17] = "";

    T(prctl(PR_SET_NAME, "a name that is too long"));
    T(prctl(PR_GET_NAME, name));
    say("%s", name);
    pid_t pid = fork();
    if (!pid) {
        prctl(PR_GET_NAME, name);
        say("child: %s", name);
        prctl(PR_SET_NAME, "other");
        _exit(0);
    }
    wait_for(pid, "child", 0);
    prctl(PR_GET_NAME, name);
    say("%s", name);
}

static void limit_on_processes(void)
{
    pid_t pid = fork();

    if (!pid) {
        struct rlimit limit = {1, 1};
        T(setrlimit(RLIMIT_NPROC, &limit));
        if (setresuid(54321, 54321, 54321))
            _exit(1);
        pid_t child = fork();
        if (!child)
            _exit(0);
        say("%s", child < 0 ? strerror(errno) : "forked");
        _exit(0);
    }
    wait_for(pid, "child", 0);
}

static void everyone(void)
{
    pid_t pid = fork();

    if (!pid) {
        if (setresuid(54322, 54322, 54322))
            _exit(1);
        T(kill(-1, 0));
        pid_t a = sleeper(), b = sleeper();
        T(kill(-1, SIGTERM));
        wait_for(a, "a", 0);
        wait_for(b, "b", 0);
        T(kill(getppid(), SIGTERM));
        _exit(0);
    }
    wait_for(pid, "child", 0);
}

static void others_memory_in_proc(void)
{
    char path[64], line[256];
    pid_t pid = sleeper();

    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, line, sizeof(line) - 1);
    line[n > 0 ? n : 0] = '\0';
    say("%s", strrchr(line, '/'));
    close(fd);
    kill(pid, SIGKILL);
    wait_for(pid, "sleeper", __WNOTHREAD);
}

/* A folder of /proc does as a pidfd. */
static void signal_by_folder(void)
{
    char path[32];
    pid_t pid = sleeper();

    snprintf(path, sizeof(path), "/proc/%d", pid);
    int fd = open(path, O_DIRECTORY);
    T(pidfd_send_signal(fd, 0));
    T(pidfd_send_signal(fd, SIGTERM));
    wait_for(pid, "ended", 0);
    T(pidfd_send_signal(fd, 0));
    T(pidfd_send_signal(open("/proc", O_DIRECTORY), 0));
    T(pidfd_send_signal(open("/proc/self/stat", O_RDONLY), 0));
}

static char private_page[3 * 4096] __attribute__((aligned(4096)));

static ssize_t vm_move(bool write_it, pid_t pid, void *local, size_t local_len, void *remote, size_t remote_len, unsigned long flags)
{
    struct iovec l = {local, local_len}, r = {remote, remote_len};

    return write_it ? process_vm_writev(pid, &l, 1, &r, 1, flags) : process_vm_readv(pid, &l, 1, &r, 1, flags);
}

/* The child says what it finds when it is told to, by a byte in a pipe. */
static void memory_of_a_child(void)
{
    char text[64] = "", *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *readonly = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int go[2], ready[2];

    pipe(go);
    pipe(ready);
    strcpy(private_page, "the parent's");
    pid_t pid = fork();
    if (pid == 0) {
        strcpy(private_page, "the child's");
        memset(private_page + 4096, 'c', 4096);
        write(ready[1], "", 1);
        read(go[0], text, 1);
        say("child: %s, %c%c, %s", private_page, private_page[4095], private_page[4096], shared);
        _exit(0);
    }
    read(ready[0], text, 1);
    T(vm_move(false, pid, text, sizeof(text), private_page, sizeof(text), 0));
    say("read: %s; own: %s", text, private_page);
    T(vm_move(false, pid, text, 10, private_page, 3, 0));
    T(vm_move(false, pid, text, 3, private_page, 10, 0));
    T(vm_move(false, pid, text, sizeof(text), (void *)8, sizeof(text), 0));
    T(vm_move(false, pid, (void *)8, sizeof(text), private_page, sizeof(text), 0));
    T(vm_move(false, pid, text, 0, private_page, sizeof(text), 0));
    T(vm_move(false, pid, text, 1, private_page, 1, 1));
    T(vm_move(false, 999999, text, 1, private_page, 1, 0));
    strcpy(text, "changed from outside");
    T(vm_move(true, pid, text, strlen(text) + 1, private_page, 64, 0));
    T(vm_move(true, pid, "xy", 2, private_page + 4095, 2, 0));
    T(vm_move(true, pid, "shared", 7, shared, 7, 0));
    T(vm_move(true, pid, text, 1, readonly, 1, 0));
    say("own: %s, %s", private_page, shared);
    struct iovec locals[3] = {{text, 3}, {text + 10, 5}, {text + 20, 1}}, remotes[2] = {{private_page, 7}, {private_page + 8, 20}};
    T(process_vm_readv(pid, locals, 3, remotes, 2, 0));
    say("pieces: %.3s %.5s %.1s", text, text + 10, text + 20);
    T(process_vm_readv(pid, locals, 1025, remotes, 2, 0));
    T(process_vm_readv(pid, locals, 3, remotes, 1025, 0));
    T(vm_move(false, getpid(), text, 12, private_page, 12, 0));
    say("of oneself: %s", text);
    write(go[1], "", 1);
    wait_for(pid, "child", 0);
}

static void memory_of_strangers(void)
{
    char text[8];
    pid_t root = sleeper();
    pid_t pid = fork();

    if (pid == 0) {
        if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
            _exit(1);
        T(vm_move(false, root, text, 1, private_page, 1, 0));
        T(vm_move(true, root, text, 1, private_page, 1, 0));
        T(vm_move(false, getpid(), text, 1, private_page, 1, 0));
        _exit(0);
    }
    wait_for(pid, "stranger", 0);
    kill(root, SIGKILL);
    wait_for(root, "sleeper", 0);
}

const struct test_case cases[] = {
    CASE(ends),
    CASE(no_core_where_none_is_allowed),
    CASE(stops),
    CASE(killed_while_stopped),
    CASE(waitid_in_all_ways),
    CASE(by_group),
    CASE(group_rules),
    CASE(told_by_signal),
    CASE(children_nobody_waits_for),
    CASE(orphans),
    CASE(death_of_the_parent),
    CASE(orphaned_groups_are_not_left_stopped),
    CASE(pidfds),
    CASE(pidfd_of_a_clone),
    CASE(clone_says_no),
    CASE(other_exit_signals),
    CASE(brothers),
    CASE(exec_of_a_thread),
    CASE(names),
    CASE(limit_on_processes),
    CASE(everyone),
    CASE(others_memory_in_proc),
    CASE(signal_by_folder),
    CASE(memory_of_a_child),
    CASE(memory_of_strangers),
    {NULL, NULL},
};
