// The two kernels of an unfused TV-L1 iteration and a sum, for flow_gpu.py: what they compute is
// right, what they are fed with is not; only their launches, traffic and arithmetic count.

struct Planes {
    float *u1, *u2, *p11, *p12, *p21, *p22, *ix, *iy, *squared, *rho, *error;
};

__device__ Planes planes_of(float *memory, int height, int width)
{
    const long long size = (long long)height * width;
    return {memory,            memory + size,     memory + 2 * size, memory + 3 * size,
            memory + 4 * size, memory + 5 * size, memory + 6 * size, memory + 7 * size,
            memory + 8 * size, memory + 9 * size, memory + 10 * size};
}

extern "C" __global__ void primal(float *memory, int height, int width, int with_error)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Planes at = planes_of(memory, height, width);
    const int i = y * width + x;
    const float u1 = at.u1[i], u2 = at.u2[i], ix = at.ix[i], iy = at.iy[i];
    const float squared = at.squared[i], rho = at.rho[i] + (ix * u1 + iy * u2);
    float step = squared > 1.1920929e-7f ? -rho / squared : 0.0f;
    step = rho > 0.045f * squared ? -0.045f : rho < -0.045f * squared ? 0.045f : step;
    float divergence1 = at.p11[i] + at.p12[i], divergence2 = at.p21[i] + at.p22[i];
    if (x > 0) divergence1 -= at.p11[i - 1], divergence2 -= at.p21[i - 1];
    if (y > 0) divergence1 -= at.p12[i - width], divergence2 -= at.p22[i - width];
    const float new1 = u1 + step * ix + 0.3f * divergence1;
    const float new2 = u2 + step * iy + 0.3f * divergence2;
    at.u1[i] = new1;
    at.u2[i] = new2;
    if (with_error) at.error[i] = (u1 - new1) * (u1 - new1) + (u2 - new2) * (u2 - new2);
}

extern "C" __global__ void dual(float *memory, int height, int width)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Planes at = planes_of(memory, height, width);
    const int i = y * width + x;
    const int right = x + 1 < width ? i + 1 : i, below = y + 1 < height ? i + width : i;
    const float taut = 0.8333333f;
    const float dx1 = at.u1[right] - at.u1[i], dy1 = at.u1[below] - at.u1[i];
    const float dx2 = at.u2[right] - at.u2[i], dy2 = at.u2[below] - at.u2[i];
    const float norm1 = 1.0f + taut * sqrtf(dx1 * dx1 + dy1 * dy1);
    const float norm2 = 1.0f + taut * sqrtf(dx2 * dx2 + dy2 * dy2);
    at.p11[i] = (at.p11[i] + taut * dx1) / norm1;
    at.p12[i] = (at.p12[i] + taut * dy1) / norm1;
    at.p21[i] = (at.p21[i] + taut * dx2) / norm2;
    at.p22[i] = (at.p22[i] + taut * dy2) / norm2;
}

extern "C" __global__ void add_up(float *memory, int height, int width, double *sum)
{
    const Planes at = planes_of(memory, height, width);
    double mine = 0.0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < height * width;
         i += gridDim.x * blockDim.x)
        mine += at.error[i];
    atomicAdd(sum, mine);
}
