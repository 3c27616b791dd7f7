// Dual TV-L1 optical flow, profile "opencv4-cuda", for a batch of frame pairs of any sizes.
//
// Compiled at run time by NVRTC for the device at hand, and by g++ through a small shim for tests.
// Every sample is bit for bit that of engines/reference.py: the same float32 operations in the same
// order, true divisions and roots, nothing contracted (-fmad=false) and sums over pixels in one
// fixed order. Hence the flow of a pair depends neither on its batch nor on the device.
//
// Constants come from tvl1.py and the records' sizes from plan.py, as -D options: LEVELS, WARPS,
// MAX_ITERATIONS, FLAT (the least squared gradient), LAMBDA_THETA, TAU_OVER_THETA, THETA, UPSCALE,
// FRAME_BYTES, PAIR_BYTES, CELL_FLOATS, MOST_THREADS, REGISTER_THREADS, MOST_STAGES, STAGE_BYTES.
//
// Memory: one float array, the arena, holds all that is only on the device. Frames have a plane per
// level and one texture, pairs one field of cells, all at offsets that plan.py lays out. Textures
// and cells are those of the level that is being worked on.

#ifndef DYNAMIC_SHARED  // the shim of the tests brings its own
#define DYNAMIC_SHARED(name) extern __shared__ float4 name[]
__device__ __forceinline__ float reciprocal_guess(float x)
{
    asm("rcp.approx.ftz.f32 %0, %0;" : "+f"(x));
    return x;
}
__device__ __forceinline__ float root_reciprocal_guess(float x)
{
    asm("rsqrt.approx.ftz.f32 %0, %0;" : "+f"(x));
    return x;
}
// The same number. The compiler does not know that, and keeps nothing that it could work out of it.
__device__ __forceinline__ int afresh(int number)
{
    asm volatile("" : "+r"(number));
    return number;
}
__device__ __forceinline__ float *afresh(float *address)
{
    asm volatile("" : "+l"(address));
    return address;
}
#endif

struct FrameLevel {
    int height, width;  // 0 where the frame has no such level
    long long plane;    // gray values, height x width
};

struct Frame {
    long long pixels;   // 8-bit input
    long long texture;  // of the present level, float4 a pixel; -1 where no pair ends in this frame
    FrameLevel level[LEVELS];
};

struct PairLevel {
    int height, width;       // 0 where the pair has no such level
    int pitch;               // floats from row to row of cells
    int depth;               // iterations that one sweep over the rows may run
    int groups;              // of threads, in registers; 0 where rows are of cells
    int stages;              // iterations of each group
    float ratio_y, ratio_x;  // size of the coarser level / size of this one
    double threshold;        // summed squared update, in square pixels, at which a warp is done
};

struct Pair {
    int first, second;  // frames
    int levels;
    int unused;
    long long cells;   // field of the present level
    long long coarse;  // flow of the coarser level, two planes
    long long output;  // two planes of the result
    PairLevel level[LEVELS];
};

struct Cell {
    float u1, u2;    // flow in pixels: x, y
    float p11, p12;  // dual field of u1
    float p21, p22;  // dual field of u2
    float ix, iy;    // warped gradient of the second frame
    float rho;       // difference of the frames, linear in u, at u = 0
};

static_assert(sizeof(Frame) == FRAME_BYTES, "plan.py lays out frames in another way");
static_assert(sizeof(Pair) == PAIR_BYTES, "plan.py lays out pairs in another way");
static_assert(sizeof(Cell) == CELL_FLOATS * sizeof(float), "plan.py has cells of another size");

// Every kernel has the same arguments, so that one call launches any of them.
#define ARGUMENTS                                                                              \
    const Frame *frames, const Pair *pairs, const int *order, const unsigned char *pixels,      \
        float *arena, unsigned char *grey, float *field, int *counts, int level, int warp,      \
        int first, double bound

constexpr int PAIR_COUNTS = LEVELS * WARPS + 1;  // iterations of each warp, then: flow is not finite

// ---------------------------------------------------------------- kernels over pixels
// The grid is (columns, rows, items); what lies outside an item's own size has nothing to do.

__device__ __forceinline__ bool pixel_of(int height, int width, int &y, int &x)
{
    y = blockIdx.y * blockDim.y + threadIdx.y;
    x = blockIdx.x * blockDim.x + threadIdx.x;
    return y < height && x < width;
}

// Bilinear without the half-pixel shift: pixel (y, x) reads at (y * ratio_y, x * ratio_x).
__device__ __forceinline__ float resized(const float *source, int height, int width, int y, int x,
                                         float ratio_y, float ratio_x)
{
    const float position_y = y * ratio_y, position_x = x * ratio_x;
    const float floor_y = floorf(position_y), floor_x = floorf(position_x);
    const float down = position_y - floor_y, right = position_x - floor_x;
    const float up = (floor_y + 1.0f) - position_y, left = (floor_x + 1.0f) - position_x;
    const float *row1 = source + min((int)floor_y, height - 1) * width;
    const float *row2 = source + min((int)floor_y + 1, height - 1) * width;
    const int x1 = min((int)floor_x, width - 1), x2 = min((int)floor_x + 1, width - 1);
    float value = row1[x1] * (left * up);
    value += row1[x2] * (right * up);
    value += row2[x1] * (left * down);
    value += row2[x2] * (right * down);
    return value;
}

// 8-bit input -> gray values of level 0.
extern "C" __global__ void read_frames(ARGUMENTS)
{
    const Frame &frame = frames[blockIdx.z];
    const FrameLevel &size = frame.level[0];
    int y, x;
    if (!pixel_of(size.height, size.width, y, x)) return;
    const int at = y * size.width + x;
    arena[size.plane + at] = pixels[frame.pixels + at];
}

// Gray values of the level above -> those of `level`.
extern "C" __global__ void shrink_frames(ARGUMENTS)
{
    const Frame &frame = frames[blockIdx.z];
    const FrameLevel &size = frame.level[level], &above = frame.level[level - 1];
    int y, x;
    if (!pixel_of(size.height, size.width, y, x)) return;
    arena[size.plane + y * size.width + x] =
        resized(arena + above.plane, above.height, above.width, y, x, UPSCALE, UPSCALE);
}

// Gray values of `level` -> texture: x gradient, y gradient, value.
extern "C" __global__ void derive_frames(ARGUMENTS)
{
    const Frame &frame = frames[blockIdx.z];
    const FrameLevel &size = frame.level[level];
    int y, x;
    if (frame.texture < 0 || !pixel_of(size.height, size.width, y, x)) return;
    const float *plane = arena + size.plane, *row = plane + y * size.width;
    const float *above = plane + max(y - 1, 0) * size.width;
    const float *below = plane + min(y + 1, size.height - 1) * size.width;
    float4 texel;
    texel.x = 0.5f * (row[min(x + 1, size.width - 1)] - row[max(x - 1, 0)]);
    texel.y = 0.5f * (below[x] - above[x]);
    texel.z = row[x];
    texel.w = 0.0f;
    reinterpret_cast<float4 *>(arena + frame.texture)[y * size.width + x] = texel;
}

// Flow, and the part of the dual field that works downwards, of one cell.
struct alignas(8) Flow {
    float u1, u2;
};
struct alignas(8) Down {
    float p12, p22;
};
struct alignas(8) Across {
    float p11, p21;
};

// What the solver in registers only reads of a pixel. A row of its pixels is all Still, all Flow,
// all Across, all Down, so that threads side by side read words side by side.
struct alignas(16) Still {
    float ix, iy, rho;
    float reciprocal;  // 1 / squared gradient; 0 where that is FLAT or less
};

// One row of a pair, in either layout.
struct Row {
    float *start;
    int width;
    bool of_cells;
    __device__ __forceinline__ Cell *cells() const { return reinterpret_cast<Cell *>(start); }
    __device__ __forceinline__ Still *stills() const { return reinterpret_cast<Still *>(start); }
    __device__ __forceinline__ Flow *flow() const
    {
        return reinterpret_cast<Flow *>(start) + 2 * width;
    }
    __device__ __forceinline__ Flow flow_at(int x) const
    {
        if (of_cells) return {cells()[x].u1, cells()[x].u2};
        return flow()[x];
    }
};

__device__ __forceinline__ Row row_of(float *arena, const Pair &pair, int level, int y)
{
    const PairLevel &size = pair.level[level];
    return {arena + pair.cells + y * size.pitch, size.width, size.groups == 0};
}

// Start of `level`: flow from the coarser level, or none at the coarsest; no dual field.
extern "C" __global__ void begin_level(ARGUMENTS)
{
    const Pair &pair = pairs[blockIdx.z];
    const PairLevel &size = pair.level[level];
    int y, x;
    if (!pixel_of(size.height, size.width, y, x)) return;
    Flow flow = {};
    if (level + 1 < pair.levels) {
        const PairLevel &from = pair.level[level + 1];
        const float *u1 = arena + pair.coarse, *u2 = u1 + from.height * from.width;
        const float ratio_y = size.ratio_y, ratio_x = size.ratio_x;
        flow.u1 = resized(u1, from.height, from.width, y, x, ratio_y, ratio_x) * UPSCALE;
        flow.u2 = resized(u2, from.height, from.width, y, x, ratio_y, ratio_x) * UPSCALE;
    }
    const Row row = row_of(arena, pair, level, y);
    if (row.of_cells) {
        Cell cell = {};
        cell.u1 = flow.u1;
        cell.u2 = flow.u2;
        row.cells()[x] = cell;
    } else {
        Flow *const at = row.flow() + x;
        at[0] = flow;
        at[row.width] = at[2 * row.width] = {};  // the dual field
    }
}

// End of `level`: the flow is kept while the cells become those of the finer level.
extern "C" __global__ void end_level(ARGUMENTS)
{
    const Pair &pair = pairs[blockIdx.z];
    const PairLevel &size = pair.level[level];
    int y, x;
    if (!pixel_of(size.height, size.width, y, x)) return;
    const Flow flow = row_of(arena, pair, level, y).flow_at(x);
    float *u1 = arena + pair.coarse, *u2 = u1 + size.height * size.width;
    u1[y * size.width + x] = flow.u1;
    u2[y * size.width + x] = flow.u2;
}

// Catmull-Rom weights at distances `t` from 0 to 1, and from 1 to 2.
__device__ __forceinline__ float near_weight(float t)
{
    return t * t * (1.5f * t - 2.5f) + 1.0f;
}

__device__ __forceinline__ float far_weight(float t)
{
    return t * (t * (-0.5f * t + 2.5f) - 4.0f) + 2.0f;
}

// Weights of the four taps around `position`; the cell of the first. Limited to where the border
// is constant anyway; that of a NaN is the lowest, so that no flow whatever reads elsewhere.
__device__ __forceinline__ int taps_around(float position, int count, float weights[4])
{
    const float cell = floorf(position);
    weights[0] = far_weight(position - (cell - 1.0f));
    weights[1] = near_weight(position - cell);
    weights[2] = near_weight(cell + 1.0f - position);
    weights[3] = far_weight(cell + 2.0f - position);
    const float limited = cell > -2.0f ? cell : -2.0f;
    return (int)(limited < count + 1.0f ? limited : count + 1.0f) - 1;
}

// The second frame and its gradient, read where the flow points: ix, iy and rho of each cell.
extern "C" __global__ void warp_pairs(ARGUMENTS)
{
    const Pair &pair = pairs[blockIdx.z];
    const PairLevel &size = pair.level[level];
    int y, x;
    if (!pixel_of(size.height, size.width, y, x)) return;
    const Row row = row_of(arena, pair, level, y);
    const auto [u1, u2] = row.flow_at(x);
    float across[4], down[4];
    const int left = taps_around(x + u1, size.width, across);
    const int top = taps_around(y + u2, size.height, down);
    const float4 *texture =
        reinterpret_cast<const float4 *>(arena + frames[pair.second].texture);
    float sum_x = 0.0f, sum_y = 0.0f, sum_value = 0.0f, total = 0.0f;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const float4 *texels = texture + min(max(top + j, 0), size.height - 1) * size.width;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const float weight = across[i] * down[j];
            const float4 texel = texels[min(max(left + i, 0), size.width - 1)];
            total += weight;
            sum_x += weight * texel.x;
            sum_y += weight * texel.y;
            sum_value += weight * texel.z;
        }
    }
    const float scale = 1.0f / total;
    const float ix = sum_x * scale, iy = sum_y * scale, value = sum_value * scale;
    const float *from = arena + frames[pair.first].level[level].plane;
    const float rho = value - ix * u1 - iy * u2 - from[y * size.width + x];
    if (row.of_cells) {
        Cell &cell = row.cells()[x];
        cell.ix = ix;
        cell.iy = iy;
        cell.rho = rho;
    } else {
        const float squared = ix * ix + iy * iy;
        row.stills()[x] = {ix, iy, rho, squared > FLAT ? 1.0f / squared : 0.0f};
    }
}

__device__ __forceinline__ unsigned char grey_level(float u, double bound)
{
    double value = u;
    value = value < -bound ? -bound : value > bound ? bound : value;
    return (unsigned char)rint((value + bound) * 255.0 / (2.0 * bound));
}

// The flow of level 0 as grey levels, each plane as large as the pair.
extern "C" __global__ void write_grey(ARGUMENTS)
{
    const Pair &pair = pairs[blockIdx.z];
    const PairLevel &size = pair.level[0];
    int y, x;
    if (!pixel_of(size.height, size.width, y, x)) return;
    const Flow flow = row_of(arena, pair, 0, y).flow_at(x);
    unsigned char *to = grey + pair.output + y * size.width + x;
    if (isnan(flow.u1) || isnan(flow.u2)) {
        counts[blockIdx.z * PAIR_COUNTS + LEVELS * WARPS] = 1;  // all who write write the same
        return;
    }
    to[0] = grey_level(flow.u1, bound);
    to[size.height * size.width] = grey_level(flow.u2, bound);
}

// The flow of level 0 as it is.
extern "C" __global__ void write_field(ARGUMENTS)
{
    const Pair &pair = pairs[blockIdx.z];
    const PairLevel &size = pair.level[0];
    int y, x;
    if (!pixel_of(size.height, size.width, y, x)) return;
    const Flow flow = row_of(arena, pair, 0, y).flow_at(x);
    float *to = field + pair.output + y * size.width + x;
    to[0] = flow.u1;
    to[size.height * size.width] = flow.u2;
}

// ---------------------------------------------------------------- the inner solver
// One block runs all iterations of one warp of one pair. A sweep marches down the rows and runs up
// to `depth` iterations: at step t, iteration j updates u of row y = t - 2j and then p of row y - 1.
// One barrier a step is enough. What a cell reads of its left and right neighbours was written a
// step ago: p of row y is that of the iteration before, u of row y - 1 that of this iteration. What
// it reads of the rows above and below is written by the same thread. Rows enter a ring in shared
// memory at the front and leave it when the last iteration is done with them, so that device memory
// is read and written once per sweep. Where the ring does not fit, the same sweep works on device
// memory itself.

struct Work {
    float *cells;     // all rows, in device memory
    float *ring;      // 2 * depth + 1 rows
    double *columns;  // squared update of the measured iteration, per column
    int height, width, pitch;
    int group, groups;  // threads are dealt out as `groups` rows of `width`; this one's
    int column;         // this thread's first, `width` for those that are left over
};

// Division and root that are correctly rounded, as the plain ones are, in a range that is checked
// once for several of them and without a branch each: half the instructions of a dual step were
// there. The arithmetic is the compiler's own: one Newton step from the hardware's guess, one
// correction by the remainder. The remainder is exact as long as nothing underflows, which is what
// `tame` asks of each number and MOST_NORM bounds.

#define MOST_NORM 1048576.0f

// 1 / divisor, as good as `quotient` needs it.
__device__ __forceinline__ float reciprocal(float divisor)
{
    const float guess = reciprocal_guess(divisor);
    return fmaf(guess, fmaf(-divisor, guess, 1.0f), guess);
}

// dividend / divisor.
__device__ __forceinline__ float quotient(float dividend, float divisor, float reciprocal)
{
    const float value = dividend * reciprocal;
    return fmaf(reciprocal, fmaf(-divisor, value, dividend), value);
}

// Square root; 0 for 0.
__device__ __forceinline__ float root(float x)
{
    const float guess = root_reciprocal_guess(fmaxf(x, 0x1p-100f));
    const float value = x * guess;
    return fmaf(fmaf(-value, value, x), 0.5f * guess, value);
}

// Below TAME for numbers between 0 and 2^-100 in size, and only for those.
#define TAME (27u << 24)
__device__ __forceinline__ unsigned tame(float x)
{
    const unsigned bits = __float_as_uint(x);
    return bits + bits - 1u;
}

// One primal step of a cell: bounded data step, then theta times the divergence of the dual field.
// Returns the new flow; `moved` becomes its squared distance from the old one.
__device__ __forceinline__ Flow primal_step(Cell *cell, Down above, bool has_left, float &moved)
{
    const float u1 = cell->u1, u2 = cell->u2, ix = cell->ix, iy = cell->iy;
    const float squared = ix * ix + iy * iy, bound = LAMBDA_THETA * squared;
    const float rho = cell->rho + (ix * u1 + iy * u2);
    float step = quotient(-rho, squared, reciprocal(squared));
    if (tame(rho) < TAME) step = -rho / squared;
    step = squared > FLAT ? step : -rho * 0.0f;
    step = rho > bound ? -LAMBDA_THETA : step;
    step = rho < -bound ? LAMBDA_THETA : step;
    const float left1 = has_left ? cell[-1].p11 : 0.0f, left2 = has_left ? cell[-1].p21 : 0.0f;
    const float divergence1 = (cell->p11 - left1) + (cell->p12 - above.p12);
    const float divergence2 = (cell->p21 - left2) + (cell->p22 - above.p22);
    const float new1 = (u1 + step * ix) + THETA * divergence1;
    const float new2 = (u2 + step * iy) + THETA * divergence2;
    cell->u1 = new1;
    cell->u2 = new2;
    moved = (u1 - new1) * (u1 - new1) + (u2 - new2) * (u2 - new2);
    return {new1, new2};
}

// One dual step of a cell, by forward differences of u, zero at the last column and row.
__device__ __forceinline__ void dual_step(Cell *cell, Down own, Flow below, bool has_right,
                                          bool has_below)
{
    const float u1 = cell->u1, u2 = cell->u2;
    const float dx1 = has_right ? cell[1].u1 - u1 : 0.0f, dx2 = has_right ? cell[1].u2 - u2 : 0.0f;
    const float dy1 = has_below ? below.u1 - u1 : 0.0f, dy2 = has_below ? below.u2 - u2 : 0.0f;
    const float square1 = dx1 * dx1 + dy1 * dy1, square2 = dx2 * dx2 + dy2 * dy2;
    const float p11 = cell->p11 + TAU_OVER_THETA * dx1, p12 = own.p12 + TAU_OVER_THETA * dy1;
    const float p21 = cell->p21 + TAU_OVER_THETA * dx2, p22 = own.p22 + TAU_OVER_THETA * dy2;
    const float norm1 = 1.0f + TAU_OVER_THETA * root(square1);
    const float norm2 = 1.0f + TAU_OVER_THETA * root(square2);
    const float scale1 = reciprocal(norm1), scale2 = reciprocal(norm2);
    cell->p11 = quotient(p11, norm1, scale1);
    cell->p12 = quotient(p12, norm1, scale1);
    cell->p21 = quotient(p21, norm2, scale2);
    cell->p22 = quotient(p22, norm2, scale2);
    const unsigned numerators = min(min(tame(p11), tame(p12)), min(tame(p21), tame(p22)));
    const unsigned smallest = min(numerators, min(tame(square1), tame(square2)));
    if (smallest < TAME || !(fmaxf(norm1, norm2) < MOST_NORM)) {  // hardly ever
        const float divisor1 = 1.0f + TAU_OVER_THETA * sqrtf(square1);
        const float divisor2 = 1.0f + TAU_OVER_THETA * sqrtf(square2);
        cell->p11 = p11 / divisor1;
        cell->p12 = p12 / divisor1;
        cell->p21 = p21 / divisor2;
        cell->p22 = p22 / divisor2;
    }
}

// Run `depth` iterations; MEASURED: with the squared update of the last one in `columns`.
template <bool RING, bool MEASURED>
__device__ __forceinline__ void sweep(const Work &work, int depth)
{
    const int height = work.height, width = work.width, pitch = work.pitch;
    const int ring_end = (2 * depth + 1) * pitch;  // floats
    const int lag = 2 * work.group * pitch, lag_on = 2 * work.groups * pitch;
    const int thread = threadIdx.x, threads = blockDim.x, quads = pitch / 4;
    float *const rows = RING ? work.ring : work.cells;
    float4 *const outside = reinterpret_cast<float4 *>(work.cells);

    if (RING) {
        for (int i = thread; i < quads; i += threads)
            reinterpret_cast<float4 *>(rows)[i] = outside[i];
        __syncthreads();
    }
    int front = 0;  // where row t lies, in floats
    for (int t = 0; t < height + 2 * depth; ++t) {
        int next = front + pitch;
        if (RING && next == ring_end) next = 0;

        // Row t + 1 comes into the place of row t - 2 * depth, which is done. It is asked for
        // before the work of this step and put down after it: that hides the way from memory.
        const bool enters = RING && t + 1 < height, leaves = RING && t >= 2 * depth;
        float4 quad;
        if (enters && thread < quads) quad = outside[(t + 1) * quads + thread];

        for (int x = work.column; x < width; x += threads) {
            int here = front - lag;
            if (RING && here < 0) here += ring_end;
            for (int j = work.group, y = t - 2 * j; j < depth && y >= 0;
                 j += work.groups, y -= 2 * work.groups) {
                if (y <= height) {
                    int above = here - pitch;
                    if (RING && above < 0) above += ring_end;
                    Cell *const cell = reinterpret_cast<Cell *>(rows + here) + x;
                    Cell *const over = reinterpret_cast<Cell *>(rows + above) + x;
                    Down down = {0.0f, 0.0f};
                    Flow flow = {0.0f, 0.0f};
                    if (y > 0) down = {over->p12, over->p22};
                    if (y < height) {
                        float moved;
                        flow = primal_step(cell, down, x > 0, moved);
                        if (MEASURED && j == depth - 1)
                            work.columns[x] = y > 0 ? work.columns[x] + moved : moved;
                    }
                    if (y > 0) dual_step(over, down, flow, x + 1 < width, y < height);
                }
                here -= lag_on;
                if (RING && here < 0) here += ring_end;
            }
        }
        for (int i = thread; RING && i < quads; i += threads) {
            float4 &place = reinterpret_cast<float4 *>(rows + next)[i];
            if (leaves) outside[(t - 2 * depth) * quads + i] = place;
            if (enters) place = i == thread ? quad : outside[(t + 1) * quads + i];
        }
        __syncthreads();
        front = next;
    }
}

// What thread 0 tells the block: iterations until the next test, and whether there is one.
struct Orders {
    int iterations;
    short measured;
    short still;      // thread 0's: the last test found that nothing moves any more
    double expected;  // thread 0's: the error that the next iteration is guessed to have
};

// ---------------------------------------------------------------- the inner solver, in registers
// The same sweeps. A thread has one column, a group of threads a row, and a thread runs STAGES
// iterations that follow each other; the next group goes on from there. At step t, iteration j is
// at row y = t - 2j, as above. What a thread needs of row y - 1 it mostly has in registers still.
// Its left and right neighbours, and the next group, get theirs through shared memory: what is
// written at a step is read at the next one, from the other of two places, so that one barrier a
// step is enough. What does not change in a sweep, a thread puts down for its own next iteration,
// two steps later.
//
// All threads reach every barrier. Those right of the last column do again what it does, in places
// of their own.

// A pixel as a group leaves it, without what its last iteration puts down anyway.
struct Given {
    Flow flow[REGISTER_THREADS];
    Down down[REGISTER_THREADS];
};

template <int STAGES>
struct Room {
    union {
        Given given[2];                            // from the group before
        Still still[STAGES][2][REGISTER_THREADS];  // from the iteration before; not of the first
    };
    Flow flow[STAGES][2][REGISTER_THREADS];        // of this iteration
    Across across[STAGES][2][REGISTER_THREADS + 1];  // from the iteration before; the last is zero
};
static_assert(sizeof(Room<2>) - sizeof(Room<1>) == STAGE_BYTES, "plan.py gives another room");

// A pixel on its way from iteration to iteration.
struct Held {
    Flow flow;
    Across across;
    Down down;
};

struct March {
    float *cells;     // all rows, in device memory
    double *columns;  // squared update of the measured iteration, per column
    int height, width, pitch;
    int lanes;          // threads of a group: whole warps
    int group, column;  // this thread's
};

// One of these bits is set in numbers of 2^-63 and more in size, none in smaller ones. What a dual
// step returns is 1 or less, so that one test tells of most steps that their numerators are tame.
#define LARGE 0x60000000u

// The primal step of row y, then the dual step of row y - 1, in one column. `coming` is row y,
// `held` row y - 1 after its primal step. Returns row y - 1 as it is afterwards, and the new `flow`
// of row y; INSIDE: there are both rows. At the right `edge`, `right` is the flow of `held`, and
// what works sideways is and stays zero.
template <bool INSIDE>
__device__ __forceinline__ Held iterate(const Still &still, const Held &coming, Across left,
                                        const Held &held, Flow right, bool edge, int y, int height,
                                        Flow &flow)
{
    const float u1 = coming.flow.u1, u2 = coming.flow.u2, ix = still.ix, iy = still.iy;
    const bool has_above = INSIDE || y > 0, has_below = INSIDE || y < height;
    const float above1 = has_above ? held.down.p12 : 0.0f;
    const float above2 = has_above ? held.down.p22 : 0.0f;
    const float divergence1 = (coming.across.p11 - left.p11) + (coming.down.p12 - above1);
    const float divergence2 = (coming.across.p21 - left.p21) + (coming.down.p22 - above2);
    const float squared = ix * ix + iy * iy, bound = LAMBDA_THETA * squared;
    const float rho = still.rho + (ix * u1 + iy * u2);
    float step = quotient(-rho, squared, still.reciprocal);
    const float limit = copysignf(LAMBDA_THETA, rho);
    step = fabsf(rho) > bound ? -limit : step;
    flow.u1 = (u1 + step * ix) + THETA * divergence1;
    flow.u2 = (u2 + step * iy) + THETA * divergence2;

    const float own1 = held.flow.u1, own2 = held.flow.u2;
    const float dx1 = right.u1 - own1, dx2 = right.u2 - own2;
    float dy1 = has_below ? flow.u1 - own1 : 0.0f, dy2 = has_below ? flow.u2 - own2 : 0.0f;
    const float norm1 = 1.0f + TAU_OVER_THETA * root(dx1 * dx1 + dy1 * dy1);
    const float norm2 = 1.0f + TAU_OVER_THETA * root(dx2 * dx2 + dy2 * dy2);
    const float scale1 = reciprocal(norm1), scale2 = reciprocal(norm2);
    const float p11 = held.across.p11 + TAU_OVER_THETA * dx1;
    const float p21 = held.across.p21 + TAU_OVER_THETA * dx2;
    float p12 = held.down.p12 + TAU_OVER_THETA * dy1, p22 = held.down.p22 + TAU_OVER_THETA * dy2;
    Held after;
    after.flow = held.flow;
    after.across = {quotient(p11, norm1, scale1), quotient(p21, norm2, scale2)};
    after.down = {quotient(p12, norm1, scale1), quotient(p22, norm2, scale2)};
    const unsigned sideways = __float_as_uint(after.across.p11) & __float_as_uint(after.across.p21);
    const unsigned downwards = __float_as_uint(after.down.p12) & __float_as_uint(after.down.p22);
    const bool large = ((sideways | (edge ? LARGE : 0u)) & downwards & LARGE) != 0;
    if (large & (fabsf(rho) >= 0x1p-100f)) return after;
    const unsigned numerators = min(min(tame(p11), tame(p12)), min(tame(p21), tame(p22)));
    const bool wild = min(numerators, tame(rho)) < TAME;
    if (wild | !(fmaxf(norm1, norm2) < MOST_NORM)) {  // hardly ever
        step = still.reciprocal > 0.0f ? -rho / squared : -rho * 0.0f;
        step = fabsf(rho) > bound ? -limit : step;
        flow.u1 = (u1 + step * ix) + THETA * divergence1;
        flow.u2 = (u2 + step * iy) + THETA * divergence2;
        dy1 = has_below ? flow.u1 - own1 : 0.0f;
        dy2 = has_below ? flow.u2 - own2 : 0.0f;
        p12 = held.down.p12 + TAU_OVER_THETA * dy1;
        p22 = held.down.p22 + TAU_OVER_THETA * dy2;
        const float divisor1 = 1.0f + TAU_OVER_THETA * sqrtf(dx1 * dx1 + dy1 * dy1);
        const float divisor2 = 1.0f + TAU_OVER_THETA * sqrtf(dx2 * dx2 + dy2 * dy2);
        after.across = {p11 / divisor1, p21 / divisor2};
        after.down = {p12 / divisor1, p22 / divisor2};
    }
    return after;
}

// What a thread has in hand of each of its iterations.
template <int STAGES>
struct Hand {
    Held coming[STAGES];  // row y
    Held held[STAGES];    // row y - 1
    Still still;          // row y of the first iteration
    Across left;          // of row y, the same
};

// The iterations of a thread at one step, the last first: each leaves its place to the one before.
// Returns row y - 1 of the last. `y` is the row of the first; STEP is the step's lowest bit.
template <int STAGES, bool INSIDE, int STEP>
__device__ __forceinline__ Held advance(Room<STAGES> &room, Hand<STAGES> &hand, int own, int left,
                                        int right, bool edge, int y, int height,
                                        double *column, bool measured)
{
    Held leaving = {};
#pragma unroll
    for (int s = STAGES - 1; s >= 0; --s) {
        const int row = y - 2 * s;
        if (!INSIDE && (row < 0 || row > height)) continue;
        Held &coming = hand.coming[s], &held = hand.held[s];
        const Still still = s == 0 ? hand.still : room.still[s][STEP][own];
        const Across beside = s == 0 ? hand.left : room.across[s][1 - STEP][left];
        if (STAGES > 2) held.flow = room.flow[s][1 - STEP][own];  // too few registers to keep it
        Flow flow;
        const Held after = iterate<INSIDE>(still, coming, beside, held,
                                           room.flow[s][1 - STEP][right], edge, row, height, flow);
        if (s == STAGES - 1 && measured && (INSIDE || row < height)) {
            const float moved1 = coming.flow.u1 - flow.u1, moved2 = coming.flow.u2 - flow.u2;
            *column += moved1 * moved1 + moved2 * moved2;
        }
        room.flow[s][STEP][own] = flow;
        held = {flow, coming.across, coming.down};
        if (s == STAGES - 1) {
            leaving = after;
        } else {
            hand.coming[s + 1] = after;
            room.still[s + 1][STEP][own] = still;
            room.across[s + 1][STEP][own] = after.across;
        }
    }
    return leaving;
}

// Ask for row y, a step before it is needed: that hides the way from memory.
template <int STAGES>
__device__ __forceinline__ void fetch(const March &march, Hand<STAGES> &hand, int y)
{
    if (y < 0 || y >= march.height) return;
    const int width = march.width, x = min(afresh(march.column), width - 1);
    const float *const cells = march.cells;
    const int at = y * march.pitch;
    hand.still = *reinterpret_cast<const Still *>(cells + (at + 4 * x));
    if (march.group > 0) return;
    const int moving = at + 4 * width + 2 * x;
    hand.coming[0].flow = *reinterpret_cast<const Flow *>(cells + moving);
    hand.coming[0].across = *reinterpret_cast<const Across *>(cells + (moving + 2 * width));
    hand.coming[0].down = *reinterpret_cast<const Down *>(cells + (moving + 4 * width));
    if (x > 0) hand.left = *reinterpret_cast<const Across *>(cells + (moving + 2 * width - 2));
}

// One step of one thread; `y` is the row of its first iteration.
template <int STAGES, int STEP>
__device__ __forceinline__ void pass(const March &march, Room<STAGES> &room, Hand<STAGES> &hand,
                                     int y, bool last, double *column, bool measured)
{
    const int height = march.height, width = march.width, x = march.column;
    const int own = march.group * march.lanes + x;
    const int beside = own - max(x - width + 1, 0) - 1;
    const int left = min(x, width - 1) > 0 ? beside : REGISTER_THREADS;
    const bool edge = x + 1 >= width;
    const int right = edge ? own : own + 1;
    if (march.group > 0 && y >= 0 && y < height) {
        const Given &given = room.given[1 - STEP];
        hand.coming[0] = {given.flow[own], room.across[0][1 - STEP][own], given.down[own]};
        hand.left = room.across[0][1 - STEP][left];
    }
    const int row = y - 2 * STAGES + 1;  // that leaves
    Held leaving;
    if (row >= 0 && y < height) {
        leaving = advance<STAGES, true, STEP>(room, hand, own, left, right, edge, y, height, column,
                                              measured);
    } else {
        leaving = advance<STAGES, false, STEP>(room, hand, own, left, right, edge, y, height,
                                               column, measured);
    }
    if (row >= 0 && row < height) {
        if (!last) {
            room.given[STEP].flow[own + march.lanes] = leaving.flow;
            room.given[STEP].down[own + march.lanes] = leaving.down;
            room.across[0][STEP][own + march.lanes] = leaving.across;
        } else if (x < width) {
            float *const cells = march.cells;
            const int at = row * march.pitch + 4 * width + 2 * afresh(x);
            *reinterpret_cast<Flow *>(cells + at) = leaving.flow;
            *reinterpret_cast<Across *>(cells + (at + 2 * width)) = leaving.across;
            *reinterpret_cast<Down *>(cells + (at + 4 * width)) = leaving.down;
        }
    }
    fetch(march, hand, y + 1);
}

// Run STAGES * `groups` iterations; `measured`: with the squared update of the last in `columns`.
template <int STAGES>
__device__ __forceinline__ void march_on(const March &march, float4 *shared, int groups,
                                         bool measured)
{
    Room<STAGES> &room = *reinterpret_cast<Room<STAGES> *>(shared);
    const bool active = march.group < groups, last = march.group == groups - 1;
    double *const column = march.columns + march.column;
    measured = measured && last;
    if (measured) *column = 0.0;
    if (threadIdx.x < 2 * STAGES)
        room.across[threadIdx.x / 2][threadIdx.x % 2][REGISTER_THREADS] = {0.0f, 0.0f};
    Hand<STAGES> hand = {};
    const int steps = march.height + 2 * STAGES * groups - 1;
    int y = -1 - 2 * STAGES * march.group;
    if (active) fetch(march, hand, y + 1);
    for (int t = 0; t < steps; t += 2) {
        if (active) pass<STAGES, 0>(march, room, hand, ++y, last, column, measured);
        __syncthreads();
        if (active) pass<STAGES, 1>(march, room, hand, ++y, last, column, measured);
        __syncthreads();
    }
}

// Run one warp of a pair: sweeps(iterations, measured) as often as the stop rule wants it. The sum
// over the columns is in one order, by one thread.
template <typename Sweeps>
__device__ __forceinline__ int run_sweeps(Orders *orders, const double *columns,
                                          const PairLevel &size, const Sweeps &sweeps)
{
    int done = 0;
    if (threadIdx.x == 0) {
        orders->still = 0;
        orders->expected = 0.0;
    }
    for (;;) {
        if (threadIdx.x == 0) {
            bool measured = false;
            int upcoming = 0;
            double expected = orders->expected;
            while (!orders->still && !measured && done + upcoming < MAX_ITERATIONS) {
                measured = (done + upcoming) % 2 == 1 && expected < size.threshold;
                if (!measured) expected -= size.threshold;
                ++upcoming;
            }
            orders->iterations = upcoming;
            orders->measured = measured;
            orders->expected = expected;
        }
        __syncthreads();
        const int upcoming = orders->iterations;
        const bool measured = orders->measured;
        if (upcoming == 0) return done;
        done += upcoming;
        sweeps(upcoming, measured);
        if (measured && threadIdx.x == 0) {
            double error = 0.0;
            for (int x = 0; x < size.width; ++x) error += columns[x];
            orders->expected = error;
            orders->still = !(error > size.threshold);
        }
    }
}

template <bool RING>
__device__ __forceinline__ void solve(ARGUMENTS)
{
    const int pair_index = order[first + blockIdx.x];
    const Pair &pair = pairs[pair_index];
    const PairLevel &size = pair.level[level];
    if (size.height == 0) return;
    DYNAMIC_SHARED(shared);
    Orders *const orders = reinterpret_cast<Orders *>(shared);
    Work work;
    work.height = size.height;
    work.width = size.width;
    work.pitch = size.pitch;
    work.cells = arena + pair.cells;
    work.columns = reinterpret_cast<double *>(orders + 1);
    work.ring = reinterpret_cast<float *>(work.columns + (size.width + 1) / 2 * 2);
    work.groups = max((int)blockDim.x / work.width, 1);
    work.group = min((int)threadIdx.x / work.width, work.groups - 1);
    work.column = threadIdx.x - work.group * work.width;
    const int most = size.depth;
    const int done = run_sweeps(orders, work.columns, size, [&](int upcoming, bool measured) {
        for (; upcoming > most; upcoming -= most) sweep<RING, false>(work, most);
        if (measured) {
            sweep<RING, true>(work, upcoming);
        } else {
            sweep<RING, false>(work, upcoming);
        }
    });
    if (threadIdx.x == 0) counts[pair_index * PAIR_COUNTS + level * WARPS + warp] = done;
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1) solve_in_ring(ARGUMENTS)
{
    solve<true>(frames, pairs, order, pixels, arena, grey, field, counts, level, warp, first, bound);
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1) solve_in_place(ARGUMENTS)
{
    solve<false>(frames, pairs, order, pixels, arena, grey, field, counts, level, warp, first,
                 bound);
}

extern "C" __global__ void __launch_bounds__(REGISTER_THREADS, 1) solve_in_registers(ARGUMENTS)
{
    const int pair_index = order[first + blockIdx.x];
    const Pair &pair = pairs[pair_index];
    const PairLevel &size = pair.level[level];
    if (size.height == 0) return;
    DYNAMIC_SHARED(shared);
    Orders *const orders = reinterpret_cast<Orders *>(shared);
    March march;
    march.height = size.height;
    march.width = size.width;
    march.pitch = size.pitch;
    march.cells = afresh(arena + pair.cells);
    march.columns = reinterpret_cast<double *>(orders + 1);
    march.lanes = (size.width + 31) / 32 * 32;
    march.group = threadIdx.x / march.lanes;
    march.column = threadIdx.x - march.group * march.lanes;
    float4 *const room = reinterpret_cast<float4 *>(march.columns + REGISTER_THREADS);
    const int groups = size.groups, most = size.stages;
    const int done = run_sweeps(orders, march.columns, size, [&](int upcoming, bool measured) {
        while (upcoming > 0) {
            int stages = 1, busy = min(upcoming, groups);  // of the deepest sweep that fits
#pragma unroll
            for (int more = 2; more <= MOST_STAGES; ++more) {
                const int able = min(upcoming / more, groups);
                if (more <= most && more * able > stages * busy) {
                    stages = more;
                    busy = able;
                }
            }
            upcoming -= stages * busy;
            const bool measure = measured && upcoming == 0;
            static_assert(MOST_STAGES == 3, "a case for each");
            if (stages == 3) march_on<3>(march, room, busy, measure);
            if (stages == 2) march_on<2>(march, room, busy, measure);
            if (stages == 1) march_on<1>(march, room, busy, measure);
        }
    });
    if (threadIdx.x == 0) counts[pair_index * PAIR_COUNTS + level * WARPS + warp] = done;
}
