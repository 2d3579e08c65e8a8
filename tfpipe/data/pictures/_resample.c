/* Resample 8-bit pictures with whole-number weights, exactly: see resampling.py.

   A library of one function, called through ctypes, which lets go of Python's lock. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The same code for newer processors, too, chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__)
#define EACH_PROCESSOR __attribute__((target_clones("avx2", "default")))
#define HAS_AVX2_PATH
#else
#define EACH_PROCESSOR
#endif

/* sums = weighted sum of `count` rows of `length` bytes, `stride` bytes apart. Below
   2^24, for weights sum to 65,535 at most. */
EACH_PROCESSOR
static void add_rows(int32_t *restrict sums, const uint8_t *restrict rows,
                     ptrdiff_t stride, ptrdiff_t length,
                     const int32_t *restrict weights, int count) {
  if (count == 1) {
    const int32_t a = weights[0];
    for (ptrdiff_t i = 0; i < length; i++) sums[i] = a * rows[i];
    return;
  }
  const uint8_t *restrict second = rows + stride;
  const int32_t a = weights[0], b = weights[1];
  if (count == 2) {
    for (ptrdiff_t i = 0; i < length; i++) sums[i] = a * rows[i] + b * second[i];
    return;
  }
  const uint8_t *restrict third = second + stride;
  const int32_t c = weights[2];
  for (ptrdiff_t i = 0; i < length; i++)
    sums[i] = a * rows[i] + b * second[i] + c * third[i];
  for (int k = 3; k < count; k++) {
    const uint8_t *restrict row = rows + k * stride;
    const int32_t w = weights[k];
    for (ptrdiff_t i = 0; i < length; i++) sums[i] += w * row[i];
  }
}

/* How the pixels of a row are made of the columns of sums: of `most` each from
   starts[x] on, zero weights among them, so that the processor guesses the loop's end
   right. A value is (sum + half) * scale + NUDGE, cut off, with half = total / 2 and
   scale = 1 / total. Sums are whole numbers below 2^53, exact in double; the quotient is
   off by 2^-44 at most; one that isn't whole lies at least 1 / (2 total) > 2^-34 off
   the next whole number; so with 2^-40 more the cut is the exact one. */
#define NUDGE 0x1p-40

struct columns {
  const int32_t *starts, *weights;
  int most;
  double half, scale;
};

/* The pixels of a row from `first` to before `end`, of any channels and sums. */
static void add_columns(uint8_t *restrict out, const int32_t *restrict sums, int first,
                        int end, int channels, const struct columns *columns) {
  for (int x = first; x < end; x++) {
    const int32_t *from = sums + (ptrdiff_t)columns->starts[x] * channels;
    const int32_t *weights = columns->weights + (ptrdiff_t)x * columns->most;
    for (int channel = 0; channel < channels; channel++) {
      int64_t sum = 0;
      for (int k = 0; k < columns->most; k++)
        sum += (int64_t)weights[k] * from[k * channels + channel];
      out[x * channels + channel] =
          (uint8_t)((sum + columns->half) * columns->scale + NUDGE);
    }
  }
}

#ifdef HAS_AVX2_PATH
#include <immintrin.h>

/* One RGB pixel: its three sums and one that is thrown away, below 2^31. */
__attribute__((target("avx2"), always_inline)) static inline __m128i
rgb_pixel(const int32_t *sums, const int32_t *weights, int most, __m256d half,
          __m256d scale) {
  __m128i sum = _mm_setzero_si128();
  for (int k = 0; k < most; k++) {
    const __m128i pixel = _mm_loadu_si128((const __m128i *)(sums + 3 * k));
    sum = _mm_add_epi32(sum, _mm_mullo_epi32(_mm_set1_epi32(weights[k]), pixel));
  }
  __m256d value = _mm256_add_pd(_mm256_cvtepi32_pd(sum), half);
  value = _mm256_add_pd(_mm256_mul_pd(value, scale), _mm256_set1_pd(NUDGE));
  return _mm256_cvttpd_epi32(value);
}

/* Pairs of RGB pixels; eight bytes are written for six. Returns where it ended. */
__attribute__((target("avx2"), always_inline)) static inline int
rgb_pairs(uint8_t *out, const int32_t *sums, int width, const struct columns *columns,
          int most) {
  const __m256d half = _mm256_set1_pd(columns->half);
  const __m256d scale = _mm256_set1_pd(columns->scale);
  const __m128i six =
      _mm_setr_epi8(0, 1, 2, 4, 5, 6, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  int x = 0;
  for (; 3 * x + 8 <= 3 * width; x += 2) {
    const int32_t *starts = columns->starts + x;
    const int32_t *weights = columns->weights + (ptrdiff_t)x * most;
    const __m128i one =
        rgb_pixel(sums + 3 * (ptrdiff_t)starts[0], weights, most, half, scale);
    const __m128i two =
        rgb_pixel(sums + 3 * (ptrdiff_t)starts[1], weights + most, most, half, scale);
    const __m128i words = _mm_packs_epi32(one, two);
    const __m128i both = _mm_shuffle_epi8(_mm_packus_epi16(words, words), six);
    _mm_storel_epi64((__m128i *)(out + 3 * x), both);
  }
  return x;
}

/* As add_columns, for RGB; loops of two and three weights are unrolled. */
__attribute__((target("avx2"))) static void
add_rgb_columns(uint8_t *out, const int32_t *sums, int width,
                const struct columns *columns) {
  int x;
  if (columns->most == 2)
    x = rgb_pairs(out, sums, width, columns, 2);
  else if (columns->most == 3)
    x = rgb_pairs(out, sums, width, columns, 3);
  else
    x = rgb_pairs(out, sums, width, columns, columns->most);
  add_columns(out, sums, x, width, 3, columns);
}
#endif

/* Resample a picture into out, [height, width, channels].

   pixels: uint8 [source height, source_width, channels], rows `stride` bytes apart.
   Row y of the result is made of row_counts[y] rows from row_starts[y] on, by
   row_weights[y * most_rows ...]; columns likewise, of most_columns each. `total`
   is the sum of a row's weights x the sum of a column's. Returns 0, or 1 where memory is
   lacking. The number in the name changes with the arguments: see base/compiled.py. */
int tfpipe_resample_3(uint8_t *out, int height, int width, int channels,
                      const uint8_t *pixels, ptrdiff_t stride, int source_width,
                      const int32_t *row_starts, const int32_t *row_counts,
                      const int32_t *row_weights, int most_rows,
                      const int32_t *column_starts, const int32_t *column_weights,
                      int most_columns, double total) {
  const struct columns columns = {column_starts, column_weights, most_columns,
                                  total / 2, 1 / total};
  const ptrdiff_t length = (ptrdiff_t)source_width * channels;
  /* Behind the last column zero weights, and the fourth of a pixel, look at more. */
  const size_t behind = (size_t)most_columns * channels + 1;
  int32_t *sums = calloc((size_t)length + behind, sizeof(int32_t));
  if (!sums) return 1;
#ifdef HAS_AVX2_PATH
  const int is_rgb =
      channels == 3 && 255 * total < 0x1p31 && __builtin_cpu_supports("avx2");
#endif
  for (int y = 0; y < height; y++) {
    uint8_t *row = out + (ptrdiff_t)y * width * channels;
    add_rows(sums, pixels + row_starts[y] * stride, stride, length,
             row_weights + (ptrdiff_t)y * most_rows, row_counts[y]);
#ifdef HAS_AVX2_PATH
    if (is_rgb) {
      add_rgb_columns(row, sums, width, &columns);
      continue;
    }
#endif
    add_columns(row, sums, 0, width, channels, &columns);
  }
  free(sums);
  return 0;
}
