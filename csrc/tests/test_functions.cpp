// Each function against its double counterpart, with the errors that math/functions.h states.
#include "math/functions.h"

#include <bit>
#include <cmath>
#include <limits>

#include "tests/check.h"

namespace {

using namespace grukit::GRUKIT_ISA;

constexpr float INF = std::numeric_limits<float>::infinity();

struct Function {
  const char *name;
  Vector (*vector)(Vector);
  double (*exact)(double);
  float from, to;  // where the error is at most
  double ulp;
  float below, above;  // results far outside
  double least, most;  // of any result
};

const Function FUNCTIONS[] = {
    {"exponential", [](Vector x) { return exponential(x); }, [](double x) { return std::exp(x); },
     -87.3f, 87.3f, 1.2, 0, INF, 0, INF},
    {"sigmoid", [](Vector x) { return sigmoid(x); },
     [](double x) { return 1 / (1 + std::exp(-x)); }, -87.3f, INF, 2.5, 0, 1, 0, 1},
    {"tanh", [](Vector x) { return grukit::GRUKIT_ISA::tanh(x); },
     [](double x) { return std::tanh(x); }, -INF, INF, 2.7, -1, 1, -1, 1},
};

// The distance of floats next to a number.
double spacing(double value) {
  constexpr int SMALLEST = -149;
  const int exponent = value == 0 ? SMALLEST : std::ilogb(value) - 23;
  return std::ldexp(1, exponent < SMALLEST ? SMALLEST : exponent);
}

class Sweep {
 public:
  explicit Sweep(const Function &function) : function_(function) {}

  void add(float x) {
    x_[filled_++] = x;
    if (filled_ == LANES) run();
  }

  double worst() const { return worst_; }
  float worst_at() const { return worst_at_; }

 private:
  void run() {
    store(y_, function_.vector(load(x_)));
    store(mirrored_, function_.vector(-load(x_)));
    for (int lane = 0; lane < LANES; ++lane) check(x_[lane], y_[lane], mirrored_[lane]);
    filled_ = 0;
  }

  void check(float x, float y, float mirrored) {
    if (std::isnan(x)) {
      CHECK(std::isnan(y), "%s(NaN) = %g", function_.name, y);
      return;
    }
    CHECK(y >= function_.least && y <= function_.most, "%s(%.9g) = %.9g", function_.name, x, y);
    if (function_.least == -function_.most)
      CHECK(std::bit_cast<uint32_t>(y) == std::bit_cast<uint32_t>(-mirrored),
            "%s(%.9g) = %.9g, but %.9g of its negative", function_.name, x, y, mirrored);
    if (x < -89) CHECK(y == function_.below, "%s(%.9g) = %.9g", function_.name, x, y);
    if (x > 89) CHECK(y == function_.above, "%s(%.9g) = %.9g", function_.name, x, y);
    if (x < function_.from || x > function_.to) return;
    const double exact = function_.exact(x), error = std::fabs(y - exact) / spacing(exact);
    CHECK(error <= function_.ulp, "%s(%.9g) = %.9g is off by %.2f ULP", function_.name, x, y,
          error);
    if (error > worst_) worst_ = error, worst_at_ = x;
  }

  const Function &function_;
  int filled_ = 0;
  float x_[LANES], y_[LANES], mirrored_[LANES];
  double worst_ = 0;
  float worst_at_ = 0;
};

void test(const Function &function) {
  Sweep sweep(function);
  // All signs and exponents, denormal numbers, infinity and NaN of every kind among them.
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 8191)
    sweep.add(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  for (uint32_t bits = std::bit_cast<uint32_t>(0x1p-8f); bits < std::bit_cast<uint32_t>(32.0f);
       bits += 61) {
    sweep.add(std::bit_cast<float>(bits));
    sweep.add(-std::bit_cast<float>(bits));
  }
  for (int step = -90000; step <= 90000; ++step) sweep.add(static_cast<float>(step) * 1e-3f);
  for (float x : {0.0f, -0.0f, INF, -INF, 0x1p-149f, 0x1.fffffep127f, -0x1.fffffep127f, NAN})
    for (int lane = 0; lane < LANES; ++lane) sweep.add(x);
  for (int lane = 0; lane < LANES; ++lane) sweep.add(1);  // so that no lane waits
  std::printf("%s: at most %.3f ULP, at %.9g\n", function.name, sweep.worst(), sweep.worst_at());
}

}  // namespace

int main() {
  for (const Function &function : FUNCTIONS) test(function);
  return grukit_test::failed_checks();
}
