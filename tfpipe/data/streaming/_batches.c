/* What is done for a whole batch at once: see batches.py.

   Two functions, called through ctypes, which lets go of Python's lock. A record whose
   checksums are wrong, or whose picture, label and id aren't stored as make_records
   stores them, is left to Python, which knows all forms of a tf.train.Example and has
   words for what is wrong. Of its other features only the frames are looked at. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HEADER_BYTES 12
#define FRAME_BYTES 16

/* CRC32C by the processor's own instruction. */
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define CAN_CHECK __builtin_cpu_supports("sse4.2")
#define WITH_CRC __attribute__((target("sse4.2")))
#define CRC_OF_EIGHT(crc, eight) ((uint32_t)_mm_crc32_u64(crc, eight))
#define CRC_OF_ONE(crc, one) _mm_crc32_u8(crc, one)
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define CAN_CHECK 1
#define WITH_CRC
#define CRC_OF_EIGHT(crc, eight) __crc32cd(crc, eight)
#define CRC_OF_ONE(crc, one) __crc32cb(crc, one)
#endif

#ifdef CAN_CHECK

struct part {
  const uint8_t *at, *end;
};

/* The checksum that TFRecord stores: CRC32C, rotated and offset. */
WITH_CRC static uint32_t masked_checksum(const uint8_t *bytes, size_t count) {
  uint32_t crc = 0xFFFFFFFF;
  for (; count >= 8; bytes += 8, count -= 8) {
    uint64_t eight;
    memcpy(&eight, bytes, 8);
    crc = CRC_OF_EIGHT(crc, eight);
  }
  for (; count; bytes++, count--) crc = CRC_OF_ONE(crc, *bytes);
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
}

static uint32_t four_bytes(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static int take_number(struct part *from, uint64_t *number) {
  *number = 0;
  for (int shift = 0; shift < 64 && from->at < from->end; shift += 7) {
    const uint8_t byte = *from->at++;
    *number |= (uint64_t)(byte & 0x7F) << shift;
    if (!(byte & 0x80)) return 1;
  }
  return 0;
}

/* A field of protobuf's wire type 2: tag, length, bytes. */
static int take_part(struct part *from, uint8_t tag, struct part *part) {
  uint64_t length;
  if (from->at == from->end || *from->at != tag) return 0;
  from->at++;
  if (!take_number(from, &length) || length > (uint64_t)(from->end - from->at)) return 0;
  part->at = from->at;
  part->end = from->at += length;
  return 1;
}

/* A part that is a field and nothing else. */
static int take_only(struct part *from, uint8_t tag, struct part *part) {
  return take_part(from, tag, part) && from->at == from->end;
}

static int is_named(const struct part *key, const char *name) {
  const size_t length = strlen(name);
  return (size_t)(key->end - key->at) == length && !memcmp(key->at, name, length);
}

/* The one number of a Feature's int64_list. */
static int one_number(struct part feature, int64_t *number) {
  struct part list, packed;
  uint64_t value;
  if (!take_only(&feature, 0x1A, &list) || !take_only(&list, 0x0A, &packed) ||
      !take_number(&packed, &value) || packed.at != packed.end)
    return 0;
  *number = (int64_t)value;
  return 1;
}

/* found = {picture's offset in the block, its length, label, source id} */
static int read_sample(const uint8_t *block, size_t size, int64_t *found) {
  if (size < FRAME_BYTES) return 0;
  const uint8_t *payload = block + HEADER_BYTES;
  const size_t length = size - FRAME_BYTES;
  const uint64_t told = four_bytes(block) | (uint64_t)four_bytes(block + 4) << 32;
  if (told != length || four_bytes(block + 8) != masked_checksum(block, 8) ||
      four_bytes(payload + length) != masked_checksum(payload, length))
    return 0;
  struct part example = {payload, payload + length}, features;
  if (!take_only(&example, 0x0A, &features)) return 0;
  int pictures = 0, labels = 0, ids = 0;
  while (features.at < features.end) {
    struct part entry, key, feature, list, picture;
    if (!take_part(&features, 0x0A, &entry) || !take_part(&entry, 0x0A, &key) ||
        !take_only(&entry, 0x12, &feature))
      return 0;
    if (is_named(&key, "image/encoded")) {
      if (!take_only(&feature, 0x0A, &list) || !take_only(&list, 0x0A, &picture))
        return 0;
      found[0] = picture.at - block;
      found[1] = picture.end - picture.at;
      pictures++;
    } else if (is_named(&key, "image/class/label")) {
      if (!one_number(feature, found + 2)) return 0;
      labels++;
    } else if (is_named(&key, "image/source_id")) {
      if (!one_number(feature, found + 3)) return 0;
      ids++;
    }
  }
  return pictures == 1 && labels == 1 && ids == 1;
}
#endif

/* Read `count` records, each of sizes[i] bytes at addresses[i]. found[4 * i ...] becomes
   what read_sample says, or -1 four times for one that is left to Python. The number
   in the name changes with the arguments: see base/compiled.py. */
void tfpipe_samples_1(int64_t count, const int64_t *addresses, const int64_t *sizes,
                      int64_t *found) {
  for (int64_t i = 0; i < count; i++) {
    int64_t *one = found + 4 * i;
    int is_read = 0;
#ifdef CAN_CHECK
    if (CAN_CHECK)
      is_read = read_sample((const uint8_t *)(intptr_t)addresses[i], (size_t)sizes[i], one);
#else
    (void)addresses;
    (void)sizes;
#endif
    if (!is_read) one[0] = one[1] = one[2] = one[3] = -1;
  }
}

/* The same code for newer processors, too, chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__)
__attribute__((target_clones("avx2", "default")))
#endif
/* scaled = pixels / 255, correctly rounded. */
void tfpipe_scale_1(int64_t count, const uint8_t *restrict pixels,
                    float *restrict scaled) {
  for (int64_t i = 0; i < count; i++) scaled[i] = pixels[i] / 255.0f;
}
