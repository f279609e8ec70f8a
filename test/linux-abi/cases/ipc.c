/* System V shared memory, semaphores and messages. */
#include "case.h"

#include <grp.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

#define KEY 0x5eed
#define PAGE 4096ul

static int in_child(int (*does)(void *), void *arg)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(does(arg));
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static pid_t start(int (*does)(void *), void *arg)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(does(arg));
    return pid;
}

static int status_of(pid_t pid)
{
    int status;

    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void as_user(uid_t uid)
{
    if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
        _exit(99);
}

/* ---- shared memory ---- */

static void show_segment(const char *what, int id)
{
    struct shmid_ds ds;

    if (shmctl(id, IPC_STAT, &ds)) {
        say("%s: %s", what, strerror(errno));
        return;
    }
    say("%s: key %x mode %o uid %u gid %u cuid %u size %zu attached %lu by me %d last me %d times %d %d %d", what,
        ds.shm_perm.__key, ds.shm_perm.mode, ds.shm_perm.uid, ds.shm_perm.gid, ds.shm_perm.cuid, ds.shm_segsz, ds.shm_nattch,
        ds.shm_cpid == getpid(), ds.shm_lpid == getpid(), ds.shm_atime > 0, ds.shm_dtime > 0, ds.shm_ctime > 0);
}

static void shm_made_and_found(void)
{
    T(shmget(KEY, 100, 0600));
    int id = shmget(KEY, 100, IPC_CREAT | 0640);
    say("found: %d", shmget(KEY, 0, 0) == id);
    say("found with size: %d", shmget(KEY, 100, IPC_CREAT) == id);
    T(shmget(KEY, 101, 0));
    T(shmget(KEY, 100, IPC_CREAT | IPC_EXCL | 0600));
    T(shmget(IPC_PRIVATE, 0, 0600));
    say("two private ones are two: %d", shmget(IPC_PRIVATE, 1, 0600) != shmget(IPC_PRIVATE, 1, 0600));
    show_segment("new", id);
    T(shmctl(id, IPC_RMID, NULL));
    show_segment("removed", id);
    T(shmget(KEY, 100, 0));
    T(shmctl(-1, IPC_STAT, NULL));
    T(shmctl(id, 77, NULL));
    T(shmctl(12345, IPC_RMID, NULL));
}

static int writes_hello(void *at)
{
    strcpy(at, "from the child");
    return 0;
}

static void shm_shared_by_fork(void)
{
    int id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);
    char *p = shmat(id, NULL, 0);

    say("zeroed: %d", p[0] == 0 && p[3 * PAGE - 1] == 0);
    T(in_child(writes_hello, p));
    say("%s", p);
    show_segment("attached", id);
    T(shmdt(p));
    T(shmdt(p));
    show_segment("detached", id);
    p = shmat(id, NULL, SHM_RDONLY);
    say("kept: %s", p);
    OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
    T(shmdt(p + PAGE));
    T(shmdt(p + 1));
    T(shmdt(p));
    T(shmctl(id, IPC_RMID, NULL));
}

static int attaches_by_key(void *unused)
{
    char *p = shmat(shmget(KEY, 0, 0), NULL, 0);

    (void)unused;
    if (p == (char *)-1)
        return 1;
    strcat(p, ", another process");
    return shmdt(p) ? 2 : 0;
}

static void shm_shared_by_key(void)
{
    int id = shmget(KEY, 100, IPC_CREAT | 0600);
    char *p = shmat(id, NULL, 0);

    strcpy(p, "first");
    T(in_child(attaches_by_key, NULL));
    say("%s", p);
    T(shmctl(id, IPC_RMID, NULL));
    show_segment("removed but attached", id);
    T(shmget(KEY, 100, 0));
    /* It can still be attached by its number, and nobody's new one has its key. */
    char *again = shmat(id, NULL, 0);
    say("again: %s", again == (char *)-1 ? strerror(errno) : again);
    T(shmdt(again));
    T(shmdt(p));
    show_segment("gone", id);
}

static int counts_three(void *arg)
{
    struct shmid_ds ds;

    shmctl(*(int *)arg, IPC_STAT, &ds);
    return (int)ds.shm_nattch;
}

static int executes(void *arg)
{
    (void)arg;
    execl("/proc/self/exe", "ipc", "no such case", NULL);
    return 9;
}

static void shm_attachments_counted(void)
{
    int id = shmget(IPC_PRIVATE, PAGE, 0600);
    void *p = shmat(id, NULL, 0);

    say("in a child: %d", in_child(counts_three, &id));
    show_segment("after it", id);
    T(in_child(executes, NULL));
    show_segment("after another, which executed", id);
    T(shmctl(id, IPC_RMID, NULL));
    OK(munmap(p, PAGE));
    T(in_child(executes, NULL));
    show_segment("unmapped, removed", id);
}

static void shm_bad_places(void)
{
    int id = shmget(IPC_PRIVATE, 2 * PAGE, 0600);
    char *room = mmap(NULL, 16 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    OK(shmat(id, room + 1, 0));
    OK(shmat(id, room, 0));
    OK(shmat(id, NULL, SHM_REMAP));
    OK(shmat(id, (void *)1, SHM_RND | SHM_REMAP));
    OK(shmat(id + 1, NULL, 0));
    OK(shmat(-1, NULL, 0));
    char *p = shmat(id, room + 4 * PAGE + 5, SHM_RND | SHM_REMAP);
    say("replaced what was there: %d", p == room + 4 * PAGE);
    p[2 * PAGE - 1] = 7;
    say("around it: %d %d", room[4 * PAGE - 1], room[6 * PAGE]);
    T(shmdt(p));
    p = shmat(id, room + 4 * PAGE, 0);
    say("there again: %d, %d", p == room + 4 * PAGE, p[2 * PAGE - 1]);
    T(shmdt(p));
    T(shmctl(id, IPC_RMID, NULL));
}

static int as_stranger(void *arg)
{
    int id = *(int *)arg;
    struct shmid_ds ds;

    as_user(1000);
    OK(shmat(id, NULL, SHM_RDONLY));
    OK(shmat(id, NULL, 0));
    OK(shmget(KEY, 0, 0444));
    say("found for writing: %s", shmget(KEY, 0, 0666) < 0 ? strerror(errno) : "yes");
    OK(shmctl(id, IPC_STAT, &ds));
    T(shmctl(id, IPC_SET, &ds));
    T(shmctl(id, IPC_RMID, NULL));
    return 0;
}

static void shm_rights(void)
{
    int id = shmget(KEY, PAGE, IPC_CREAT | 0644);
    struct shmid_ds ds;

    T(in_child(as_stranger, &id));
    shmctl(id, IPC_STAT, &ds);
    ds.shm_perm.mode = 0600;
    ds.shm_perm.uid = 1000;
    T(shmctl(id, IPC_SET, &ds));
    show_segment("given away", id);
    T(in_child(as_stranger, &id));
    show_segment("by its owner", id);
    ds.shm_perm.uid = (uid_t)-1;
    T(shmctl(id, IPC_SET, &ds));
    T(shmctl(id, SHM_LOCK, NULL));
    show_segment("locked", id);
    T(shmctl(id, SHM_UNLOCK, NULL));
    T(shmctl(id, IPC_SET, (void *)8));
}

static void shm_told(void)
{
    int id = shmget(KEY, 5000, IPC_CREAT | 0600);
    char *p = shmat(id, NULL, 0);
    struct shminfo limits;
    struct shm_info used;
    struct shmid_ds ds;
    char text[4096], line[256];

    int highest = shmctl(0, IPC_INFO, (void *)&limits);
    say("limits %lu %lu %lu %lu", limits.shmmax, limits.shmmin, limits.shmmni, limits.shmall);
    shmctl(0, SHM_INFO, (void *)&used);
    say("in use: more than none: %d, pages %d", used.used_ids > 0, used.shm_tot >= 2);
    bool found = false;
    for (int i = 0; i <= highest; i++)
        found |= shmctl(i, SHM_STAT, &ds) == id;
    say("found by place: %d", found);
    T(shmctl(highest + 100, SHM_STAT, &ds));
    int fd = open("/proc/sysvipc/shm", O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
    say("%s", line);
    snprintf(line, sizeof(line), "\n%10d %10d   600                  5000", KEY, id);
    say("in /proc: %d", strstr(text, line) != NULL);
    fd = open("/proc/self/maps", O_RDONLY);
    found = false;
    FILE *maps = fdopen(fd, "r");
    while (fgets(text, sizeof(text), maps))
        found |= strstr(text, "/SYSV00005eed (deleted)") != NULL;
    say("in maps: %d", found);
    shmdt(p);
    shmctl(id, IPC_RMID, NULL);
}

static int adds_up(void *arg)
{
    volatile long *p = arg;

    for (int i = 0; i < 1000; i++)
        __atomic_add_fetch(p, 1, __ATOMIC_RELAXED);
    return 0;
}

static void shm_many_processes(void)
{
    int id = shmget(IPC_PRIVATE, 64 * PAGE, 0600);
    long *p = shmat(id, NULL, 0);
    pid_t pids[20];

    for (int i = 0; i < 20; i++)
        pids[i] = start(adds_up, p);
    for (int i = 0; i < 20; i++)
        status_of(pids[i]);
    say("%ld", *p);
    shmctl(id, IPC_RMID, NULL);
}

/* ---- semaphores ---- */

static int operate(int id, unsigned short number, short op, short flags)
{
    struct sembuf one = {number, op, flags};

    return semop(id, &one, 1);
}

static int wait_briefly(int id, unsigned short number, short op)
{
    struct sembuf one = {number, op, 0};
    struct timespec limit = {0, 20000000};

    return semtimedop(id, &one, 1, &limit);
}

/* Until that many wait for it to grow (or for zero): the event that a test waits for. */
static void await_waiting(int id, int number, int what, int count)
{
    while (semctl(id, number, what) != count)
        sched_yield();
}

static void sem_made_and_found(void)
{
    T(semget(KEY, 1, 0600));
    int id = semget(KEY, 3, IPC_CREAT | 0620);
    say("found: %d %d", semget(KEY, 3, 0) == id, semget(KEY, 0, 0) == id);
    T(semget(KEY, 4, 0));
    T(semget(KEY, 3, IPC_CREAT | IPC_EXCL));
    T(semget(IPC_PRIVATE, 0, 0600));
    T(semget(IPC_PRIVATE, -1, 0600));
    T(semget(IPC_PRIVATE, 32001, 0600));
    struct semid_ds ds;
    T(semctl(id, 0, IPC_STAT, &ds));
    say("mode %o sems %lu changed %d operated %d", ds.sem_perm.mode, ds.sem_nsems, ds.sem_ctime > 0, ds.sem_otime > 0);
    T(semctl(id, 0, IPC_RMID));
    T(semctl(id, 0, IPC_RMID));
    T(semctl(id, 0, IPC_STAT, &ds));
}

static void sem_values(void)
{
    int id = semget(IPC_PRIVATE, 4, 0600);
    unsigned short all[4] = {1, 2, 3, 4}, got[4];

    T(semctl(id, 0, GETVAL));
    T(semctl(id, 0, GETPID));
    T(semctl(id, 1, SETVAL, 32767));
    T(semctl(id, 1, GETVAL));
    say("changed by me: %d", semctl(id, 1, GETPID) == getpid());
    T(semctl(id, 1, SETVAL, 32768));
    T(semctl(id, 1, SETVAL, -1));
    T(semctl(id, 4, GETVAL));
    T(semctl(id, -1, GETVAL));
    T(semctl(id, 0, SETALL, all));
    T(semctl(id, 0, GETALL, got));
    say("%u %u %u %u", got[0], got[1], got[2], got[3]);
    all[2] = 40000;
    T(semctl(id, 0, SETALL, all));
    T(semctl(id, 2, GETVAL));
    T(semctl(id, 0, GETALL, (void *)8));
    T(semctl(id, 0, 99));
    T(operate(id, 0, 32767, 0));
    T(operate(id, 9, 1, 0));
    T(semop(id, NULL, 0));
    T(semop(id, (void *)8, 1));
    T(semop(id, NULL, 501));
    T(semop(-1, NULL, 1));
    semctl(id, 0, IPC_RMID);
}

static void sem_all_or_none(void)
{
    int id = semget(IPC_PRIVATE, 3, 0600);
    struct sembuf ops[] = {{0, 2, 0}, {1, -1, IPC_NOWAIT}, {2, 1, 0}};

    T(semop(id, ops, 3));
    say("%d %d %d", semctl(id, 0, GETVAL), semctl(id, 1, GETVAL), semctl(id, 2, GETVAL));
    T(operate(id, 1, 1, 0));
    T(semop(id, ops, 3));
    say("%d %d %d", semctl(id, 0, GETVAL), semctl(id, 1, GETVAL), semctl(id, 2, GETVAL));
    T(operate(id, 0, 0, IPC_NOWAIT));
    T(operate(id, 1, 0, IPC_NOWAIT));
    T(wait_briefly(id, 1, -1));
    T(wait_briefly(id, 0, 0));
    /* In one call a semaphore may be used twice. */
    struct sembuf twice[] = {{1, 3, 0}, {1, -3, 0}, {1, 0, 0}};
    T(semop(id, twice, 3));
    struct timespec bad = {0, -1};
    T(semtimedop(id, twice, 3, &bad));
    semctl(id, 0, IPC_RMID);
}

static int takes(void *arg)
{
    return operate(*(int *)arg, 0, -2, 0) ? errno : 0;
}

static int awaits_zero(void *arg)
{
    return operate(*(int *)arg, 0, 0, 0) ? errno : 0;
}

static void sem_waiting(void)
{
    int id = semget(IPC_PRIVATE, 1, 0600);

    semctl(id, 0, SETVAL, 1);
    pid_t taker = start(takes, &id), zero = start(awaits_zero, &id);
    await_waiting(id, 0, GETNCNT, 1);
    await_waiting(id, 0, GETZCNT, 1);
    T(operate(id, 0, 1, 0));
    say("both: %d %d", status_of(taker), status_of(zero));
    T(semctl(id, 0, GETVAL));
    taker = start(takes, &id);
    await_waiting(id, 0, GETNCNT, 1);
    T(semctl(id, 0, SETVAL, 5));
    say("by setting: %d", status_of(taker));
    say("changed by it: %d", semctl(id, 0, GETPID) == taker);
    semctl(id, 0, SETVAL, 0);
    taker = start(takes, &id);
    await_waiting(id, 0, GETNCNT, 1);
    kill(taker, SIGTERM);
    say("ended: %d", status_of(taker));
    T(semctl(id, 0, GETNCNT));
    taker = start(takes, &id);
    await_waiting(id, 0, GETNCNT, 1);
    T(semctl(id, 0, IPC_RMID));
    say("removed: %d", status_of(taker) == EIDRM);
}

static void on_signal(int sig)
{
    (void)sig;
}

static int is_interrupted(void *arg)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigaction(SIGUSR1, &sa, NULL);
    return operate(*(int *)arg, 0, -1, 0) ? errno : 0;
}

static void sem_interrupted(void)
{
    int id = semget(IPC_PRIVATE, 1, 0600);
    pid_t pid = start(is_interrupted, &id);

    await_waiting(id, 0, GETNCNT, 1);
    kill(pid, SIGUSR1);
    say("EINTR, whatever SA_RESTART says: %d", status_of(pid) == EINTR);
    semctl(id, 0, IPC_RMID);
}

static int takes_with_undo(void *arg)
{
    int id = *(int *)arg;

    operate(id, 0, -3, SEM_UNDO);
    operate(id, 1, 2, SEM_UNDO);
    operate(id, 1, 2, 0);
    return semctl(id, 0, GETVAL) * 10 + semctl(id, 1, GETVAL);
}

static int dies_holding(void *arg)
{
    operate(*(int *)arg, 0, -1, SEM_UNDO);
    raise(SIGKILL);
    return 0;
}

static void sem_undone(void)
{
    int id = semget(IPC_PRIVATE, 2, 0600);

    semctl(id, 0, SETVAL, 4);
    T(in_child(takes_with_undo, &id));
    say("after it: %d %d", semctl(id, 0, GETVAL), semctl(id, 1, GETVAL));
    T(in_child(dies_holding, &id));
    say("after a killed one: %d", semctl(id, 0, GETVAL));
    /* Who waits goes on when the holder is gone. */
    semctl(id, 0, SETVAL, 1);
    operate(id, 0, -1, SEM_UNDO);
    pid_t pid = start(dies_holding, &id);
    await_waiting(id, 0, GETNCNT, 1);
    operate(id, 0, 1, SEM_UNDO);
    int status = status_of(pid);
    say("%d, and %d is back", status, semctl(id, 0, GETVAL));
    T(operate(id, 1, 32767 - 2, SEM_UNDO));
    T(operate(id, 1, -32767, 0));
    T(operate(id, 1, 10, SEM_UNDO));
    semctl(id, 0, IPC_RMID);
}

static int reads_as_stranger(void *arg)
{
    int id = *(int *)arg;

    as_user(1000);
    T(semctl(id, 0, GETVAL));
    T(operate(id, 0, 0, IPC_NOWAIT));
    T(operate(id, 0, 1, 0));
    T(semctl(id, 0, SETVAL, 1));
    T(semctl(id, 0, IPC_RMID));
    return 0;
}

static void sem_rights(void)
{
    int id = semget(IPC_PRIVATE, 1, 0604);
    struct semid_ds ds;
    struct seminfo info;

    T(in_child(reads_as_stranger, &id));
    semctl(id, 0, IPC_STAT, &ds);
    ds.sem_perm.mode = 0606;
    T(semctl(id, 0, IPC_SET, &ds));
    T(in_child(reads_as_stranger, &id));
    semctl(0, 0, IPC_INFO, &info);
    say("limits %d %d %d %d %d %d", info.semmni, info.semmns, info.semmsl, info.semopm, info.semvmx, info.semaem);
    show_file("/proc/sys/kernel/sem");
    semctl(id, 0, IPC_RMID);
}

static int ping(void *arg)
{
    for (int i = 0; i < 500; i++)
        if (operate(*(int *)arg, 0, -1, 0) || operate(*(int *)arg, 1, 1, 0))
            return 1;
    return 0;
}

static void sem_back_and_forth(void)
{
    int id = semget(IPC_PRIVATE, 2, 0600);
    pid_t pid = start(ping, &id);

    for (int i = 0; i < 500; i++)
        if (operate(id, 0, 1, 0) || operate(id, 1, -1, 0))
            say("failed at %d", i);
    int status = status_of(pid);
    say("%d: %d %d", status, semctl(id, 0, GETVAL), semctl(id, 1, GETVAL));
    semctl(id, 0, IPC_RMID);
}

/* ---- messages ---- */

struct message {
    long type;
    char text[64];
};

static int sends(int id, long type, const char *text, int flags)
{
    struct message m = {.type = type};

    strcpy(m.text, text);
    return msgsnd(id, &m, strlen(text), flags);
}

static void receives(int id, long type, int flags, size_t size)
{
    struct message m = {.type = -1};
    ssize_t n = msgrcv(id, &m, size, type, flags);

    if (n < 0)
        say("type %ld: %s", type, strerror(errno));
    else
        say("type %ld: %zd bytes of type %ld: %.*s", type, n, m.type, (int)n, m.text);
}

static void msg_in_order(void)
{
    T(msgget(KEY, 0600));
    int id = msgget(KEY, IPC_CREAT | 0600);
    say("found: %d", msgget(KEY, 0) == id);
    T(msgget(KEY, IPC_CREAT | IPC_EXCL));
    T(sends(id, 3, "three", 0));
    T(sends(id, 1, "one", 0));
    T(sends(id, 2, "two", 0));
    T(sends(id, 1, "another one", 0));
    T(sends(id, 2, "", 0));
    receives(id, 2, 0, 64);
    receives(id, -2, 0, 64);
    receives(id, 7, IPC_NOWAIT, 64);
    receives(id, 3, MSG_EXCEPT, 64);
    receives(id, 0, 0, 2);
    receives(id, 0, MSG_NOERROR, 2);
    receives(id, LONG_MIN, IPC_NOWAIT, 64);
    receives(id, 0, IPC_NOWAIT, 64);
    T(sends(id, 0, "no type", 0));
    T(sends(id, -1, "no type", 0));
    T(msgsnd(id, (void *)8, 1, 0));
    struct message m = {1, ""};
    T(msgsnd(id, &m, 8193, 0));
    T(msgsnd(id, &m, (size_t)-1, 0));
    T(msgrcv(id, &m, (size_t)-1, 0, 0));
    T(msgctl(id, IPC_RMID, NULL));
    receives(id, 0, 0, 64);
    T(sends(id, 1, "", 0));
}

static void msg_full(void)
{
    int id = msgget(IPC_PRIVATE, 0600);
    struct {
        long type;
        char text[8192];
    } big = {1, {0}};
    struct msqid_ds ds;

    T(msgsnd(id, &big, 8192, IPC_NOWAIT));
    T(msgsnd(id, &big, 8192, IPC_NOWAIT));
    T(msgsnd(id, &big, 1, IPC_NOWAIT));
    T(msgctl(id, IPC_STAT, &ds));
    say("messages %lu bytes %lu of %lu, by me %d", ds.msg_qnum, ds.__msg_cbytes, ds.msg_qbytes, ds.msg_lspid == getpid());
    ds.msg_qbytes = 100;
    T(msgctl(id, IPC_SET, &ds));
    T(msgrcv(id, &big, 8192, 0, 0));
    T(msgsnd(id, &big, 1, IPC_NOWAIT));
    T(msgrcv(id, &big, 8192, 0, 0));
    T(msgsnd(id, &big, 100, IPC_NOWAIT));
    T(msgctl(id, IPC_RMID, NULL));
    struct msginfo info;
    msgctl(0, IPC_INFO, (void *)&info);
    say("limits %d %d %d", info.msgmax, info.msgmnb, info.msgmni);
}

static int echoes(void *arg)
{
    int id = *(int *)arg;
    struct message m;

    for (int i = 0; i < 200; i++) {
        ssize_t n = msgrcv(id, &m, sizeof(m.text), 1, 0);
        m.type = 2;
        if (n < 0 || msgsnd(id, &m, (size_t)n, 0))
            return 1;
    }
    return 0;
}

static void msg_back_and_forth(void)
{
    int id = msgget(IPC_PRIVATE, 0600), right = 0;
    pid_t pid = start(echoes, &id);

    for (int i = 0; i < 200; i++) {
        struct message m = {1, ""};
        snprintf(m.text, sizeof(m.text), "number %d", i);
        size_t n = strlen(m.text);
        msgsnd(id, &m, n, 0);
        struct message back;
        right += msgrcv(id, &back, sizeof(back.text), 2, 0) == (ssize_t)n && memcmp(back.text, m.text, n) == 0;
    }
    say("%d right, %d", right, status_of(pid));
    msgctl(id, IPC_RMID, NULL);
}

static int fills(void *arg)
{
    struct message m = {1, ""};

    for (int i = 0; i < 1000; i++)
        if (msgsnd(*(int *)arg, &m, 64, 0))
            return errno == EIDRM ? 7 : 1;
    return 0;
}

static int receives_one(void *arg)
{
    struct message m;

    return msgrcv(*(int *)arg, &m, 64, 0, 0) < 0 ? errno == EIDRM ? 7 : 1 : 0;
}

static void msg_removed_while_waiting(void)
{
    int id = msgget(IPC_PRIVATE, 0600), other = msgget(IPC_PRIVATE, 0600);
    pid_t sender = start(fills, &id), receiver = start(receives_one, &other);
    struct msqid_ds ds = {0};
    char text[512];
    char path[64];

    while (ds.msg_qnum < 256)
        msgctl(id, IPC_STAT, &ds);
    /* The receiver sleeps. */
    snprintf(path, sizeof(path), "/proc/%d/stat", receiver);
    do {
        int fd = open(path, O_RDONLY);
        ssize_t n = read(fd, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = '\0';
        close(fd);
    } while (!strstr(text, ") S "));
    T(msgctl(id, IPC_RMID, NULL));
    T(msgctl(other, IPC_RMID, NULL));
    say("%d %d", status_of(sender), status_of(receiver));
}

static void msg_copied(void)
{
    int id = msgget(IPC_PRIVATE, 0600);

    sends(id, 5, "first", 0);
    sends(id, 6, "second", 0);
    receives(id, 0, MSG_COPY, 64);
    receives(id, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT, 64);
    msgctl(id, IPC_RMID, NULL);
}

const struct test_case cases[] = {
    CASE(shm_made_and_found), CASE(shm_shared_by_fork), CASE(shm_shared_by_key), CASE(shm_attachments_counted),
    CASE(shm_bad_places), CASE(shm_rights), CASE(shm_told), CASE(shm_many_processes), CASE(sem_made_and_found),
    CASE(sem_values), CASE(sem_all_or_none), CASE(sem_waiting), CASE(sem_interrupted), CASE(sem_undone), CASE(sem_rights),
    CASE(sem_back_and_forth), CASE(msg_in_order), CASE(msg_full), CASE(msg_back_and_forth), CASE(msg_removed_while_waiting),
    CASE(msg_copied), {NULL, NULL},
};
