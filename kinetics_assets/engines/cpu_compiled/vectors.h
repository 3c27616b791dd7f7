// Reading and writing 16 and 32 bytes wherever they lie.

#pragma once

#ifndef __AVX2__
#error "written for AVX2; libraries and numpy serve other processors"
#endif
#include <immintrin.h>

inline __m256i load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
inline __m128i load_half(const void* at) {
    return _mm_loadu_si128(static_cast<const __m128i*>(at));
}
inline void store(void* at, __m256i value) {
    _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}
inline void store_half(void* at, __m128i value) {
    _mm_storeu_si128(static_cast<__m128i*>(at), value);
}
