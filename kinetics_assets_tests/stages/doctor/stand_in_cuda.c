/* What CUDA's driver answers, told by the environment: FAKE_CUDA_INIT (status of the first call),
   FAKE_CUDA_VERSION, FAKE_CAPABILITY (90 for 9.0), FAKE_CRASH, FAKE_HANG. One device. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long told(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

int cuInit(unsigned flags)
{
    (void)flags;
    if (told("FAKE_CRASH", 0)) abort();
    if (told("FAKE_HANG", 0)) sleep(600);
    return (int)told("FAKE_CUDA_INIT", 0);
}

int cuDriverGetVersion(int *version) { *version = (int)told("FAKE_CUDA_VERSION", 12080); return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int number) { *device = number; return 0; }

int cuDeviceGetName(char *name, int size, int device)
{
    snprintf(name, (size_t)size, "Stand-in %d", device);
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    long capability = told("FAKE_CAPABILITY", 90);
    *value = (int)(attribute == 75 ? capability / 10 : capability % 10);
    return 0;
}
