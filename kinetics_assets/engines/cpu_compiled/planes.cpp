// Planes of a decoded frame -> planes of a JPEG picture: the compiled twin of ../planes.py, bit by
// bit. All arithmetic is that of integers, so no option of the compiler changes it.
//
// Why it is fast: a target row is averaged from its source rows, then across, and put to its range
// while it is in the nearest cache; nothing as large as the frame is written on the way.

#include "picture.h"
#include "vectors.h"

#include <cstdint>
#include <cstring>

namespace {

inline std::uint8_t level_of(int value) {
    return static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

constexpr int EIGHT = 8;  // pixels that are made at once

// Target pixels of a row: the first source pixel of each, and the shares of `taps` of them.
struct Axis {
    const std::int32_t* first;
    const std::int16_t* shares;  // in 1 / 16384; they sum to the gain
    const std::uint8_t* picks;   // of four: their bytes, from the first of a pair of pixels on
    int taps;
};

// Levels: (value - black) * gain / 16384 + neutral, rounded half up.
struct Levels {
    int black, gain, neutral;
};

// One source row, which keeps its width.
void level_row(const std::uint8_t* row, int width, Levels levels, std::uint8_t* target) {
    const __m256i black = _mm256_set1_epi16(levels.black), gain = _mm256_set1_epi16(levels.gain);
    const __m256i neutral = _mm256_set1_epi16(levels.neutral);
    const auto sixteen = [&](const std::uint8_t* at) {
        const __m256i value = _mm256_sub_epi16(_mm256_cvtepu8_epi16(load_half(at)), black);
        // the product is rounded to 1 / 32768, so twice the value
        const __m256i scaled = _mm256_mulhrs_epi16(_mm256_slli_epi16(value, 1), gain);
        return _mm256_add_epi16(scaled, neutral);
    };
    int x = 0;
    for (; x + 32 <= width; x += 32) {
        const __m256i packed = _mm256_packus_epi16(sixteen(row + x), sixteen(row + x + 16));
        store(target + x, _mm256_permute4x64_epi64(packed, 0xD8));
    }
    for (; x < width; ++x) {
        const int scaled = ((row[x] - levels.black) * levels.gain + (1 << 13)) >> 14;
        target[x] = level_of(scaled + levels.neutral);
    }
}

// The mean of some source rows, less 128, in 1 / 256 of a level. `shares` sum to 256; with one row
// they are not read. TAPS, where it is not 0, is `taps`, known when this is compiled.
template <int TAPS>
void mean_row(const std::uint8_t* rows, std::int64_t pitch, int width, const std::uint8_t* shares,
              int taps, std::int16_t* target) {
    if (TAPS) taps = TAPS;
    constexpr int SIDE = 32;
    const __m256i sign = _mm256_set1_epi8(-128);
    const auto thirty_two = [&](int x) {
        // a frame just decoded is in no near cache; so many rows on are those of the next call
        if (x % 64 == 0) {
            for (int tap = taps; tap < 2 * taps; ++tap) {
                _mm_prefetch(reinterpret_cast<const char*>(rows + tap * pitch + x), _MM_HINT_T0);
            }
        }
        __m256i low = _mm256_setzero_si256(), high = low;
        for (int tap = 0; tap < taps; tap += 2) {
            const std::uint8_t* at = rows + tap * pitch + x;
            const bool is_pair = tap + 1 < taps;
            const int pair = (is_pair ? shares[tap + 1] << 8 : 0) | shares[tap];
            const __m256i both = _mm256_set1_epi16(static_cast<std::int16_t>(pair));
            const __m256i one = _mm256_xor_si256(load(at), sign);
            const __m256i two = is_pair ? _mm256_xor_si256(load(at + pitch), sign) : one;
            const auto plus = [&](__m256i sum, __m256i levels) {
                return _mm256_add_epi16(sum, _mm256_maddubs_epi16(both, levels));
            };
            low = plus(low, _mm256_unpacklo_epi8(one, two));
            high = plus(high, _mm256_unpackhi_epi8(one, two));
        }
        store(target + x, _mm256_permute2x128_si256(low, high, 0x20));
        store(target + x + 16, _mm256_permute2x128_si256(low, high, 0x31));
    };
    int x = 0;
    if (taps > 1 && width >= SIDE) {
        for (; x + SIDE <= width; x += SIDE) thirty_two(x);
        if (x < width) thirty_two(width - SIDE);
        return;
    }
    for (; x < width; ++x) {
        int sum = taps == 1 ? 256 * (rows[x] - 128) : 0;
        for (int tap = 0; taps > 1 && tap < taps; ++tap) {
            sum += (rows[tap * pitch + x] - 128) * shares[tap];
        }
        target[x] = static_cast<std::int16_t>(sum);
    }
}

using MeanRow = void (*)(const std::uint8_t*, std::int64_t, int, const std::uint8_t*, int,
                         std::int16_t*);

MeanRow mean_row_of(int taps) {
    switch (taps) {
        case 1: return mean_row<1>;
        case 2: return mean_row<2>;
        case 3: return mean_row<3>;
        case 4: return mean_row<4>;
        case 5: return mean_row<5>;
        case 6: return mean_row<6>;
        default: return mean_row<0>;
    }
}

// Eight target pixels, each the sum of its taps: TAPS, or if that is 0 some multiple of eight.
template <int TAPS>
__m256i eight_sums(const std::int16_t* line, Axis axis, int x) {
    const std::int32_t* first = axis.first + x;
    if (TAPS == 4) {
        const auto pair = [&](int at) { return load_half(line + first[at]); };
        const auto four = [&](int at) {  // two partial sums each of four target pixels
            const __m256i pixels =
                _mm256_inserti128_si256(_mm256_castsi128_si256(pair(at)), pair(at + 2), 1);
            const __m256i picked = _mm256_shuffle_epi8(pixels, load(axis.picks + 8 * (x + at)));
            return _mm256_madd_epi16(picked, load(axis.shares + 4 * (x + at)));
        };
        return _mm256_permute4x64_epi64(_mm256_hadd_epi32(four(0), four(4)), 0xD8);
    }
    const auto two = [&](int at) {  // four partial sums each of two target pixels
        const int taps = TAPS ? TAPS : axis.taps;
        const std::int16_t* shares = axis.shares + (x + at) * taps;
        const auto pixels_of = [&](int tap) {
            return _mm256_inserti128_si256(
                _mm256_castsi128_si256(load_half(line + first[at] + tap)),
                load_half(line + first[at + 1] + tap), 1);
        };
        if (TAPS == EIGHT) return _mm256_madd_epi16(pixels_of(0), load(shares));
        __m256i sums = _mm256_setzero_si256();
        for (int tap = 0; tap < taps; tap += EIGHT) {
            const __m256i both = _mm256_inserti128_si256(
                _mm256_castsi128_si256(load_half(shares + tap)),
                load_half(shares + taps + tap), 1);
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pixels_of(tap), both));
        }
        return sums;
    };
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(two(0), two(2)),
                                           _mm256_hadd_epi32(two(4), two(6)));
    return _mm256_permutevar8x32_epi32(sums, order);
}

// A target row from `line`, as `mean_row` gives it. As many pixels behind it are read as there are
// taps.
template <int TAPS>
void narrow_row(const std::int16_t* line, Axis axis, int width, int offset, std::uint8_t* target) {
    const __m256i add = _mm256_set1_epi32(offset);
    // targets and axes have room up to a multiple of eight
    for (int x = 0; x < width; x += EIGHT) {
        const __m256i sums = _mm256_add_epi32(eight_sums<TAPS>(line, axis, x), add);
        const __m256i value = _mm256_srai_epi32(sums, 22);
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(value),
                                              _mm256_extracti128_si256(value, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(target + x), _mm_packus_epi16(words, words));
    }
}

}  // namespace

extern "C" {

// Fills the upper left (height, width) of `target`, whose rows begin `target_pitch` bytes apart,
// and repeats its last column and row up to (full_height, target_pitch). `down_shares` is (height,
// down_taps), `across_shares` (width up to a multiple of eight, across_taps), as `across_first`;
// across_taps is 4, with `across_picks` (that width, 8), or a multiple of eight. `across_offset` is
// added to their sums, in 1 / 2^22 of a level. Without taps the plane keeps its size. `line` has
// room for a source row, across_taps and eight.
void kinetics_plane(const std::uint8_t* source, std::int64_t pitch, int source_width,
                    std::uint8_t* target, std::int64_t target_pitch, int height, int width,
                    int full_height, int black, int gain, int neutral, int across_offset,
                    const std::int32_t* down_first, const std::uint8_t* down_shares, int down_taps,
                    const std::int32_t* across_first, const std::int16_t* across_shares,
                    const std::uint8_t* across_picks, int across_taps, std::int16_t* line) {
    const Levels levels{black, gain, neutral};
    const MeanRow mean = mean_row_of(down_taps);
    const auto narrow = across_taps == 4 ? narrow_row<4>
                        : across_taps == 8 ? narrow_row<8> : narrow_row<0>;
    for (int y = 0; y < height; ++y) {
        std::uint8_t* row = target + y * target_pitch;
        if (down_taps == 0) {
            level_row(source + y * pitch, width, levels, row);
        } else {
            mean(source + down_first[y] * pitch, pitch, source_width,
                 down_shares + static_cast<std::int64_t>(y) * down_taps, down_taps, line);
            narrow(line, {across_first, across_shares, across_picks, across_taps}, width,
                   across_offset, row);
        }
        std::memset(row + width, row[width - 1], target_pitch - width);
    }
    for (int y = height; y < full_height; ++y) {
        std::memcpy(target + y * target_pitch, target + (height - 1) * target_pitch, target_pitch);
    }
}

// Turns planes into those of another matrix, in place: (height, pitch) of colour, twice that of
// luma. `shares` are six, in 1 / 16384: of blue and red in luma, in blue and in red.
void kinetics_matrix(std::uint8_t* luma, std::uint8_t* blue, std::uint8_t* red, std::int64_t pitch,
                     int height, const std::int32_t* shares, std::int16_t* line) {
    for (int y = 0; y < height; ++y) {
        std::uint8_t *__restrict u = blue + y * pitch, *__restrict v = red + y * pitch;
        std::int16_t* __restrict add = line;
        for (int x = 0; x < pitch; ++x) {
            const int b = u[x] - 128, r = v[x] - 128, half = 1 << 13;
            add[x] = static_cast<std::int16_t>((shares[0] * b + shares[1] * r + half) >> 14);
            u[x] = level_of(((shares[2] * b + shares[3] * r + half) >> 14) + 128);
            v[x] = level_of(((shares[4] * b + shares[5] * r + half) >> 14) + 128);
        }
        for (int half = 0; half < 2; ++half) {
            std::uint8_t* __restrict row = luma + (2 * y + half) * 2 * pitch;
            for (int x = 0; x < pitch; ++x) {
                row[2 * x] = level_of(row[2 * x] + add[x]);
                row[2 * x + 1] = level_of(row[2 * x + 1] + add[x]);
            }
        }
    }
}
}
