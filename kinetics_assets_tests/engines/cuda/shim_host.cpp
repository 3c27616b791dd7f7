// The kernels of the package, compiled by g++, behind one C function.
#include "cushim.h"

#include SOURCE

#include <cstring>

// Run one kernel by name; 1 if there is none of that name.
extern "C" int launch(const char *kernel, const int *grid, const int *block, size_t shared_bytes,
                      int thread_order, ARGUMENTS)
{
    void (*chosen)(ARGUMENTS) = nullptr;
#define KERNEL(name) \
    if (std::strcmp(kernel, #name) == 0) chosen = name;
    KERNEL(read_frames)
    KERNEL(shrink_frames)
    KERNEL(derive_frames)
    KERNEL(begin_level)
    KERNEL(warp_pairs)
    KERNEL(solve_in_ring)
    KERNEL(solve_in_place)
    KERNEL(end_level)
    KERNEL(write_grey)
    KERNEL(write_field)
    if (!chosen) return 1;
    shim::launch({grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared_bytes,
                 static_cast<shim::Order>(thread_order), [=] {
                     chosen(frames, pairs, order, pixels, arena, grey, field, counts, level, warp,
                            first, bound);
                 });
    return 0;
}
