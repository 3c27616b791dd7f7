// Planes of a decoded frame -> a JPEG picture in one call: planes.cpp draws it, jpeg.cpp writes it.

#include "picture.h"

#include <cstdint>

extern "C" {

// What is the same for all frames of a size; see `kinetics_plane`, `_matrix` and `_scan`.
struct Plane {
    std::uint8_t* target;
    std::int64_t target_pitch;
    const std::int32_t* down_first;
    const std::uint8_t* down_shares;
    const std::int32_t* across_first;
    const std::int16_t* across_shares;
    const std::uint8_t* across_picks;
    std::int16_t* line;
    std::int32_t down_taps, across_taps, source_width, height, width, full_height;
    std::int32_t black, gain, neutral, across_offset;
};

struct Picture {
    Plane planes[3];
    const std::int32_t* matrix_shares;  // without: the matrix stays
    std::int16_t* matrix_line;
    const std::uint16_t* steps;  // without: nothing is written
    const std::uint32_t *codes, *entries;
    std::uint8_t *scratch, *out;
    std::int64_t room;
};

// Draws the frame whose planes begin there, rows so many bytes apart, and writes its scan; returns
// what `kinetics_scan` does, or -1 if nothing is written.
std::int64_t kinetics_picture(const Picture* picture, const std::uint8_t* luma,
                              std::int64_t luma_pitch, const std::uint8_t* blue,
                              std::int64_t blue_pitch, const std::uint8_t* red,
                              std::int64_t red_pitch) {
    const std::uint8_t* const sources[3] = {luma, blue, red};
    const std::int64_t pitches[3] = {luma_pitch, blue_pitch, red_pitch};
    const Plane* planes = picture->planes;
    for (int i = 0; i < 3; ++i) {
        const Plane& p = planes[i];
        kinetics_plane(sources[i], pitches[i], p.source_width, p.target, p.target_pitch, p.height,
                       p.width, p.full_height, p.black, p.gain, p.neutral, p.across_offset,
                       p.down_first, p.down_shares, p.down_taps, p.across_first, p.across_shares,
                       p.across_picks, p.across_taps, p.line);
    }
    std::uint8_t *first = planes[0].target, *second = planes[1].target, *third = planes[2].target;
    const std::int64_t pitch = planes[1].target_pitch;
    if (picture->matrix_shares != nullptr) {
        kinetics_matrix(first, second, third, pitch, planes[1].full_height, picture->matrix_shares,
                        picture->matrix_line);
    }
    if (picture->steps == nullptr) return -1;
    return kinetics_scan(first, second, third, pitch, planes[0].height, planes[0].width,
                         picture->steps, picture->codes, picture->entries, picture->scratch,
                         picture->out, picture->room);
}
}
