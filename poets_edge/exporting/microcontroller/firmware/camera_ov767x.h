// OV7675 camera of Arduino's Tiny Machine Learning Kit, through the library Arduino_OV767X.
#ifndef POETS_EDGE_CAMERA_H_
#define POETS_EDGE_CAMERA_H_

#include <Arduino_OV767X.h>

#include <cstddef>
#include <cstdint>

#include "model.h"
#include "preprocess.h"

namespace poets_edge {

// Static memory, so that the linker says whether it fits.
inline std::uint8_t* AllocateArena(std::size_t) {
  alignas(16) static std::uint8_t arena[kArenaSize];
  return arena;
}

// Returns nullptr, or what failed.
inline const char* StartCamera() {
  return Camera.begin(QQVGA, RGB565, 1) ? nullptr : "the camera does not answer";  // 160 x 120
}

inline bool Capture(Frame* frame) {
  static std::uint8_t pixels[160 * 120 * 2];
  Camera.readFrame(pixels);
  *frame = {pixels, 160, 120, PixelFormat::kRgb565BigEndian};
  return true;
}

inline void Release() {}

}  // namespace poets_edge

#endif  // POETS_EDGE_CAMERA_H_
