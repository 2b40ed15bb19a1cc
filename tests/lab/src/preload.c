/*
 * What a node's programs meet when the lab has this library loaded into all of them: a clock that is wrong, WAL
 * that is read slowly, and the end of an agent right before one of its acts. What is asked for is in a file that
 * root alone may write, mapped when a program starts: without that file, nothing is different.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CONTROL "/var/lib/lab/control"

struct control {
    int64_t seconds;      /* added to the clock */
    int64_t microseconds; /* that each read of a page of WAL takes longer */
    int64_t act;          /* before this one, counted from 1, the agent is killed; 0: never */
    int64_t killed;       /* one was */
    char actions[32];     /* which of its actions, as words with a blank on either side */
};

static volatile struct control *control;
static int is_agent;
static int64_t acts;

static void is_it_the_agent(void)
{
    char line[256] = "", word[40];
    int fd = syscall(SYS_open, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : syscall(SYS_read, fd, line, sizeof line - 1);
    if (fd >= 0)
        syscall(SYS_close, fd);
    size_t first = strlen(line);
    if (size <= 0 || first < 7 || strcmp(line + first - 7, "/pgtwin") || first + 1 >= (size_t)size)
        return;
    const char *action = line + first + 1;
    if (strlen(action) > 20)
        return;
    word[0] = ' ';
    strcpy(word + 1, action);
    strcat(word, " ");
    is_agent = strstr((const char *)control->actions, word) != NULL;
}

__attribute__((constructor)) static void begin(void)
{
    int writable = 1;
    int fd = syscall(SYS_open, CONTROL, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        writable = 0;
        fd = syscall(SYS_open, CONTROL, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map == MAP_FAILED)
        return;
    control = map;
    if (writable)
        is_it_the_agent();
}

static void act(void)
{
    if (!is_agent || !control->act)
        return;
    if (__atomic_add_fetch(&acts, 1, __ATOMIC_SEQ_CST) != control->act)
        return;
    control->act = 0;
    control->killed = 1;
    syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGKILL);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = syscall(SYS_clock_gettime, clock, now);
    if (!result && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += control->seconds;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec fine;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &fine))
        return -1;
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where)
        *where = now.tv_sec;
    return now.tv_sec;
}

/*
 * The kernel has the true clock: whoever waits until a time of the wrong one would wait an hour too long, or not at
 * all (Corosync's knet then finds no size of packet that arrives). A deadline of another clock is far from it.
 */
#define FAR (30 * 24 * 3600)

static const struct timespec *truly(const struct timespec *until, struct timespec *instead)
{
    struct timespec now;
    if (!control || !control->seconds || clock_gettime(CLOCK_REALTIME, &now))
        return until;
    if (until->tv_sec < now.tv_sec - FAR || until->tv_sec > now.tv_sec + FAR)
        return until;
    *instead = *until;
    instead->tv_sec -= control->seconds;
    return instead;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec instead;
    /* Where there are two versions, the older one is of other condition variables. */
    if (!real)
        *(void **)&real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    return real(cond, mutex, truly(until, &instead));
}

int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict until)
{
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec instead;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sem_timedwait");
    return real(sem, truly(until, &instead));
}

static void slowly(int fd)
{
    char link[32] = "/proc/self/fd/", digits[12], path[512];
    int at = 0, left = fd;
    if (!control || control->microseconds <= 0 || fd < 0)
        return;
    do
        digits[at++] = '0' + left % 10;
    while ((left /= 10) && at < 11);
    char *end = link + strlen(link);
    while (at)
        *end++ = digits[--at];
    *end = 0;
    ssize_t size = syscall(SYS_readlink, link, path, sizeof path - 1);
    if (size <= 0)
        return;
    path[size] = 0;
    if (!strstr(path, "/pg_wal/"))
        return;
    struct timespec pause = { control->microseconds / 1000000, control->microseconds % 1000000 * 1000 };
    syscall(SYS_nanosleep, &pause, NULL);
}

ssize_t pread64(int fd, void *into, size_t size, off64_t from)
{
    slowly(fd);
    return syscall(SYS_pread64, fd, into, size, from);
}

ssize_t pread(int fd, void *into, size_t size, off_t from)
{
    return pread64(fd, into, size, from);
}

int fsync(int fd)
{
    act();
    return syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    act();
    return syscall(SYS_fdatasync, fd);
}

int rename(const char *from, const char *to)
{
    act();
    return syscall(SYS_rename, from, to);
}

int unlink(const char *path)
{
    act();
    return syscall(SYS_unlink, path);
}

int kill(pid_t pid, int number)
{
    act();
    return syscall(SYS_kill, pid, number);
}

pid_t fork(void)
{
    static pid_t (*real)(void);
    if (!real)
        real = (pid_t (*)(void))dlsym(RTLD_NEXT, "fork");
    act();
    pid_t child = real();
    if (!child)
        is_agent = 0;
    return child;
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
    static int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                       char *const[], char *const[]);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "posix_spawnp");
    act();
    return real(pid, file, actions, attributes, argv, environment);
}
