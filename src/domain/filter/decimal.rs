//! Numbers as they are written, compared exactly: `1.0` is `1`, and two ids of twenty digits that differ in the last one
//! differ. Nothing is converted to binary fractions, and no exponent is expanded.

use std::cmp::Ordering;
use std::io::Write;

/// A number in the notation of JSON.
#[derive(Clone, Copy)]
pub(super) enum Decimal<'a> {
    /// A whole number that fits.
    Whole(i64),
    /// Any other number.
    Written(Written<'a>),
}

/// Most bytes, with the sign, of a number that is kept as [`Decimal::Whole`]: all numbers of 18 digits fit.
const WHOLE_BYTES: usize = 18;

impl<'a> Decimal<'a> {
    /// Reads a number. Of a text that is no number it makes some number.
    pub(super) fn read(text: &'a str) -> Self {
        whole(text.as_bytes()).map_or_else(|| Self::Written(Written::read(text.as_bytes())), Self::Whole)
    }

    pub(super) fn is_zero(self) -> bool {
        self.order(Decimal::Whole(0)).is_eq()
    }

    pub(super) fn order(self, other: Decimal<'_>) -> Ordering {
        if let (Self::Whole(this), Decimal::Whole(other)) = (self, other) {
            return this.cmp(&other);
        }
        let (mut room, mut other_room) = ([0; 20], [0; 20]);
        self.written(&mut room).order(&other.written(&mut other_room))
    }

    /// The number as text, in `room` where there is none.
    fn written<'r>(self, room: &'r mut [u8; 20]) -> Written<'r>
    where
        'a: 'r,
    {
        match self {
            Self::Written(written) => written,
            Self::Whole(number) => {
                let mut free = &mut room[..];
                // The longest number, -9223372036854775808, has 20 bytes.
                let _ = write!(free, "{number}");
                let used = 20 - free.len();
                Written::read(&room[..used])
            }
        }
    }
}

/// The number, if it is whole and short enough.
fn whole(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || text.len() > WHOLE_BYTES {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        number = number * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    Some(if digits.len() < text.len() { -number } else { number })
}

/// The number `0.DIGITS * 10^(point + exponent)`.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    negative: bool,
    /// From the first to the last digit that is not 0, with the decimal point if it is between them. Empty for zero.
    digits: &'a [u8],
    /// Where the decimal point is, counted in digits from the first one on. At most the length of the text.
    point: i64,
    exponent_negative: bool,
    /// The digits of the exponent, without zeros before them.
    exponent: &'a [u8],
}

impl<'a> Written<'a> {
    fn read(text: &'a [u8]) -> Self {
        let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let end = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
        let (mantissa, exponent) = text.split_at(end);
        let (exponent_negative, exponent) = match exponent {
            [_, b'-', digits @ ..] => (true, digits),
            [_, b'+', digits @ ..] | [_, digits @ ..] => (false, digits),
            [] => (false, exponent),
        };
        let zeros = exponent.iter().take_while(|digit| **digit == b'0').count();
        let counts = |digit: &u8| matches!(digit, b'1'..=b'9');
        let first = mantissa.iter().position(counts).unwrap_or(mantissa.len());
        let last = mantissa.iter().rposition(counts).map_or(first, |at| at + 1);
        let point_at = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
        let point = if first < point_at { distance(first, point_at) } else { 1 - distance(point_at, first) };
        Self { negative, digits: &mantissa[first..last], point, exponent_negative, exponent: &exponent[zeros..] }
    }

    fn order(&self, other: &Written<'_>) -> Ordering {
        let signs = self.sign().cmp(&other.sign());
        if signs.is_ne() || self.digits.is_empty() {
            return signs;
        }
        let size = self.magnitude_order(other).then_with(|| self.digits().cmp(other.digits()));
        if self.negative { size.reverse() } else { size }
    }

    /// 0 for zero.
    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn digits(&self) -> impl Iterator<Item = &u8> {
        self.digits.iter().filter(|digit| **digit != b'.')
    }

    /// Compares `point + exponent`. Exponents may have any number of digits, so they are subtracted from the left, and
    /// only until the difference is greater than any difference of points.
    fn magnitude_order(&self, other: &Written<'_>) -> Ordering {
        const BEYOND_POINTS: i64 = 1 << 50;
        let places = self.exponent.len().max(other.exponent.len());
        let mut difference = 0;
        for place in (0..places).rev() {
            difference = difference * 10 + self.exponent_digit(place) - other.exponent_digit(place);
            if difference.abs() > BEYOND_POINTS {
                break;
            }
        }
        (self.point + difference).cmp(&other.point)
    }

    /// The digit of the exponent at this place (0: ones, 1: tens), with the exponent's sign.
    fn exponent_digit(&self, place: usize) -> i64 {
        let at = self.exponent.len().checked_sub(place + 1);
        let digit = at.and_then(|at| self.exponent.get(at)).map_or(0, |digit| i64::from(digit.wrapping_sub(b'0')));
        if self.exponent_negative { -digit } else { digit }
    }
}

fn distance(from: usize, to: usize) -> i64 {
    i64::try_from(to - from).unwrap_or(i64::MAX)
}
