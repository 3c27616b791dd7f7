// What jpeg_blocks.cpp makes of a picture's pixels, for jpeg.cpp to write.

#pragma once

#include <cstdint>

#if !defined(__AVX2__) || !defined(__BMI__) || !defined(__BMI2__) || !defined(__LZCNT__)
#error "written for AVX2 and its time; libjpeg-turbo serves other processors"
#endif

namespace jpeg {

constexpr int SIDE = 8, AREA = 64;

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

// A block of quantised coefficients.
struct Block {
    alignas(32) std::int8_t bytes[AREA + 1];  // in zigzag order, LARGE or less; then the END
    alignas(32) std::int16_t words[AREA];     // in natural order, if one is LARGE or more
    std::uint64_t mask;  // of those but DC that are not zero, in zigzag order
    std::int16_t dc;
};

// Of a block's bytes: no coefficient has the value of the END, and 127 may be more.
constexpr std::int8_t END = -128, LARGE = 127;

// What dividing by a quantiser's step takes, (3, 64): factors, what to add, shifts as factors.
using Steps = const std::uint16_t*;

// Quantises two blocks: sixteen pixels beside each other, rows `pitch` bytes apart, or eight of
// each of two planes. Returns whether all coefficients have codes.
bool quantised(const std::uint8_t* at, std::int64_t pitch, Steps steps, Block out[2]);
bool quantised(const std::uint8_t* blue, const std::uint8_t* red, std::int64_t pitch, Steps steps,
               Block out[2]);

}  // namespace jpeg
