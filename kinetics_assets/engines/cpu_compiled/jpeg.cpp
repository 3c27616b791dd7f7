// Planes of a JPEG picture -> its bytes: those that libjpeg-turbo gives, bit by bit, with baseline
// Huffman codes (ITU-T T.81).
//
// Why it is fast: only coefficients that are not zero are visited, four at a time; their bits are
// looked up whole and written without a branch; where 0xFF needs a zero behind it is looked up
// afterwards, 32 bytes at a time.

#include "jpeg_blocks.h"
#include "picture.h"
#include "vectors.h"

#include <cstdint>
#include <cstring>

namespace {

using jpeg::AREA, jpeg::Block, jpeg::END, jpeg::LARGE, jpeg::SIDE, jpeg::ZIGZAG;

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
// up to whole groups of 16 x 16. `steps` is (2, 3, 64), `codes` (2, 2, 256) and `entries` (2, 256,
// 64): luma before colour, DC before AC. `scratch` has room for a row of groups, `out` for `room`
// and two such rows, and 32 bytes more each.
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
                if (!jpeg::quantised(at, 2 * pitch, steps, found)) return -1;
                put(0, luma_codes, dc[0]);
                if (left + 1 < across) {
                    put(1, luma_codes, dc[0]);
                } else {
                    bits = put_empty(bits, luma_codes);
                }
            }
            const std::int64_t at = SIDE / 2 * (top * pitch + left);
            if (!jpeg::quantised(blue + at, red + at, pitch, steps + 3 * AREA, found)) return -1;
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
