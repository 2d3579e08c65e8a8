/* Resample 8-bit pictures with whole-number weights, exactly: see resampling.py.

   A library of one function, called through ctypes, which lets go of Python's lock. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The same code for newer processors, too, chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__)
#define EACH_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define EACH_PROCESSOR
#endif

/* sums = weighted sum of `count` rows of `length` bytes, `stride` bytes apart. Whole
   numbers below 2^24: exact in float. */
EACH_PROCESSOR
static void add_rows(float *restrict sums, const uint8_t *restrict rows,
                     ptrdiff_t stride, ptrdiff_t length,
                     const float *restrict weights, int count) {
  if (count == 1) {
    const float a = weights[0];
    for (ptrdiff_t i = 0; i < length; i++) sums[i] = a * rows[i];
    return;
  }
  const uint8_t *restrict second = rows + stride;
  const float a = weights[0], b = weights[1];
  if (count == 2) {
    for (ptrdiff_t i = 0; i < length; i++) sums[i] = a * rows[i] + b * second[i];
    return;
  }
  const uint8_t *restrict third = second + stride;
  const float c = weights[2];
  for (ptrdiff_t i = 0; i < length; i++)
    sums[i] = a * rows[i] + b * second[i] + c * third[i];
  for (int k = 3; k < count; k++) {
    const uint8_t *restrict row = rows + k * stride;
    const float w = weights[k];
    for (ptrdiff_t i = 0; i < length; i++) sums[i] += w * row[i];
  }
}

#define NUDGE 0x1p-40

/* One pixel's sums of its channels, three of them and one that is thrown away. */
typedef float four_floats __attribute__((vector_size(16), aligned(4)));
typedef double four_doubles __attribute__((vector_size(32)));
typedef int32_t four_ints __attribute__((vector_size(16)));

/* One row of the result out of weighted sums: (sum + total / 2) / total, cut off. Sums
   are whole numbers below 2^53, exact in double. Multiplied by scale = 1 / total, the
   quotient is off by 2^-44 at most; one that isn't whole lies at least 1 / (2 total) >
   2^-34 off the next whole number; so with 2^-40 more the cut is the exact one. All pixels have `most` weights, zeros
   among them, so that the processor guesses the loop's end right; behind the sums there
   are floats to read. */
EACH_PROCESSOR
static void add_columns(uint8_t *restrict out, const float *restrict sums, int width,
                        int channels, const int32_t *restrict starts,
                        const float *restrict weights, int most, double half,
                        double scale) {
  for (int x = 0; x < width; x++) {
    const float *restrict from = sums + (ptrdiff_t)starts[x] * channels;
    const float *restrict w = weights + (ptrdiff_t)x * most;
    if (channels == 3) {
      four_doubles sum = {0, 0, 0, 0};
      for (int k = 0; k < most; k++)
        sum += (double)w[k] *
               __builtin_convertvector(*(const four_floats *)(from + 3 * k),
                                       four_doubles);
      const four_ints value = __builtin_convertvector((sum + half) * scale + NUDGE, four_ints);
      out[3 * x] = (uint8_t)value[0];
      out[3 * x + 1] = (uint8_t)value[1];
      out[3 * x + 2] = (uint8_t)value[2];
    } else {
      for (int channel = 0; channel < channels; channel++) {
        double sum = 0;
        for (int k = 0; k < most; k++)
          sum += (double)w[k] * from[k * channels + channel];
        out[x * channels + channel] = (uint8_t)((sum + half) * scale + NUDGE);
      }
    }
  }
}

/* Resample a picture into out, [height, width, channels].

   pixels: uint8 [source height, source_width, channels], rows `stride` bytes apart.
   Row y of the result is made of row_counts[y] rows from row_starts[y] on, by
   row_weights[y * most_rows ...]; columns likewise, of most_columns each. `total`
   is the sum of a row's weights x the sum of a column's. Returns 0, or 1 where memory is
   lacking. The number in the name changes with the arguments: see resampling.py. */
int tfpipe_resample_2(uint8_t *out, int height, int width, int channels,
                    const uint8_t *pixels, ptrdiff_t stride, int source_width,
                    const int32_t *row_starts, const int32_t *row_counts,
                    const float *row_weights, int most_rows,
                    const int32_t *column_starts, const float *column_weights,
                    int most_columns, double total) {
  const ptrdiff_t length = (ptrdiff_t)source_width * channels;
  const size_t behind = (size_t)most_columns * channels + 1;
  float *sums = calloc((size_t)length + behind, sizeof(float));
  if (!sums) return 1;
  for (int y = 0; y < height; y++) {
    add_rows(sums, pixels + row_starts[y] * stride, stride, length,
             row_weights + (ptrdiff_t)y * most_rows, row_counts[y]);
    add_columns(out + (ptrdiff_t)y * width * channels, sums, width, channels,
                column_starts, column_weights, most_columns, total / 2, 1 / total);
  }
  free(sums);
  return 0;
}
