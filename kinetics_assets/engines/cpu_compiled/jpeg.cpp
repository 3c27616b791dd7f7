// Planes of a JPEG picture -> its bytes: those that libjpeg-turbo gives with its fast integer
// transform, bit by bit. That is the transform of Arai, Agui and Nakajima (1988) with constants in
// 1 / 256 and fractions dropped, division rounded half up, and baseline Huffman codes (ITU-T T.81).
//
// Why it is fast: two blocks are transformed at once, only coefficients that are not zero are
// visited, and bits are written without a branch; where 0xFF needs a zero behind it is looked up
// afterwards, 32 bytes at a time.

#include <cstdint>
#include <cstring>

#ifndef __AVX2__
#error "written for AVX2; libjpeg-turbo serves other processors"
#endif
#include <immintrin.h>

namespace {

constexpr int SIDE = 8, AREA = 64;
constexpr int LARGEST = 1023;  // of the coefficients that baseline codes exist for

struct ZigZag {
    std::uint8_t natural[AREA];           // zigzag place -> natural place
    std::uint64_t bits[SIDE][1 << SIDE];  // mask of one row -> mask of its zigzag places
};

constexpr ZigZag zigzag_tables() {
    ZigZag found{};
    int place[AREA] = {};
    int x = 0, y = 0;
    for (int at = 0; at < AREA; ++at) {
        found.natural[at] = static_cast<std::uint8_t>(SIDE * y + x);
        place[SIDE * y + x] = at;
        if ((x + y) % 2 == 0) {  // upwards to the right
            if (x == SIDE - 1) ++y;
            else if (y == 0) ++x;
            else { ++x; --y; }
        } else {
            if (y == SIDE - 1) ++x;
            else if (x == 0) ++y;
            else { --x; ++y; }
        }
    }
    for (int row = 0; row < SIDE; ++row) {
        for (int mask = 0; mask < 1 << SIDE; ++mask) {
            for (int column = 0; column < SIDE; ++column) {
                if (mask >> column & 1) {
                    found.bits[row][mask] |= std::uint64_t{1} << place[SIDE * row + column];
                }
            }
        }
    }
    return found;
}

constexpr ZigZag ZIGZAG = zigzag_tables();

inline __m256i load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
inline __m128i load_half(const void* at) {
    return _mm_loadu_si128(static_cast<const __m128i*>(at));
}
inline void store(void* at, __m256i value) {
    _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}

// Across registers, in every lane: one of the two passes.
void transform(__m256i v[SIDE]) {
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
void transpose(__m256i v[SIDE]) {
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

// What dividing by a quantiser's step takes, (3, 64): factors, what to add, shifts as factors.
using Steps = const std::uint16_t*;

struct Coefficients {
    alignas(32) std::int16_t block[2][AREA];
    std::uint64_t mask[2];  // of those that are not zero, in zigzag order
    bool is_small;          // all have codes
};

// Two blocks of levels less 128.
void quantised(__m256i v[SIDE], Steps steps, Coefficients& out) {
    transpose(v);
    transform(v);
    transpose(v);
    transform(v);
    __m256i largest = _mm256_setzero_si256();
    for (int row = 0; row < SIDE; ++row) {
        const auto of = [&](int table) {
            return _mm256_broadcastsi128_si256(load_half(steps + table * AREA + SIDE * row));
        };
        __m256i value = _mm256_add_epi16(_mm256_abs_epi16(v[row]), of(1));
        value = _mm256_mulhi_epu16(_mm256_mulhi_epu16(value, of(0)), of(2));
        largest = _mm256_max_epi16(largest, value);
        v[row] = _mm256_sign_epi16(value, v[row]);
        _mm_store_si128(reinterpret_cast<__m128i*>(out.block[0] + SIDE * row),
                        _mm256_castsi256_si128(v[row]));
        _mm_store_si128(reinterpret_cast<__m128i*>(out.block[1] + SIDE * row),
                        _mm256_extracti128_si256(v[row], 1));
    }
    const __m256i limit = _mm256_set1_epi16(LARGEST);
    out.is_small = _mm256_testz_si256(_mm256_cmpgt_epi16(largest, limit), limit);
    out.mask[0] = out.mask[1] = 0;
    for (int row = 0; row < SIDE; row += 2) {
        const __m256i bytes = _mm256_packs_epi16(v[row], v[row + 1]);
        const std::uint32_t found = ~static_cast<std::uint32_t>(
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())));
        for (int one = 0; one < 2; ++one) {
            const std::uint32_t both = found >> 16 * one;
            out.mask[one] |= ZIGZAG.bits[row][both & 255] | ZIGZAG.bits[row + 1][both >> 8 & 255];
        }
    }
}

// Bits to be written, the number of them in the low byte: codes by symbol, and whole entries, value
// behind code, of the small values with up to fifteen zeros before them.
struct Codes {
    const std::uint32_t *dc, *ac, *small;
};
constexpr int SMALL = 32;

// Bits in the order of the file, without the zeros behind 0xFF.
struct Bits {
    std::uint8_t* at;
    std::uint64_t kept = 0;
    unsigned used = 0;  // bits of `kept` that are not in whole bytes before `at`; below 8

    void put(std::uint64_t code, unsigned length) {  // at most 56 bits
        kept = kept << length | code;
        used += length;
        const std::uint64_t ordered = __builtin_bswap64(kept << (-used & 63));
        std::memcpy(at, &ordered, sizeof ordered);
        at += used >> 3;
        used &= 7;
    }

    void number(std::uint32_t entry, int value, int length) {  // with the code in front of it
        const std::uint32_t low = (value + (value >> 31)) & ((1u << length) - 1);
        put((entry >> 8) << length | low, static_cast<int>(entry & 255) + length);
    }
};

inline int length_of(int value) {
    const unsigned size = value < 0 ? -value : value;
    return size == 0 ? 0 : 32 - __builtin_clz(size);
}

void put_block(Bits& written, const std::int16_t* block, std::uint64_t mask, Codes codes, int& dc) {
    // in registers: what is written through a pointer to bytes may be anything
    Bits bits = written;
    const int step = block[0] - dc;
    dc = block[0];
    const int size = length_of(step);
    bits.number(codes.dc[size], step, size);
    unsigned before = 0;
    mask &= ~std::uint64_t{1};
    const auto next = [&](unsigned& zeros) {
        const unsigned place = __builtin_ctzll(mask);
        mask &= mask - 1;
        zeros = place - before - 1;
        before = place;
        return static_cast<int>(block[ZIGZAG.natural[place]]);
    };
    const auto one = [&](int value, unsigned zeros) {
        for (; zeros > 15; zeros -= 16) bits.put(codes.ac[0xF0] >> 8, codes.ac[0xF0] & 255);
        const int length = length_of(value);
        bits.number(codes.ac[zeros << 4 | length], value, length);
    };
    int left = __builtin_popcountll(mask);
    for (; left > 1; left -= 2) {
        unsigned zeros, more_zeros;
        const int value = next(zeros), other = next(more_zeros);
        const unsigned at = value + SMALL, other_at = other + SMALL;
        if ((at | other_at) < 2 * SMALL && (zeros | more_zeros) < 16) {
            const std::uint32_t first = codes.small[2 * SMALL * zeros + at];
            const std::uint32_t second = codes.small[2 * SMALL * more_zeros + other_at];
            bits.put(static_cast<std::uint64_t>(first >> 8) << (second & 255) | second >> 8,
                     (first & 255) + (second & 255));
        } else {
            one(value, zeros);
            one(other, more_zeros);
        }
    }
    if (left) {
        unsigned zeros;
        const int value = next(zeros);
        one(value, zeros);
    }
    if (before != AREA - 1) bits.put(codes.ac[0] >> 8, codes.ac[0] & 255);
    written = bits;
}

void put_empty(Bits& bits, Codes codes) {  // level as the block before it
    bits.put(codes.dc[0] >> 8, codes.dc[0] & 255);
    bits.put(codes.ac[0] >> 8, codes.ac[0] & 255);
}

// Copies and puts a zero behind each 0xFF. The target has room for 32 bytes more than needed.
std::uint8_t* stuffed(const std::uint8_t* from, const std::uint8_t* end, std::uint8_t* to) {
    const __m256i full = _mm256_set1_epi8(-1);
    while (from < end) {
        const __m256i bytes = load(from);
        const auto found = static_cast<std::uint32_t>(
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, full)));
        store(to, bytes);
        const std::int64_t left = end - from;
        const int upto = found ? __builtin_ctz(found) + 1 : 32;
        if (upto > left) return to + left;
        from += upto;
        to += upto;
        if (found) *to++ = 0;
    }
    return to;
}

}  // namespace

extern "C" {

// Writes the scan of a 4:2:0 picture (height, width) and the end marker to `out`; returns the
// number of bytes, or -1 for a picture of more than `room` bytes before its last row of groups, or
// one that needs longer codes than there are. Colour rows are `pitch` bytes, luma rows twice that,
// up to whole groups of 16 x 16. `steps` is (2, 3, 64), `codes` (2, 2, 256), `small` (2, 16, 64):
// luma before colour, DC before AC. `scratch` has room for a row of groups, `out` for `room` and
// two such rows, and 32 bytes more each.
std::int64_t kinetics_scan(const std::uint8_t* luma, const std::uint8_t* blue,
                           const std::uint8_t* red, std::int64_t pitch, int height, int width,
                           const std::uint16_t* steps, const std::uint32_t* codes,
                           const std::uint32_t* small, std::uint8_t* scratch, std::uint8_t* out,
                           std::int64_t room) {
    const Codes luma_codes{codes, codes + 256, small},
        colour_codes{codes + 512, codes + 768, small + 32 * SMALL};
    const int across = (width + 7) / 8, down = (height + 7) / 8;
    int dc[3] = {0, 0, 0};
    Coefficients found;
    __m256i v[SIDE];
    const __m256i middle = _mm256_set1_epi16(128);
    std::uint8_t* end = out;
    Bits bits{scratch};
    for (int top = 0; top < down; top += 2) {
        if (end - out > room) return -1;
        for (int left = 0; left < across; left += 2) {
            for (int lower = 0; lower < 2; ++lower) {
                if (top + lower >= down) {
                    put_empty(bits, luma_codes);
                    put_empty(bits, luma_codes);
                    continue;
                }
                const std::uint8_t* at = luma + SIDE * (top + lower) * 2 * pitch + SIDE * left;
                for (int row = 0; row < SIDE; ++row, at += 2 * pitch) {
                    v[row] = _mm256_sub_epi16(_mm256_cvtepu8_epi16(load_half(at)), middle);
                }
                quantised(v, steps, found);
                if (!found.is_small) return -1;
                put_block(bits, found.block[0], found.mask[0], luma_codes, dc[0]);
                if (left + 1 < across) {
                    put_block(bits, found.block[1], found.mask[1], luma_codes, dc[0]);
                } else {
                    put_empty(bits, luma_codes);
                }
            }
            const std::int64_t at = SIDE / 2 * (top * pitch + left);
            for (int row = 0; row < SIDE; ++row) {
                const auto eight = [&](const std::uint8_t* plane) {
                    return _mm_loadl_epi64(
                        reinterpret_cast<const __m128i*>(plane + at + row * pitch));
                };
                const __m128i both = _mm_unpacklo_epi64(eight(blue), eight(red));
                v[row] = _mm256_sub_epi16(_mm256_cvtepu8_epi16(both), middle);
            }
            quantised(v, steps + 3 * AREA, found);
            if (!found.is_small) return -1;
            put_block(bits, found.block[0], found.mask[0], colour_codes, dc[1]);
            put_block(bits, found.block[1], found.mask[1], colour_codes, dc[2]);
        }
        const bool is_last = top + 2 >= down;
        if (is_last && bits.used) bits.put((1u << (8 - bits.used)) - 1, 8 - bits.used);
        end = stuffed(scratch, bits.at, end);
        // the bits that are no whole byte yet go on at the beginning
        bits.at = scratch;
    }
    *end++ = 0xFF;
    *end++ = 0xD9;
    return end - out;
}
}
