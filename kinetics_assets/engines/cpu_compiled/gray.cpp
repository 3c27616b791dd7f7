// BGR frame -> grey frame of another size: the compiled twin of ../gray.py and ../linear.py, bit by
// bit. All arithmetic is that of integers, so no option of the compiler changes it.
//
// Why it is fast: no frame is written between the steps. A source row is turned grey and stretched
// when the first target row needs it, and both rows that a target row lies between are kept.

#include <cstdint>
#include <utility>
#ifdef __SSSE3__
#include <immintrin.h>
#endif

namespace {

constexpr int BLUE = 3735, GREEN = 19235, RED = 9798;  // in 1 / 32768

// Rounded half up.
void luma_row(const std::uint8_t* __restrict bgr, int width, std::uint8_t* __restrict gray) {
    int x = 0;
#ifdef __SSSE3__
    // four pixels from sixteen bytes: pairs of blue and green, pairs of red and one half
    const __m128i blue_green =
        _mm_setr_epi8(0, -1, 1, -1, 3, -1, 4, -1, 6, -1, 7, -1, 9, -1, 10, -1);
    const __m128i red = _mm_setr_epi8(2, -1, -1, -1, 5, -1, -1, -1, 8, -1, -1, -1, 11, -1, -1, -1);
    const __m128i one = _mm_set1_epi32(1 << 16);
    const __m128i shares = _mm_set1_epi32(GREEN << 16 | BLUE);
    const __m128i red_share = _mm_set1_epi32((1 << 14) << 16 | RED);
    const auto four = [&](const std::uint8_t* at) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i two = _mm_madd_epi16(_mm_shuffle_epi8(bytes, blue_green), shares);
        const __m128i rest = _mm_or_si128(_mm_shuffle_epi8(bytes, red), one);
        return _mm_srli_epi32(_mm_add_epi32(two, _mm_madd_epi16(rest, red_share)), 15);
    };
    // the last load ends four bytes behind the sixteenth pixel
    for (; x + 18 <= width; x += 16) {
        const std::uint8_t* at = bgr + 3 * x;
        const __m128i low = _mm_packs_epi32(four(at), four(at + 12));
        const __m128i high = _mm_packs_epi32(four(at + 24), four(at + 36));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(gray + x), _mm_packus_epi16(low, high));
    }
#endif
    for (; x < width; ++x) {
        const int sum = BLUE * bgr[3 * x] + GREEN * bgr[3 * x + 1] + RED * bgr[3 * x + 2];
        gray[x] = static_cast<std::uint8_t>((sum + (1 << 14)) >> 15);
    }
}

// Pixel `first` of a row and the one behind it, with their shares in 1 / 2048, in 1 / 128 of a
// level. Where both are one pixel the second's share is 0. Up to three bytes behind the row
// are read.
void stretch_row(const std::uint8_t* __restrict gray, int width, const std::int32_t* first,
                 const std::int32_t* first_share, const std::int32_t* second_share,
                 std::int32_t* __restrict row) {
    int x = 0;
#ifdef __AVX2__
    const auto eight = [](const std::int32_t* at) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    };
    const __m256i pairs = _mm256_setr_epi8(
        0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1,
        0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1);
    for (; x + 8 <= width; x += 8) {
        const __m256i shares = _mm256_or_si256(
            eight(first_share + x), _mm256_slli_epi32(eight(second_share + x), 16));
        const __m256i bytes =
            _mm256_i32gather_epi32(reinterpret_cast<const int*>(gray), eight(first + x), 1);
        const __m256i sums = _mm256_madd_epi16(_mm256_shuffle_epi8(bytes, pairs), shares);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + x), _mm256_srli_epi32(sums, 4));
    }
#endif
    for (; x < width; ++x) {
        const std::uint8_t* at = gray + first[x];
        row[x] = (at[0] * first_share[x] + at[1] * second_share[x]) >> 4;
    }
}

void mix_rows(const std::int32_t* __restrict upper, const std::int32_t* __restrict lower,
              int width, int upper_share, int lower_share, std::uint8_t* __restrict target) {
    for (int x = 0; x < width; ++x) {
        const int above = (upper[x] * upper_share) >> 16, below = (lower[x] * lower_share) >> 16;
        target[x] = static_cast<std::uint8_t>((above + below + 2) >> 2);
    }
}

}  // namespace

extern "C" {

// Fills `gray` (height, width) from `bgr`, whose rows begin `pitch` bytes apart.
void kinetics_luma(const std::uint8_t* bgr, std::int64_t pitch, int height, int width,
                   std::uint8_t* gray) {
    for (int y = 0; y < height; ++y) {
        luma_row(bgr + y * pitch, width, gray + static_cast<std::int64_t>(y) * width);
    }
}

// Fills `target` (target_height, target_width). `across` and `down` are (4, target_width) and
// (4, target_height): both source indices of each target pixel, then their shares; `line` has room
// for a grey source row and a margin of four bytes, `rows` for two stretched rows.
void kinetics_gray(const std::uint8_t* bgr, std::int64_t pitch, int width,
                   std::uint8_t* target, int target_height, int target_width,
                   const std::int32_t* across, const std::int32_t* down,
                   std::uint8_t* line, std::int32_t* rows) {
    std::int32_t* kept[2] = {rows, rows + target_width};
    int source[2] = {-1, -1};
    const auto fill = [&](int slot, int wanted) {
        luma_row(bgr + wanted * pitch, width, line);
        stretch_row(line, target_width, across, across + 2 * target_width,
                    across + 3 * target_width, kept[slot]);
        source[slot] = wanted;
    };
    for (int y = 0; y < target_height; ++y) {
        const int above = down[y], below = down[target_height + y];
        if (source[0] != above && source[1] == above) {
            std::swap(kept[0], kept[1]);
            std::swap(source[0], source[1]);
        }
        if (source[0] != above) fill(0, above);
        if (above != below && source[1] != below) fill(1, below);
        mix_rows(kept[0], above == below ? kept[0] : kept[1], target_width,
                 down[2 * target_height + y], down[3 * target_height + y],
                 target + static_cast<std::int64_t>(y) * target_width);
    }
}
}
