// Elementary functions that a compiler vectorises: no branch, no table, no call. Each is right to a
// few units in the last place over the whole range of its argument, NaN and infinities included.
//
// A float is s · 2ⁿ · m. Scaling by 2ⁿ and taking n out are integer arithmetic on its bits, and what
// remains of the argument is small enough for a short series.
#include <cstdint>

namespace npvae {

template <class T> struct Format;
template <> struct Format<float> {
    typedef int32_t Int;
    typedef uint32_t Unsigned;  // whose bits may be shifted out
    static constexpr int MANTISSA = 23, BIAS = 127;
    static constexpr float ROUND = 0x1.8p23f;  // x + ROUND has no bits below 1
    static constexpr float LN2_HIGH = 0x1.62ep-1f, LN2_LOW = 0x1.0bfbe8p-15f;
    static constexpr float LOWEST = -104, HIGHEST = 89;  // eˣ is 0 below, ∞ above
    static constexpr int EXP_TERMS = 7, LOG_TERMS = 5;
};
template <> struct Format<double> {
    typedef int64_t Int;
    typedef uint64_t Unsigned;
    static constexpr int MANTISSA = 52, BIAS = 1023;
    static constexpr double ROUND = 0x1.8p52;
    static constexpr double LN2_HIGH = 0x1.62e42feep-1, LN2_LOW = 0x1.a39ef35793c76p-33;
    static constexpr double LOWEST = -746, HIGHEST = 710;
    static constexpr int EXP_TERMS = 13, LOG_TERMS = 11;
};

#define INLINE inline __attribute__((always_inline))
#define FLOATING(T) class T, class = typename Format<T>::Int  // float or double, and nothing else

INLINE float fabs(float x) { return __builtin_fabsf(x); }
INLINE double fabs(double x) { return __builtin_fabs(x); }
INLINE float copysign(float x, float sign) { return __builtin_copysignf(x, sign); }
INLINE double copysign(double x, double sign) { return __builtin_copysign(x, sign); }
INLINE float sqrt(float x) { return __builtin_sqrtf(x); }
INLINE double sqrt(double x) { return __builtin_sqrt(x); }
INLINE float rint(float x) { return __builtin_rintf(x); }
INLINE double rint(double x) { return __builtin_rint(x); }
INLINE double floor(double x) { return __builtin_floor(x); }

template <FLOATING(T)> INLINE typename Format<T>::Int bits(T x)
{
    return __builtin_bit_cast(typename Format<T>::Int, x);
}

// n, |n| < 2²², as a number: of 64 bits AVX2 has no instruction for that.
template <FLOATING(T)> INLINE T to_floating(typename Format<T>::Int n)
{
    return __builtin_bit_cast(T, n + bits(Format<T>::ROUND)) - Format<T>::ROUND;
}

// 2ⁿ, n the exponent of a normal number.
template <FLOATING(T)> INLINE T power_of_two(typename Format<T>::Int n)
{
    typedef typename Format<T>::Unsigned Unsigned;
    return __builtin_bit_cast(T, (Unsigned(n) + Format<T>::BIAS) << Format<T>::MANTISSA);
}

// x = n ln 2 + r, |r| ≤ ½ ln 2, and eʳ − 1 = Σ_k rᵏ/k!.
template <class T> struct Reduced {
    typename Format<T>::Int n;
    T expm1;
};
template <FLOATING(T)> INLINE Reduced<T> reduce(T x)
{
    typedef Format<T> F;
    const T shifted = x * T(1.4426950408889634) + F::ROUND, n = shifted - F::ROUND;
    const T r = (x - n * F::LN2_HIGH) - n * F::LN2_LOW;
    T sum = 0;
    T factorial[F::EXP_TERMS + 1] = {1};
    for (int k = 1; k <= F::EXP_TERMS; k++) factorial[k] = factorial[k - 1] * k;
    for (int k = F::EXP_TERMS; k > 1; k--) sum = sum * r + 1 / factorial[k];
    return {bits(shifted) - bits(F::ROUND), r + r * r * sum};
}

// eˣ. 2ⁿ is multiplied in two halves, for its ends are no normal numbers.
template <FLOATING(T)> INLINE T exp(T x)
{
    typedef Format<T> F;
    const T high = x > F::HIGHEST ? F::HIGHEST : x;
    const Reduced<T> e = reduce(high < F::LOWEST ? F::LOWEST : high);
    const auto half = e.n >> 1;
    return (1 + e.expm1) * power_of_two<T>(half) * power_of_two<T>(e.n - half);
}

// eˣ − 1 = 2ⁿ (eʳ − 1) + (2ⁿ − 1)
template <FLOATING(T)> INLINE T expm1(T x)
{
    typedef Format<T> F;
    const T least = T(-0.75) * (F::MANTISSA + 2);  // −1, to the last bit
    const T high = x > F::HIGHEST ? F::HIGHEST : x;
    const Reduced<T> e = reduce(high < least ? least : high);
    const T half = power_of_two<T>(e.n - 1);
    return x == 0 ? x : 2 * (half * e.expm1 + (half - T(0.5)));
}

// tanh x = −q/(q + 2) of −|x|, q = e^(−2|x|) − 1
template <FLOATING(T)> INLINE T tanh(T x)
{
    const T q = expm1(-2 * fabs(x));
    return copysign(-q / (q + 2), x);
}

// log(1 + f) − f for √½ ≤ 1 + f ≤ √2:  −f²/2 + s (f²/2 + Σ_k 2 s²ᵏ/(2k + 1)),  s = f/(2 + f)
template <FLOATING(T)> INLINE T log_of_1_plus(T f, T low)
{
    const T s = f / (2 + f), s2 = s * s, half = f * f / 2;
    T sum = 0;
    for (int k = Format<T>::LOG_TERMS; k > 0; k--) sum = (sum + T(2) / (2 * k + 1)) * s2;
    return f - (half - (s * (half + sum) + low));
}

// log(2ᵉ x) + low, of a number x that is normal and above 0; ``low`` is small.
template <FLOATING(T)> INLINE T log_of_normal(T x, typename Format<T>::Int e, T low)
{
    typedef Format<T> F;
    typedef typename F::Int Int;
    typedef typename F::Unsigned Unsigned;
    const Unsigned sqrt_half = bits(T(0.7071067811865476)), bias = Unsigned(F::BIAS) << F::MANTISSA;
    const Int n = Int((bits(x) - sqrt_half + bias) >> F::MANTISSA) - F::BIAS;  // AVX2 shifts no sign
    const T m = __builtin_bit_cast(T, bits(x) - Int(Unsigned(n) << F::MANTISSA));
    const T k = to_floating<T>(n + e);
    return k * F::LN2_HIGH + log_of_1_plus(m - 1, k * F::LN2_LOW + low);
}

// What log is at and beyond the ends of its range.
template <FLOATING(T)> INLINE T log_ends(T x, T log_x)
{
    const T inf = __builtin_huge_val(), nan = __builtin_nan("");
    const T inside = x < inf ? log_x : x;  // ∞, NaN
    return x > 0 ? inside : x == 0 ? -inf : x < 0 ? nan : x;
}

template <FLOATING(T)> INLINE T log(T x)
{
    typedef Format<T> F;
    const bool small = x < power_of_two<T>(1 - F::BIAS);  // subnormal
    const T scaled = small ? x * power_of_two<T>(F::MANTISSA + 1) : x;
    return log_ends(x, log_of_normal(scaled, small ? -(F::MANTISSA + 1) : 0, T(0)));
}

// log(1 + x): of u = 1 + x, and of what u lost by rounding.
template <FLOATING(T)> INLINE T log1p(T x)
{
    const T u = 1 + x, lost = x < 1 ? x - (u - 1) : 1 - (u - x);
    const T value = log_ends(u, log_of_normal(u, 0, lost / u));
    return u == 1 ? x : value;
}

// P(ν > v) of a standard normal ν: exp(−½v²) Σ_k TAIL[k] sᵏ, s = (4 − v)/(4 + v), for v ≥ 0, as
// activations.py has it.
constexpr double TAIL[] = {
    0.09441064130191903, 0.17039772155007682, 0.12437925533792367, 0.07170740688983145,
    0.030864811241379315, 0.008492038967261048, 0.0005078402883748355, -0.000639733612885388,
    -0.000185082688243601, 4.2252393039757175e-05, 3.202450035344936e-05, -6.407154048438924e-06,
    -4.681497972173991e-06, 2.21146104626991e-06, -2.9897805606501823e-07};
template <FLOATING(T)> INLINE T upper_tail(T v)
{
    const T far = fabs(v) > 40 ? T(40) : fabs(v), s = (4 - far) / (4 + far);
    T sum = 0;
    for (int k = 14; k >= 0; k--) sum = sum * s + T(TAIL[k]);
    const T q = sum * exp(far * far / -2);
    return v < 0 ? 1 - q : q;
}

// log Γ(x), x ≥ 1: Stirling's series of x + 8, which leaves out 1e-17, less what lies between. For
// small x the two are 20 and all but cancel: an absolute error of 5e-15.
INLINE double lgamma(double x)
{
    const double product = x * (x + 1) * (x + 2) * (x + 3) * ((x + 4) * (x + 5) * (x + 6) * (x + 7));
    const double y = x + 8, z = 1 / (y * y);
    const double series = 1. / 12 - z * (1. / 360 - z * (1. / 1260 - z * (1. / 1680
        - z * (1. / 1188 - z * (691. / 360360 - z / 156)))));
    return (y - 0.5) * log(y) - y + 0.91893853320467274 + series / y - log(product);
}

// sin and cos of 0 ≤ a ≤ 2π: a = k π/2 + r, and the series of both in r.
struct SinCos {
    double sin, cos;
};
INLINE SinCos sincos(double a)
{
    const double shifted = a * 0.6366197723675814 + Format<double>::ROUND;
    const double k = shifted - Format<double>::ROUND;
    const double r = (a - k * 0x1.921fb544p0) - k * 0x1.0b4611a626331p-34, z = r * r;
    const double s = r + r * z * (-1. / 6 + z * (1. / 120 + z * (-1. / 5040 + z * (1. / 362880
        + z * (-1. / 39916800 + z * (1. / 6227020800 - z / 1307674368000))))));
    const double rest = z * z * (1. / 24 + z * (-1. / 720 + z * (1. / 40320 + z * (-1. / 3628800
        + z * (1. / 479001600 + z * (-1. / 87178291200 + z / 20922789888000))))));
    const double half = z / 2, w = 1 - half, c = w + ((1 - w - half) + rest);
    const int64_t quarter = bits(shifted) - bits(Format<double>::ROUND);
    const double sine = quarter & 1 ? c : s, cosine = quarter & 1 ? s : c;
    return {quarter & 2 ? -sine : sine, (quarter + 1) & 2 ? -cosine : cosine};
}

INLINE double sinpi(double x) { return sincos(3.141592653589793 * x).sin; }
INLINE double cospi(double x) { return sincos(3.141592653589793 * x).cos; }

}  // namespace npvae
