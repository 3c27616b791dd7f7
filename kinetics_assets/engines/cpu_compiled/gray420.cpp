// Planes of a decoded 4:2:0 frame -> grey frame of another size, without a colour picture between:
// bit by bit what libswscale's conversion to BGR (its vector code, for frames of an even height)
// and then gray.cpp give. All arithmetic is that of integers, so no compiler option changes it.
//
// Why it is fast: a source row that no target row reads is not converted, nothing as large as the
// frame is written between the steps, 16 bits are enough for each of them, and rows are asked for
// before they are needed: no processor guesses which ones are left out.

#include "vectors.h"

#include <cstdint>
#include <cstring>
#include <utility>

namespace {

// Eighths of a level are multiplied by these and cut to levels: products / 65536, rounded down.
struct Factors {
    std::int16_t black;  // in eighths of a level
    std::int16_t luma, red_of_red, blue_of_blue, green_of_blue, green_of_red;
};

struct Frame {
    const std::uint8_t* luma;
    std::int64_t luma_pitch;
    const std::uint8_t* blue;
    std::int64_t blue_pitch;
    const std::uint8_t* red;
    std::int64_t red_pitch;
    int width;
};

constexpr int BLOCK = 32;         // pixels that are made at once
constexpr int LINE = 64;          // bytes that come from memory at once
constexpr int NEUTRAL = 8 * 128;  // no colour, in eighths of a level

inline int level_of(int value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

// What `luma_rows` does, for one pixel.
std::uint8_t luma_of(int luma, int blue, int red, const Factors& by) {
    const int u = 8 * blue - NEUTRAL, v = 8 * red - NEUTRAL;
    const int y = ((8 * luma - by.black) * by.luma) >> 16;
    const int b = level_of(y + ((u * by.blue_of_blue) >> 16));
    const int g = level_of(y + ((u * by.green_of_blue) >> 16) + ((v * by.green_of_red) >> 16));
    const int r = level_of(y + ((v * by.red_of_red) >> 16));
    return static_cast<std::uint8_t>((3735 * b + 19235 * g + 9798 * r + (1 << 14)) >> 15);
}

inline void ask_for(const std::uint8_t* at) {
    _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0);
}

// Rows `first` to `first` + ROWS - 1, which share their colour, in grey, rounded half up. As many
// from `next` on are wanted soon.
template <int ROWS>
void luma_rows(const Frame& frame, int first, int next, const Factors& by,
               std::uint8_t* const* gray) {
    const std::uint8_t* next_luma = frame.luma + next * frame.luma_pitch;
    const std::uint8_t* next_blue = frame.blue + (next >> 1) * frame.blue_pitch;
    const std::uint8_t* next_red = frame.red + (next >> 1) * frame.red_pitch;
    const std::uint8_t* luma = frame.luma + first * frame.luma_pitch;
    const std::uint8_t* blue = frame.blue + (first >> 1) * frame.blue_pitch;
    const std::uint8_t* red = frame.red + (first >> 1) * frame.red_pitch;
    const __m256i black = _mm256_set1_epi16(by.black), gain = _mm256_set1_epi16(by.luma);
    const __m256i neutral = _mm256_set1_epi16(NEUTRAL), low_bytes = _mm256_set1_epi16(255);
    const __m256i red_of_red = _mm256_set1_epi16(by.red_of_red);
    const __m256i blue_of_blue = _mm256_set1_epi16(by.blue_of_blue);
    const __m256i green_of_blue = _mm256_set1_epi16(by.green_of_blue);
    const __m256i green_of_red = _mm256_set1_epi16(by.green_of_red);
    // the shares of blue, green and red, 3735, 19235 and 9798 of 32768, as 256 times one byte plus
    // another, and one half; no sum of products leaves 16 bits
    const __m256i one = _mm256_set1_epi8(1);
    const __m256i bg_high = _mm256_set1_epi16(75 << 8 | 15);
    const __m256i bg_low = _mm256_set1_epi16(35 << 8 | (-105 & 255));
    const __m256i r_high = _mm256_set1_epi16(64 << 8 | 38), r_low = _mm256_set1_epi16(70);
    const auto shade = [&](__m256i blue_green, __m256i red_one) {
        const __m256i high = _mm256_add_epi16(_mm256_maddubs_epi16(blue_green, bg_high),
                                              _mm256_maddubs_epi16(red_one, r_high));
        const __m256i low = _mm256_add_epi16(_mm256_maddubs_epi16(blue_green, bg_low),
                                             _mm256_maddubs_epi16(red_one, r_low));
        return _mm256_srli_epi16(_mm256_add_epi16(high, _mm256_srai_epi16(low, 8)), 7);
    };
    const auto block = [&](int x) {
        const auto colour = [&](const std::uint8_t* row) {
            const __m256i value = _mm256_cvtepu8_epi16(load_half(row + x / 2));
            return _mm256_sub_epi16(_mm256_slli_epi16(value, 3), neutral);
        };
        if (x % LINE == 0) {
            for (int row = 0; row < ROWS; ++row) ask_for(next_luma + row * frame.luma_pitch + x);
            ask_for(x % (2 * LINE) ? next_red + x / 2 : next_blue + x / 2);
        }
        const __m256i u = colour(blue), v = colour(red);
        const __m256i r = _mm256_mulhi_epi16(v, red_of_red);
        const __m256i b = _mm256_mulhi_epi16(u, blue_of_blue);
        const __m256i g = _mm256_add_epi16(_mm256_mulhi_epi16(u, green_of_blue),
                                           _mm256_mulhi_epi16(v, green_of_red));
        for (int row = 0; row < ROWS; ++row) {
            const __m256i pixels = load(luma + row * frame.luma_pitch + x);
            const auto bright = [&](__m256i value) {
                const __m256i eighths = _mm256_sub_epi16(_mm256_slli_epi16(value, 3), black);
                return _mm256_mulhi_epi16(eighths, gain);
            };
            const __m256i even = bright(_mm256_and_si256(pixels, low_bytes));
            const __m256i odd = bright(_mm256_srli_epi16(pixels, 8));
            const auto channel = [&](__m256i part) {
                return _mm256_packus_epi16(_mm256_add_epi16(even, part),
                                           _mm256_add_epi16(odd, part));
            };
            const __m256i blues = channel(b), greens = channel(g), reds = channel(r);
            const __m256i evens = shade(_mm256_unpacklo_epi8(blues, greens),
                                        _mm256_unpacklo_epi8(reds, one));
            const __m256i odds = shade(_mm256_unpackhi_epi8(blues, greens),
                                       _mm256_unpackhi_epi8(reds, one));
            store(gray[row] + x, _mm256_or_si256(evens, _mm256_slli_epi16(odds, 8)));
        }
    };
    int x = 0;
    for (; x + BLOCK <= frame.width; x += BLOCK) block(x);
    if (x < frame.width && frame.width >= BLOCK) {
        // the last block again, a little later; it begins where colour does
        const int last = (frame.width - BLOCK) & ~1;
        block(last);
        x = last + BLOCK;
    }
    for (; x < frame.width; ++x) {
        for (int row = 0; row < ROWS; ++row) {
            gray[row][x] = luma_of(luma[row * frame.luma_pitch + x], blue[x / 2], red[x / 2], by);
        }
    }
}

// How rows are stretched: the shares, in 1 / 2048, of the two pixels that each target pixel is made
// of. They are found in groups of four target pixels: where a group begins to read, and which of
// the sixteen bytes there it takes. Where four reach further, `bytes` is null, and `first` has the
// first pixel of each.
struct Stretch {
    const std::int32_t* first;
    const std::uint8_t* bytes;
    const std::int16_t* shares;
    int pixels;  // a multiple of sixteen
};

// In 1 / 128 of a level. Up to sixteen bytes behind the row are read, and do not count.
void stretch_row(const std::uint8_t* gray, const Stretch& by, std::int16_t* row) {
    const auto shared = [&](__m256i pairs, int x) {
        return _mm256_srli_epi32(_mm256_madd_epi16(pairs, load(by.shares + 2 * x)), 4);
    };
    const auto near = [&](int x) {
        const std::int32_t* first = by.first + x / 4;
        const __m256i read = _mm256_inserti128_si256(
            _mm256_castsi128_si256(load_half(gray + first[0])), load_half(gray + first[1]), 1);
        return shared(_mm256_shuffle_epi8(read, load(by.bytes + 4 * x)), x);
    };
    const __m256i two_of_four = _mm256_setr_epi8(
        0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1,
        0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
    const auto far = [&](int x) {
        const int* from = reinterpret_cast<const int*>(gray);
        const __m256i read = _mm256_i32gather_epi32(from, load(by.first + x), 1);
        return shared(_mm256_shuffle_epi8(read, two_of_four), x);
    };
    for (int x = 0; x < by.pixels; x += 16) {
        const __m256i packed = by.bytes ? _mm256_packs_epi32(near(x), near(x + 8))
                                        : _mm256_packs_epi32(far(x), far(x + 8));
        store(row + x, _mm256_permute4x64_epi64(packed, 0xD8));
    }
}

void mix_rows(const std::int16_t* upper, const std::int16_t* lower, int width, int upper_share,
              int lower_share, std::uint8_t* target) {
    const __m256i above = _mm256_set1_epi16(upper_share), below = _mm256_set1_epi16(lower_share);
    const __m256i half = _mm256_set1_epi16(2);
    const auto sixteen = [&](int x) {
        const __m256i sum = _mm256_add_epi16(_mm256_mulhi_epi16(load(upper + x), above),
                                             _mm256_mulhi_epi16(load(lower + x), below));
        return _mm256_srli_epi16(_mm256_add_epi16(sum, half), 2);
    };
    const auto mixed = [&](int x) {
        const __m256i packed = _mm256_packus_epi16(sixteen(x), sixteen(x + 16));
        return _mm256_permute4x64_epi64(packed, 0xD8);
    };
    int x = 0;
    for (; x + 32 <= width; x += 32) store(target + x, mixed(x));
    if (x < width) {
        std::uint8_t rest[32];
        store(rest, mixed(x));
        std::memcpy(target + x, rest, width - x);
    }
}

}  // namespace

extern "C" {

// Fills `target` (height, frame.width), of the frame's size.
void kinetics_luma_420(const Frame* frame, const Factors* by, int height, std::uint8_t* target) {
    for (int y = 0; y < height; y += 2) {
        std::uint8_t* at = target + static_cast<std::int64_t>(y) * frame->width;
        std::uint8_t* const rows[2] = {at, at + frame->width};
        luma_rows<2>(*frame, y, y, *by, rows);
    }
}

// Fills `target` (target_height, target_width). `down` is (4, target_height): both source rows of
// each target row, then their shares. `lines` has room for two grey rows, `line_pitch` bytes apart,
// as wide as the frame and sixteen bytes wider; `rows` for two stretched rows of `row_pitch`
// numbers, 32 more than the target is wide.
void kinetics_gray_420(const Frame* frame, const Factors* by, std::uint8_t* target,
                       int target_height, int target_width, const Stretch* across,
                       const std::int32_t* down, std::uint8_t* lines, std::int64_t line_pitch,
                       std::int16_t* rows, std::int64_t row_pitch) {
    std::uint8_t* const line[2] = {lines, lines + line_pitch};
    std::int16_t* kept[2] = {rows, rows + row_pitch};
    int source[2] = {-1, -1};
    const auto keep = [&](int slot, int wanted, const std::uint8_t* gray) {
        stretch_row(gray, *across, kept[slot]);
        source[slot] = wanted;
    };
    for (int y = 0; y < target_height; ++y) {
        const int above = down[y], below = down[target_height + y];
        if (source[0] != above && source[1] == above) {
            std::swap(kept[0], kept[1]);
            std::swap(source[0], source[1]);
        }
        const int soon = y + 1 < target_height ? y + 1 : y;
        const int next_above = down[soon], next_below = down[target_height + soon];
        const bool wants_above = source[0] != above;
        const bool wants_below = above != below && source[1] != below;
        if (wants_above && wants_below && above + 1 == below && above % 2 == 0) {
            luma_rows<2>(*frame, above, next_above, *by, line);
            keep(0, above, line[0]);
            keep(1, below, line[1]);
        } else {
            if (wants_above) {
                luma_rows<1>(*frame, above, next_above, *by, line);
                keep(0, above, line[0]);
            }
            if (wants_below) {
                luma_rows<1>(*frame, below, next_below, *by, line);
                keep(1, below, line[0]);
            }
        }
        mix_rows(kept[0], above == below ? kept[0] : kept[1], target_width,
                 down[2 * target_height + y], down[3 * target_height + y],
                 target + static_cast<std::int64_t>(y) * target_width);
    }
}
}
