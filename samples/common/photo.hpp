// A photo's pixels from a JPEG (by libjpeg, -ljpeg) or a PPM file, as Pillow gives them: grey, colours, CMYK, and
// turned by EXIF where that is asked for. Errors are std::runtime_error.
#pragma once

#include <cctype>
#include <csetjmp>
#include <cstdio>  // before jpeglib.h, which needs it
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include <jpeglib.h>

#include <jerror.h>

#include "exif.hpp"
#include "resize.hpp"

namespace edgeeff {

namespace detail {

constexpr size_t kMostPixels = size_t(1) << 28;  // 268 million: more is no photo of a camera

inline void refuse_size(size_t width, size_t height) {
    if (width == 0 || height == 0 || width > kMostPixels / height)
        throw std::runtime_error("it has " + std::to_string(width) + " x " + std::to_string(height) + " pixels");
}

struct Jpeg {  // all that a decoder holds: libjpeg jumps out of it, past destructors
    jpeg_error_mgr errors;
    jpeg_decompress_struct info;
    std::jmp_buf jump;
    char why[JMSG_LENGTH_MAX];
    Photo photo;
    std::vector<uint8_t> line;
    int turn = 1;
    ~Jpeg() { jpeg_destroy_decompress(&info); }
};

inline void jpeg_fails(j_common_ptr info) {  // libjpeg's error_exit, which must not return
    Jpeg& jpeg = *static_cast<Jpeg*>(info->client_data);
    info->err->format_message(info, jpeg.why);
    std::longjmp(jpeg.jump, 1);
}

inline void jpeg_warns(j_common_ptr info, int level) {  // to libjpeg a file that is cut off is a warning
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) jpeg_fails(info);
}

// A line of CMYK, stored inverted as Adobe does, to R, G, B.
inline void colours_of_inks(const uint8_t* line, int width, uint8_t* out) {
    for (int i = 0; i < 3 * width; ++i) {
        const int white = line[i / 3 * 4 + 3], product = (255 - line[i / 3 * 4 + i % 3]) * white + 128;
        out[i] = uint8_t(std::max(white - ((product + (product >> 8)) >> 8), 0));
    }
}

inline bool decode(Jpeg& jpeg, const std::vector<uint8_t>& file, bool exif) {
    if (setjmp(jpeg.jump)) return false;  // no local of this function has a destructor
    auto& info = jpeg.info;
    jpeg_mem_src(&info, file.data(), static_cast<unsigned long>(file.size()));
    if (exif) jpeg_save_markers(&info, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&info, TRUE);
    refuse_size(info.image_width, info.image_height);
    if (exif && info.marker_list) jpeg.turn = orientation(info.marker_list->data, info.marker_list->data_length);
    const int stored = info.num_components, width = int(info.image_width), channels = stored == 1 ? 1 : 3;
    info.out_color_space = stored == 1 ? JCS_GRAYSCALE : stored == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&info);
    jpeg.photo.width = width;
    jpeg.photo.height = int(info.image_height);
    jpeg.photo.channels = channels;
    jpeg.photo.pixels.resize(size_t(width) * jpeg.photo.height * channels);
    jpeg.line.resize(size_t(width) * 4);
    for (size_t y = 0; y < info.image_height; ++y) {
        uint8_t* out = &jpeg.photo.pixels[y * width * channels];
        uint8_t* line = stored == 4 ? jpeg.line.data() : out;
        jpeg_read_scanlines(&info, &line, 1);
        if (stored == 4) colours_of_inks(line, width, out);
    }
    return true;
}

inline Photo jpeg(const std::vector<uint8_t>& file, bool exif) {
    Jpeg jpeg;
    jpeg.info.err = jpeg_std_error(&jpeg.errors);
    jpeg.errors.error_exit = jpeg_fails;
    jpeg.errors.emit_message = jpeg_warns;
    jpeg_create_decompress(&jpeg.info);
    jpeg.info.client_data = &jpeg;
    if (!decode(jpeg, file, exif)) throw std::runtime_error(jpeg.why);
    return turned(std::move(jpeg.photo), jpeg.turn);
}

// PPM (P6) and PGM (P5) of 8 bits.
inline Photo ppm(const std::vector<uint8_t>& file) {
    size_t at = 2, numbers[3] = {};
    for (size_t& number : numbers) {
        while (at < file.size() && (std::isspace(file[at]) || file[at] == '#'))
            if (file[at++] == '#') while (at < file.size() && file[at] != '\n') ++at;
        while (at < file.size() && std::isdigit(file[at]) && number < 1000000)
            number = number * 10 + (file[at++] - '0');
    }
    refuse_size(numbers[0], numbers[1]);
    if (numbers[2] != 255) throw std::runtime_error("its values do not reach to 255");
    Photo photo{int(numbers[0]), int(numbers[1]), file[1] == '6' ? 3 : 1, {}};
    const size_t bytes = numbers[0] * numbers[1] * photo.channels;
    if (file.size() < at + 1 + bytes) throw std::runtime_error("the file is cut off");
    photo.pixels.assign(file.data() + at + 1, file.data() + at + 1 + bytes);
    return photo;
}

}  // namespace detail

// The pixels of a file, in 1 channel (grey) or 3 (R, G, B).
inline Photo read_photo(const std::string& path, int channels, bool exif) try {
    std::ifstream stream(path, std::ios::binary);
    const std::vector<uint8_t> file{std::istreambuf_iterator<char>(stream), {}};
    if (file.empty()) throw std::runtime_error("it is not there, or empty");
    const bool is_ppm = file.size() > 2 && file[0] == 'P' && (file[1] == '5' || file[1] == '6');
    if (!is_ppm && (file.size() < 3 || file[0] != 0xFF || file[1] != 0xD8))
        throw std::runtime_error("it is no JPEG, PPM or PGM file");
    Photo photo = is_ppm ? detail::ppm(file) : detail::jpeg(file, exif);
    if (photo.channels == channels) return photo;
    Photo found{photo.width, photo.height, channels, {}};
    for (size_t i = 0; i < photo.pixels.size(); i += photo.channels) {
        const uint8_t* p = &photo.pixels[i];
        if (channels == 3) found.pixels.insert(found.pixels.end(), 3, *p);
        else found.pixels.push_back(uint8_t((p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16));
    }
    return found;
} catch (const std::exception& error) {
    throw std::runtime_error(path + ": " + error.what());
}

}  // namespace edgeeff
