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

// Else the compiler hands eight registers on by way of memory.
#define INLINED inline __attribute__((always_inline))

namespace {

constexpr int SIDE = 8, AREA = 64;
constexpr int LARGEST = 1023;  // of the coefficients that baseline codes exist for

// Zigzag place -> natural place.
struct ZigZag {
    std::uint8_t natural[AREA];
};

constexpr ZigZag zigzag_table() {
    ZigZag found{};
    int x = 0, y = 0;
    for (int at = 0; at < AREA; ++at) {
        found.natural[at] = static_cast<std::uint8_t>(SIDE * y + x);
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
    return found;
}

constexpr ZigZag ZIGZAG = zigzag_table();

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

inline __m256i load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
inline __m128i load_half(const void* at) {
    return _mm_loadu_si128(static_cast<const __m128i*>(at));
}
inline void store_half(void* at, __m128i value) {
    _mm_storeu_si128(static_cast<__m128i*>(at), value);
}
inline void store(void* at, __m256i value) {
    _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}

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

// What dividing by a quantiser's step takes, (3, 64): factors, what to add, shifts as factors.
using Steps = const std::uint16_t*;

// A block of quantised coefficients.
struct Block {
    alignas(32) std::int8_t bytes[AREA + 1];  // in zigzag order, LARGE or less; then the END
    alignas(32) std::int16_t words[AREA];     // in natural order, if one is LARGE or more
    std::uint64_t mask;  // of those but DC that are not zero, in zigzag order
    std::int16_t dc;
};

// Of a block's bytes: no coefficient has the value of the END, and 127 may be more.
constexpr std::int8_t END = -128, LARGE = 127;

// Quantises two blocks of levels; returns whether all coefficients have codes.
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

// Bits to be written, the number of them in the low byte: codes by symbol, and whole entries, value
// behind code, from that of 0 on, by what `entry_of` looks up.
struct Codes {
    const std::uint32_t *dc, *ac, *entries;
};
constexpr int ROW = 64, BELOW = 128 * ROW, ENTRIES = 256 * ROW;

// The entry of a coefficient, or of the END, of value `value` so many places behind the last one.
inline std::uint32_t entry_of(const std::uint32_t* entries, int value, std::int64_t places) {
    return entries[std::int64_t{value} * ROW + places];
}

constexpr unsigned MOST_BITS = 56;

// What is written, in the order of the file, without the zeros behind 0xFF. Two registers.
struct Bits {
    std::uint8_t* at;
    std::uint64_t kept;  // bits that are no whole byte yet, below a 1
};

class Writer {
  public:
    explicit Writer(Bits bits)
        : at(bits.at), kept(bits.kept), used(63 - static_cast<unsigned>(_lzcnt_u64(kept))) {}

    Bits bits() const { return {at, _bzhi_u64(kept, used) | std::uint64_t{1} << used}; }

    void put(std::uint64_t code, unsigned length) {  // at most MOST_BITS
        kept = kept << length | code;
        used += length;
        const std::uint64_t ordered = __builtin_bswap64(kept << (-used & 63));
        std::memcpy(at, &ordered, sizeof ordered);
        at += used >> 3;
        used &= 7;
    }

    void entry(std::uint32_t entry) { put(entry >> 8, entry & 255); }

    void number(std::uint32_t entry, int value, int length) {  // with the code in front of it
        const std::uint32_t low = (value + (value >> 31)) & ((1u << length) - 1);
        put((entry >> 8) << length | low, static_cast<unsigned>(entry & 255) + length);
    }

    void fill_byte() {  // with ones
        if (used) put((1u << (8 - used)) - 1, 8 - used);
    }

  private:
    std::uint8_t* at;
    std::uint64_t kept;  // what is above `used` bits was written, and does not count
    unsigned used;       // below 8
};

inline int length_of(int value) {
    const unsigned size = value < 0 ? -value : value;
    return size == 0 ? 0 : 32 - __builtin_clz(size);
}

// The next four of `put_block`, some of which are large or have many zeros before them.
__attribute__((noinline)) Bits put_one_by_one(Bits bits, const Block& block, std::uint64_t mask,
                                              std::uint64_t before, const Codes& codes) {
    Writer out(bits);
    for (int i = 0; i < 4; ++i, mask = _blsr_u64(mask)) {
        const std::uint64_t place = _tzcnt_u64(mask);
        const int byte = block.bytes[place];
        if (place == AREA) {
            out.entry(entry_of(codes.entries, byte, place - before));
        } else {
            auto zeros = static_cast<unsigned>(place - before - 1);
            for (; zeros > 15; zeros -= 16) out.entry(codes.ac[0xF0]);
            const bool is_large = byte == LARGE || byte == -LARGE;
            const int value = is_large ? block.words[ZIGZAG.natural[place]] : byte;
            const int length = length_of(value);
            out.number(codes.ac[zeros << 4 | length], value, length);
        }
        before = place;
    }
    return out.bits();
}

// A block, behind one whose DC was `dc`. But for DC four coefficients at a time, without a branch
// that depends on them where they are small. Behind the last one the place of the mask is that of
// the END; again and again it has no bits.
__attribute__((noinline)) Bits put_block(Bits bits, const Block& block, const Codes& codes,
                                         int dc) {
    Writer out(bits);
    const int step = block.dc - dc, size = length_of(step);
    out.number(codes.dc[size], step, size);
    const std::uint32_t* entries = codes.entries;
    std::uint64_t mask = block.mask, last = 0;
    do {
        const std::uint64_t now = mask, one = _tzcnt_u64(mask);
        mask = _blsr_u64(mask);
        const std::uint64_t two = _tzcnt_u64(mask);
        mask = _blsr_u64(mask);
        const std::uint64_t three = _tzcnt_u64(mask);
        mask = _blsr_u64(mask);
        const std::uint64_t four = _tzcnt_u64(mask);
        mask = _blsr_u64(mask);
        const std::uint64_t a = entry_of(entries, block.bytes[one], one - last);
        const std::uint64_t b = entry_of(entries, block.bytes[two], two - one);
        const std::uint64_t c = entry_of(entries, block.bytes[three], three - two);
        const std::uint64_t d = entry_of(entries, block.bytes[four], four - three);
        const unsigned behind = static_cast<unsigned>(c + d);
        const unsigned length = static_cast<unsigned>(a + b + behind) & 255;
        if (__builtin_expect(length > MOST_BITS, 0)) {
            out = Writer(put_one_by_one(out.bits(), block, now, last, codes));
        } else {
            const std::uint64_t left = (a >> 8) << (b & 63) | b >> 8;
            const std::uint64_t right = (c >> 8) << (d & 63) | d >> 8;
            out.put(left << (behind & 63) | right, length);
        }
        last = four;
    } while (last != AREA);
    return out.bits();
}

Bits put_empty(Bits bits, const Codes& codes) {  // level as the block before it
    Writer out(bits);
    out.entry(codes.dc[0]);
    out.entry(codes.ac[0]);
    return out.bits();
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
// up to whole groups of 16 x 16. `steps` is (2, 3, 64), `codes` (2, 2, 256), `entries` (2, 256, 64):
// luma before colour, DC before AC. `scratch` has room for a row of groups, `out` for `room` and
// two such rows, and 32 bytes more each.
std::int64_t kinetics_scan(const std::uint8_t* luma, const std::uint8_t* blue,
                           const std::uint8_t* red, std::int64_t pitch, int height, int width,
                           const std::uint16_t* steps, const std::uint32_t* codes,
                           const std::uint32_t* entries, std::uint8_t* scratch, std::uint8_t* out,
                           std::int64_t room) {
    const Codes luma_codes{codes, codes + 256, entries + BELOW},
        colour_codes{codes + 512, codes + 768, entries + ENTRIES + BELOW};
    const int across = (width + 7) / 8, down = (height + 7) / 8;
    int dc[3] = {0, 0, 0};
    Block found[2];
    __m256i v[SIDE];
    std::uint8_t* end = out;
    Bits bits{scratch, 1};
    const auto put = [&](int which, const Codes& code, int& last) {
        bits = put_block(bits, found[which], code, last);
        last = found[which].dc;
    };
    for (int top = 0; top < down; top += 2) {
        if (end - out > room) return -1;
        for (int left = 0; left < across; left += 2) {
            for (int lower = 0; lower < 2; ++lower) {
                if (top + lower >= down) {
                    bits = put_empty(put_empty(bits, luma_codes), luma_codes);
                    continue;
                }
                const std::uint8_t* at = luma + SIDE * (top + lower) * 2 * pitch + SIDE * left;
                for (int row = 0; row < SIDE; ++row, at += 2 * pitch) {
                    v[row] = _mm256_cvtepu8_epi16(load_half(at));
                }
                if (!quantised(v, steps, found)) return -1;
                put(0, luma_codes, dc[0]);
                if (left + 1 < across) {
                    put(1, luma_codes, dc[0]);
                } else {
                    bits = put_empty(bits, luma_codes);
                }
            }
            const std::int64_t at = SIDE / 2 * (top * pitch + left);
            for (int row = 0; row < SIDE; ++row) {
                const auto eight = [&](const std::uint8_t* plane) {
                    return _mm_loadl_epi64(
                        reinterpret_cast<const __m128i*>(plane + at + row * pitch));
                };
                v[row] = _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(eight(blue), eight(red)));
            }
            if (!quantised(v, steps + 3 * AREA, found)) return -1;
            put(0, colour_codes, dc[1]);
            put(1, colour_codes, dc[2]);
        }
        if (top + 2 >= down) {
            Writer last(bits);
            last.fill_byte();
            bits = last.bits();
        }
        end = stuffed(scratch, bits.at, end);
        // the bits that are no whole byte yet go on at the beginning
        bits.at = scratch;
    }
    *end++ = 0xFF;
    *end++ = 0xD9;
    return end - out;
}
}
