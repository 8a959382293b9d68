// The EXIF orientation of a photo, and the photo turned by it. Where a bundle's EDGEEFF_EXIF is 0, photos are
// taken as they are stored, as timm, torchvision and Keras do.
#pragma once

#include <cstring>

#include "resize.hpp"

namespace edgeeff {

// 1 to 8 (TIFF 6.0, tag 274) from a JPEG's APP1 segment, behind its length; 1, upright, where it says none.
inline int orientation(const uint8_t* data, size_t size) {
    if (size < 14 || std::memcmp(data, "Exif\0", 6) != 0) return 1;
    const bool little = data[6] == 'I';
    const auto number = [&](size_t at, int bytes) {
        uint32_t value = 0;
        for (int i = 0; i < bytes && at + i < size; ++i)
            value |= uint32_t(data[at + i]) << 8 * (little ? i : bytes - 1 - i);
        return value;
    };
    const size_t start = size_t(6) + number(10, 4);
    const uint32_t entries = start + 2 <= size ? number(start, 2) : 0;
    for (size_t at = start + 2; at < start + 2 + size_t(12) * entries && at + 12 <= size; at += 12)
        if (number(at, 2) == 274) {
            const uint32_t value = number(at + 8, 2);
            return value >= 1 && value <= 8 ? int(value) : 1;
        }
    return 1;
}

inline Photo turned(Photo photo, int orientation) {
    if (orientation == 1) return photo;
    const bool sides = orientation >= 5;  // rows become columns
    const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    Photo found{sides ? photo.height : photo.width, sides ? photo.width : photo.height, photo.channels, {}};
    found.pixels.reserve(photo.pixels.size());
    for (int y = 0; y < found.height; ++y)
        for (int x = 0; x < found.width; ++x) {
            const int across = sides ? y : x, down = sides ? x : y;
            const size_t column = from_right ? photo.width - 1 - across : across;
            const size_t row = from_below ? photo.height - 1 - down : down;
            const uint8_t* pixel = &photo.pixels[(row * photo.width + column) * photo.channels];
            found.pixels.insert(found.pixels.end(), pixel, pixel + photo.channels);
        }
    return found;
}

}  // namespace edgeeff
