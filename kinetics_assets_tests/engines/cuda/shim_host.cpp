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
    KERNEL(solve_in_registers)
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

static bool same(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

// Run a dual and a primal step on cells of any content (floats by number, count times 4 cells of 9:
// a cell, its right, lower and upper neighbour) and return how many differ from plain arithmetic.
extern "C" long wrong_steps(const float *content, long count)
{
    const float taut = TAU_OVER_THETA;
    long wrong = 0;
    for (long i = 0; i < count; ++i) {
        Cell cells[4];
        std::memcpy(cells, content + i * 36, sizeof cells);
        const Cell before = cells[0], right = cells[1], below = cells[2], above = cells[3];

        dual_step(cells, {before.p12, before.p22}, {below.u1, below.u2}, true, true);
        const float dx1 = right.u1 - before.u1, dy1 = below.u1 - before.u1;
        const float dx2 = right.u2 - before.u2, dy2 = below.u2 - before.u2;
        const float norm1 = 1.0f + taut * std::sqrt(dx1 * dx1 + dy1 * dy1);
        const float norm2 = 1.0f + taut * std::sqrt(dx2 * dx2 + dy2 * dy2);
        wrong += !(same(cells[0].p11, (before.p11 + taut * dx1) / norm1) &&
                   same(cells[0].p12, (before.p12 + taut * dy1) / norm1) &&
                   same(cells[0].p21, (before.p21 + taut * dx2) / norm2) &&
                   same(cells[0].p22, (before.p22 + taut * dy2) / norm2));

        cells[0] = before;
        float moved;
        const Flow flow = primal_step(cells, {above.p12, above.p22}, false, moved);
        const float squared = before.ix * before.ix + before.iy * before.iy;
        const float rho = before.rho + (before.ix * before.u1 + before.iy * before.u2);
        const float bound = LAMBDA_THETA * squared;
        float step = -rho / (squared > FLAT ? squared : INFINITY);
        if (rho > bound) step = -LAMBDA_THETA;
        if (rho < -bound) step = LAMBDA_THETA;
        const float divergence1 = before.p11 + (before.p12 - above.p12);
        const float divergence2 = before.p21 + (before.p22 - above.p22);
        wrong += !(same(flow.u1, (before.u1 + step * before.ix) + THETA * divergence1) &&
                   same(flow.u2, (before.u2 + step * before.iy) + THETA * divergence2));
    }
    return wrong;
}

// The same for the solver in registers, whose steps are one: the primal step of a cell and the dual
// step of the cell above it. Of the four cells: this one, the one above, and its right neighbour;
// the left neighbour of this one is the last. Every seventh is in the last column.
extern "C" long wrong_register_steps(const float *content, long count)
{
    const float taut = TAU_OVER_THETA;
    long wrong = 0;
    for (long i = 0; i < count; ++i) {
        Cell cells[4];
        std::memcpy(cells, content + i * 36, sizeof cells);
        const bool edge = i % 7 == 0;
        if (edge) {
            cells[2] = cells[1];
            cells[1].p11 = cells[1].p21 = 0.0f;
        }
        const Cell own = cells[0], above = cells[1], right = cells[2], left = cells[3];
        const float squared = own.ix * own.ix + own.iy * own.iy;
        const Still still = {own.ix, own.iy, own.rho, squared > FLAT ? 1.0f / squared : 0.0f};
        const Held coming = {{own.u1, own.u2}, {own.p11, own.p21}, {own.p12, own.p22}};
        const Held held = {{above.u1, above.u2}, {above.p11, above.p21}, {above.p12, above.p22}};
        Flow flow;
        const Held after = iterate<true>(still, coming, {left.p11, left.p21}, held,
                                         {right.u1, right.u2}, edge, 1, 2, flow);

        const float rho = own.rho + (own.ix * own.u1 + own.iy * own.u2);
        const float bound = LAMBDA_THETA * squared;
        float step = -rho / (squared > FLAT ? squared : INFINITY);
        if (rho > bound) step = -LAMBDA_THETA;
        if (rho < -bound) step = LAMBDA_THETA;
        const float divergence1 = (own.p11 - left.p11) + (own.p12 - above.p12);
        const float divergence2 = (own.p21 - left.p21) + (own.p22 - above.p22);
        const float u1 = (own.u1 + step * own.ix) + THETA * divergence1;
        const float u2 = (own.u2 + step * own.iy) + THETA * divergence2;
        const float dx1 = right.u1 - above.u1, dy1 = u1 - above.u1;
        const float dx2 = right.u2 - above.u2, dy2 = u2 - above.u2;
        const float norm1 = 1.0f + taut * std::sqrt(dx1 * dx1 + dy1 * dy1);
        const float norm2 = 1.0f + taut * std::sqrt(dx2 * dx2 + dy2 * dy2);
        wrong += !(same(flow.u1, u1) && same(flow.u2, u2) &&
                   same(after.across.p11, (above.p11 + taut * dx1) / norm1) &&
                   same(after.down.p12, (above.p12 + taut * dy1) / norm1) &&
                   same(after.across.p21, (above.p21 + taut * dx2) / norm2) &&
                   same(after.down.p22, (above.p22 + taut * dy2) / norm2));
    }
    return wrong;
}
