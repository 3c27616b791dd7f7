/* What NVML answers, told by the environment: FAKE_INIT (status of the first call), FAKE_COUNT
   (GPUs), FAKE_LOST (index of one off the bus), FAKE_DYING (index of one that leaves it under way),
   FAKE_MIG (index of one in MIG mode) and FAKE_INSTANCES (its MIG instances). */
#include <stdio.h>
#include <stdlib.h>

static long told(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

int nvmlInit_v2(void) { return (int)told("FAKE_INIT", 0); }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = (unsigned)told("FAKE_COUNT", 0); return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{
    if ((long)index == told("FAKE_LOST", -1)) return 15;
    *handle = (void *)(size_t)(index + 1);
    return 0;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned size)
{
    size_t number = (size_t)handle;
    if ((long)number - 1 == told("FAKE_DYING", -1)) return 15;
    if (number < 100) snprintf(text, size, "GPU-%04zu", number - 1);
    else snprintf(text, size, "MIG-%04zu", number - 100);
    return 0;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending)
{
    if (told("FAKE_MIG", -1) == -1) return 3; /* not supported */
    *current = *pending = (long)(size_t)handle - 1 == told("FAKE_MIG", -1);
    return 0;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count)
{
    (void)handle;
    *count = 7;
    return 0;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **instance)
{
    (void)handle;
    if ((long)index >= told("FAKE_INSTANCES", 0)) return 6; /* not found */
    *instance = (void *)(size_t)(100 + index);
    return 0;
}
