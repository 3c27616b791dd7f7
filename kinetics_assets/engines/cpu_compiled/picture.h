// The parts that picture.cpp puts together; each is described where it is defined.

#pragma once

#include <cstdint>

extern "C" {

void kinetics_plane(const std::uint8_t* source, std::int64_t pitch, int source_width,
                    std::uint8_t* target, std::int64_t target_pitch, int height, int width,
                    int full_height, int black, int gain, int neutral, int across_offset,
                    const std::int32_t* down_first, const std::uint8_t* down_shares, int down_taps,
                    const std::int32_t* across_first, const std::int16_t* across_shares,
                    const std::uint8_t* across_picks, int across_taps, std::int16_t* line);
void kinetics_matrix(std::uint8_t* luma, std::uint8_t* blue, std::uint8_t* red, std::int64_t pitch,
                     int height, const std::int32_t* shares, std::int16_t* line);
std::int64_t kinetics_scan(const std::uint8_t* luma, const std::uint8_t* blue,
                           const std::uint8_t* red, std::int64_t pitch, int height, int width,
                           const std::uint16_t* steps, const std::uint32_t* codes,
                           const std::uint32_t* entries, std::uint8_t* scratch, std::uint8_t* out,
                           std::int64_t room);
}
