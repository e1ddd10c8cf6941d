// Loads, stores and selections of a vector, of every length.
#include "simd/vector.h"

#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "tests/check.h"

namespace {

using namespace grukit::GRUKIT_ISA;

constexpr float INF = std::numeric_limits<float>::infinity();

uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }
uint32_t bits(bfloat16 x) { return x.bits; }

float element(float, int64_t index) { return 1.5f + static_cast<float>(index); }
bfloat16 element(bfloat16, int64_t index) { return {static_cast<uint16_t>(0x3f80 + index)}; }

float as_float(float x) { return x; }
float as_float(bfloat16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

// Arrays that end where the lanes do, so that the address sanitizer sees an access beyond.
template <typename Element>
void test_lengths() {
  for (int64_t count = 0; count <= LANES; ++count) {
    const auto from = std::make_unique<Element[]>(count);
    for (int64_t lane = 0; lane < count; ++lane) from[lane] = element(Element{}, lane);
    float read[LANES];
    store(read, load(from.get(), count));
    for (int64_t lane = 0; lane < LANES; ++lane) {
      const float wanted = lane < count ? as_float(from[lane]) : 0;
      CHECK(bits(read[lane]) == bits(wanted), "lane %d of %d: %g", int(lane), int(count),
            read[lane]);
    }
    const auto exact = std::make_unique<Element[]>(count);
    store(exact.get(), load(read), count);
    Element to[LANES + 1];
    for (Element &each : to) each = element(Element{}, 99);
    store(to, load(read), count);
    for (int64_t lane = 0; lane <= LANES; ++lane) {
      const Element wanted = lane < count ? from[lane] : element(Element{}, 99);
      CHECK(bits(to[lane]) == bits(wanted), "lane %d of %d", int(lane), int(count));
      if (lane < count) CHECK(bits(exact[lane]) == bits(wanted));
    }
  }
}

// The nearest of the two bfloat16 around x, from their distances in double; the even one of two.
uint16_t nearest(float x) {
  const uint32_t lower = bits(x) >> 16, upper = lower + 1;
  const auto value = [](uint32_t half) {
    // The next number after the largest would be 2^128.
    return (half & 0x7fff) == 0x7f80 ? std::copysign(0x1p128, half & 0x8000 ? -1.0 : 1.0)
                                     : double(std::bit_cast<float>(half << 16));
  };
  if (std::isinf(x)) return static_cast<uint16_t>(lower);
  const double down = std::fabs(x - value(lower)), up = std::fabs(value(upper) - x);
  return static_cast<uint16_t>(down < up || (down == up && lower % 2 == 0) ? lower : upper);
}

void check_rounding(const std::vector<float> &numbers) {
  for (size_t at = 0; at + LANES <= numbers.size(); at += LANES) {
    bfloat16 rounded[LANES];
    store(rounded, load(&numbers[at]));
    for (int lane = 0; lane < LANES; ++lane) {
      const float x = numbers[at + lane];
      const uint16_t got = rounded[lane].bits;
      if (std::isnan(x))
        CHECK(std::isnan(as_float(rounded[lane])), "NaN %08x became %04x", bits(x), got);
      else
        CHECK(got == nearest(x), "%08x became %04x, not %04x", bits(x), got, nearest(x));
    }
  }
}

void test_rounding() {
  std::vector<float> numbers;
  // Around every bfloat16: itself, its neighbours, ties and their neighbours; infinity, NaN.
  for (uint32_t half = 0; half < 0x10000; ++half)
    for (uint32_t rest : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu, 0x4000u, 0xc000u})
      numbers.push_back(std::bit_cast<float>(half << 16 | rest));
  check_rounding(numbers);
}

void test_selection() {
  const float numbers[] = {-INF, -2, -0.0f, 0, 1e-40f, 1, 3, INF, NAN};
  for (float a : numbers)
    for (float b : numbers) {
      const float least = smaller(set(a), set(b))[LANES - 1];
      const float most = larger(set(a), set(b))[LANES - 1];
      CHECK(bits(least) == bits(a < b ? a : b), "smaller(%g, %g) = %g", a, b, least);
      CHECK(bits(most) == bits(a > b ? a : b), "larger(%g, %g) = %g", a, b, most);
    }
}

void test_sum() {
  float powers[LANES];
  for (int64_t lane = 0; lane < LANES; ++lane) powers[lane] = static_cast<float>(1 << lane);
  CHECK(sum(load(powers)) == static_cast<float>((1 << LANES) - 1), "got %g", sum(load(powers)));
}

}  // namespace

int main() {
  test_lengths<float>();
  test_lengths<bfloat16>();
  test_rounding();
  test_selection();
  test_sum();
  return grukit_test::failed_checks();
}
