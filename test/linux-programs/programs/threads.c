/* 1000 threads alive at once, taking turns at a lock and a condition; each keeps a value of its own. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 1000, ROUNDS = 10 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_here = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static int here, sum;
static _Thread_local int own;

static void *run(void *arg)
{
    own = (int)(long)arg;
    pthread_mutex_lock(&lock);
    if (++here == THREADS)
        pthread_cond_broadcast(&all_here);
    while (here < THREADS)
        pthread_cond_wait(&all_here, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&barrier);
        pthread_mutex_lock(&lock);
        sum += own;
        pthread_mutex_unlock(&lock);
    }
    return (void *)(long)own;
}

int main(void)
{
    static pthread_t threads[THREADS];
    pthread_attr_t attr;
    long returned = 0;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 * 1024);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (long i = 0; i < THREADS; i++) {
        int err = pthread_create(&threads[i], &attr, run, (void *)i);
        if (err) {
            printf("thread %ld: error %d\n", i, err);
            return 1;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        void *value;
        pthread_join(threads[i], &value);
        returned += (long)value;
    }
    printf("threads %d sum %d returned %ld\n", here, sum, returned);
    return 0;
}
