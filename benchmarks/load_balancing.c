/* The two algorithms of benchmarks/load_balancing.py as bare loops: no arrays of results, nothing but the sum.
 * usage: load_balancing central|two-choices requests arrival-key service-key choice-key
 * prints: seconds of the loop by the clock and by the processor, of the process in the kernel, peak memory in MB,
 * mean response over all requests */
#define _POSIX_C_SOURCE 199309L
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { SERVERS = 10, BACKENDS = 100, ROOM = 4096 };

static inline uint64_t bits(uint64_t key, uint64_t count) {
    uint64_t z = key + (count + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline double exponential(uint64_t key, uint64_t count) {
    return -log(((double)(bits(key, count) >> 12) + 0.5) * 0x1p-52);
}

static inline int64_t below(uint64_t key, uint64_t count, uint64_t size) {
    return (int64_t)(((bits(key, count) >> 32) * size) >> 32);
}

static double central(int64_t requests, uint64_t arrivals, uint64_t services) {
    double free_at[SERVERS] = {0}, now = 0, sum = 0;
    for (int64_t i = 0; i < requests; i++) {
        now += exponential(arrivals, i) * (1 / 9.0);
        double start = now > free_at[0] ? now : free_at[0], departure = start + exponential(services, i);
        int at = 1;
        for (; at < SERVERS && free_at[at] < departure; at++) free_at[at - 1] = free_at[at];
        free_at[at - 1] = departure;
        sum += departure - now;
    }
    return sum / requests;
}

static double due[BACKENDS][ROOM]; /* departures on their way, a ring buffer a backend */

static double two_choices(int64_t requests, uint64_t arrivals, uint64_t services, uint64_t choices) {
    double free_at[BACKENDS] = {0}, now = 0, sum = 0;
    uint32_t first[BACKENDS] = {0}, last[BACKENDS] = {0};
    int64_t members[BACKENDS], draw = 0;
    for (int b = 0; b < BACKENDS; b++) members[b] = b;
    for (int64_t i = 0; i < requests; i++) {
        now += exponential(arrivals, i) * (1 / 90.0);
        int64_t best = -1;
        uint32_t fewest = UINT32_MAX;
        for (int k = 0; k < 2; k++) {
            int64_t pick = k + below(choices, draw++, BACKENDS - k), b = members[pick];
            members[pick] = members[k];
            members[k] = b;
            while (first[b] != last[b] && due[b][first[b] % ROOM] <= now) first[b]++;
            if (last[b] - first[b] < fewest) fewest = last[b] - first[b], best = b;
        }
        double start = now > free_at[best] ? now : free_at[best], departure = start + exponential(services, i);
        free_at[best] = departure;
        due[best][last[best]++ % ROOM] = departure;
        sum += departure - now;
    }
    return sum / requests;
}

int main(int count, char **word) {
    if (count != 6) return 1;
    int64_t requests = atoll(word[2]);
    uint64_t key[3];
    for (int i = 0; i < 3; i++) key[i] = strtoull(word[3 + i], 0, 10);
    struct timespec begin, end;
    clock_t processor_begin = clock();
    clock_gettime(CLOCK_MONOTONIC, &begin);
    double mean = strcmp(word[1], "central") ? two_choices(requests, key[0], key[1], key[2]) : central(requests, key[0], key[1]);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double processor = (double)(clock() - processor_begin) / CLOCKS_PER_SEC;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    long peak_kb = 0;  /* ru_maxrss would count the parent's memory at the fork */
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &peak_kb);
    double kernel = used.ru_stime.tv_sec + 1e-6 * used.ru_stime.tv_usec;
    printf("%.9f %.9f %.6f %.1f %.17g\n", (end.tv_sec - begin.tv_sec) + 1e-9 * (end.tv_nsec - begin.tv_nsec), processor, kernel,
           peak_kb / 1024.0, mean);
    return 0;
}
