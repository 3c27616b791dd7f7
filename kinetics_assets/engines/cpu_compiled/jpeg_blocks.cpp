// Pixels of a JPEG picture -> its quantised coefficients: those that libjpeg-turbo gives with its
// fast integer transform, bit by bit. That is the transform of Arai, Agui and Nakajima (1988) with
// constants in 1 / 256 and fractions dropped; division is rounded half up.
//
// Why it is fast: two blocks are transformed at once, and brought to zigzag order in registers.

#include "jpeg_blocks.h"
#include "vectors.h"

// Else the compiler hands eight registers on by way of memory.
#define INLINED inline __attribute__((always_inline))

namespace jpeg {
namespace {

constexpr int LARGEST = 1023;  // of the coefficients that baseline codes exist for

// What brings bytes of two rows, in natural order, to their places among sixteen in zigzag order.
struct Places {
    alignas(32) std::int8_t from[AREA / 16][AREA / 16][32];  // [zigzag][natural], each lane alike
};

constexpr Places places() {
    Places found{};
    for (int to = 0; to < AREA / 16; ++to) {
        for (int from = 0; from < AREA / 16; ++from) {
            for (int i = 0; i < 32; ++i) {
                const int natural = ZIGZAG.natural[16 * to + i % 16];
                found.from[to][from][i] =
                    static_cast<std::int8_t>(natural / 16 == from ? natural % 16 : -1);
            }
        }
    }
    return found;
}

constexpr Places PLACES = places();

// Across registers, in every lane: one of the two passes.
INLINED void transform(__m256i v[SIDE]) {
    const auto times = [](__m256i value, int factor) {  // factor in 1 / 256, below 2
        return _mm256_mulhi_epi16(_mm256_slli_epi16(value, 2), _mm256_set1_epi16(factor << 6));
    };
    const auto plus = [](__m256i a, __m256i b) { return _mm256_add_epi16(a, b); };
    const auto minus = [](__m256i a, __m256i b) { return _mm256_sub_epi16(a, b); };
    constexpr int COS_4 = 181, COS_6 = 98, DIFFERENCE = 139, SUM = 334;

    const __m256i s0 = plus(v[0], v[7]), s1 = plus(v[1], v[6]), s2 = plus(v[2], v[5]);
    const __m256i s3 = plus(v[3], v[4]), d0 = minus(v[0], v[7]), d1 = minus(v[1], v[6]);
    const __m256i d2 = minus(v[2], v[5]), d3 = minus(v[3], v[4]);

    const __m256i outer = plus(s0, s3), outer_less = minus(s0, s3);
    const __m256i inner = plus(s1, s2), inner_less = minus(s1, s2);
    const __m256i even = times(plus(inner_less, outer_less), COS_4);
    v[0] = plus(outer, inner);
    v[4] = minus(outer, inner);
    v[2] = plus(outer_less, even);
    v[6] = minus(outer_less, even);

    const __m256i a = plus(d3, d2), b = plus(d2, d1), c = plus(d1, d0);
    const __m256i turn = times(minus(a, c), COS_6), middle = times(b, COS_4);
    const __m256i low = plus(times(a, DIFFERENCE), turn), high = plus(times(c, SUM), turn);
    const __m256i near = plus(d0, middle), far = minus(d0, middle);
    v[5] = plus(far, low);
    v[3] = minus(far, low);
    v[1] = plus(near, high);
    v[7] = minus(near, high);
}

// 8 x 8 in each half of the registers.
INLINED void transpose(__m256i v[SIDE]) {
    __m256i pairs[SIDE], quads[SIDE];
    for (int i = 0; i < 4; ++i) {
        pairs[2 * i] = _mm256_unpacklo_epi16(v[2 * i], v[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_epi16(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 2; ++j) {
            quads[4 * i + 2 * j] = _mm256_unpacklo_epi32(pairs[4 * i + j], pairs[4 * i + j + 2]);
            quads[4 * i + 2 * j + 1] =
                _mm256_unpackhi_epi32(pairs[4 * i + j], pairs[4 * i + j + 2]);
        }
    }
    for (int i = 0; i < 4; ++i) {
        v[2 * i] = _mm256_unpacklo_epi64(quads[i], quads[i + 4]);
        v[2 * i + 1] = _mm256_unpackhi_epi64(quads[i], quads[i + 4]);
    }
}

INLINED bool quantised(__m256i v[SIDE], Steps steps, Block out[2]) {
    transpose(v);
    transform(v);
    transpose(v);
    transform(v);
    // levels are by 128 too large: a sum of 64 of them shows it, no difference does
    const __m256i not_dc = _mm256_set1_epi64x(-65536), every = _mm256_set1_epi64x(-1);
    const __m256i first = _mm256_unpacklo_epi64(not_dc, every);
    v[0] = _mm256_sub_epi16(v[0], _mm256_andnot_si256(first, _mm256_set1_epi16(AREA * 128)));
    __m256i largest = _mm256_setzero_si256(), dc_size = largest;
    for (int row = 0; row < SIDE; ++row) {
        const auto of = [&](int table) {
            return _mm256_broadcastsi128_si256(load_half(steps + table * AREA + SIDE * row));
        };
        __m256i value = _mm256_add_epi16(_mm256_abs_epi16(v[row]), of(1));
        value = _mm256_mulhi_epu16(_mm256_mulhi_epu16(value, of(0)), of(2));
        if (row == 0) {
            dc_size = value;
            largest = _mm256_and_si256(value, first);
        } else {
            largest = _mm256_max_epi16(largest, value);
        }
        v[row] = _mm256_sign_epi16(value, v[row]);
    }
    const __m256i limit = _mm256_set1_epi16(LARGEST);
    if (!_mm256_testz_si256(
            _mm256_cmpgt_epi16(_mm256_max_epi16(largest, dc_size), limit), limit)) {
        return false;
    }
    out[0].dc = static_cast<std::int16_t>(_mm256_extract_epi16(v[0], 0));
    out[1].dc = static_cast<std::int16_t>(_mm256_extract_epi16(v[0], 8));
    const __m256i large = _mm256_set1_epi16(LARGE - 1);
    if (!_mm256_testz_si256(_mm256_cmpgt_epi16(largest, large), large)) {
        for (int row = 0; row < SIDE; ++row) {
            store_half(out[0].words + SIDE * row, _mm256_castsi256_si128(v[row]));
            store_half(out[1].words + SIDE * row, _mm256_extracti128_si256(v[row], 1));
        }
    }
    __m256i natural[AREA / 16];
    for (int i = 0; i < AREA / 16; ++i) {
        const __m256i bytes = _mm256_packs_epi16(v[2 * i], v[2 * i + 1]);
        natural[i] = _mm256_max_epi8(bytes, _mm256_set1_epi8(-LARGE));
    }
    std::uint64_t mask[2] = {0, 0};
    for (int to = 0; to < AREA / 16; ++to) {
        __m256i found = _mm256_setzero_si256();
        for (int from = 0; from < AREA / 16; ++from) {
            const __m256i moved = _mm256_shuffle_epi8(natural[from], load(PLACES.from[to][from]));
            found = _mm256_or_si256(found, moved);
        }
        store_half(out[0].bytes + 16 * to, _mm256_castsi256_si128(found));
        store_half(out[1].bytes + 16 * to, _mm256_extracti128_si256(found, 1));
        const std::uint32_t is_set = ~static_cast<std::uint32_t>(
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(found, _mm256_setzero_si256())));
        mask[0] |= static_cast<std::uint64_t>(is_set & 0xFFFF) << 16 * to;
        mask[1] |= static_cast<std::uint64_t>(is_set >> 16) << 16 * to;
    }
    for (int i = 0; i < 2; ++i) {
        out[i].mask = mask[i] & ~std::uint64_t{1};
        out[i].bytes[AREA] = END;
    }
    return true;
}

}  // namespace

bool quantised(const std::uint8_t* at, std::int64_t pitch, Steps steps, Block out[2]) {
    __m256i v[SIDE];
    for (int row = 0; row < SIDE; ++row) v[row] = _mm256_cvtepu8_epi16(load_half(at + row * pitch));
    return quantised(v, steps, out);
}

bool quantised(const std::uint8_t* blue, const std::uint8_t* red, std::int64_t pitch, Steps steps,
               Block out[2]) {
    __m256i v[SIDE];
    for (int row = 0; row < SIDE; ++row) {
        const auto eight = [&](const std::uint8_t* plane) {
            return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(plane + row * pitch));
        };
        v[row] = _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(eight(blue), eight(red)));
    }
    return quantised(v, steps, out);
}

}  // namespace jpeg
