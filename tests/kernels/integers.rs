//! Products and convolutions of integers: sizes around those of a tile, zero points, and each kind of output.

use modelet_kernels::integer::{
    Bytes, Columns, Image, Levels, Output, Steps, Taps, To, Weights, Windows, add, product,
    quantize, range,
};

use crate::draws::Draws;

pub fn check() -> Result<String, String> {
    let mut draws = Draws(17);
    let mut products = 0;
    for rows in [1, 3, 4, 5, 9] {
        for depth in [1, 2, 7, 8, 31, 64, 131] {
            for cols in [1, 2, 7, 8, 9, 17] {
                for is_wide in [false, true] {
                    lines(&mut draws, [rows, depth, cols], is_wide)?;
                    products += 1;
                }
            }
        }
    }
    let mut convolutions = 0;
    for window in [[1, 1], [1, 3], [3, 3], [2, 5], [5, 5], [7, 7]] {
        for (steps, dilations) in [
            ([1, 1], [1, 1]),
            ([2, 2], [1, 1]),
            ([1, 3], [2, 2]),
            // No window of a small image may see more than its borders.
            ([9, 9], [1, 1]),
        ] {
            for (image, borders) in [([1, 1], 3), ([9, 9], 0), ([7, 12], 2), ([5, 20], 1)] {
                let reach = |axis: usize| (window[axis] - 1) * dilations[axis] + 1;
                let outputs = [0, 1].map(|axis| {
                    // One border less behind the image than before it.
                    let places: usize = image[axis] + (2usize * borders).saturating_sub(1);
                    places
                        .checked_sub(reach(axis))
                        .map(|left| left / steps[axis] + 1)
                });
                let [Some(down), Some(across)] = outputs else {
                    continue;
                };
                for channels in [1, 3, 4] {
                    let windows = Windows {
                        channels,
                        image,
                        before: [borders; 2],
                        window,
                        steps,
                        dilations,
                        outputs: [down, across],
                    };
                    convolution(&mut draws, &windows)?;
                    convolutions += 1;
                }
            }
        }
    }
    for count in [1, 7, 8, 9, 100] {
        levels(&mut draws, count)?;
    }
    Ok(format!("{products} products, {convolutions} convolutions"))
}

fn integer(draws: &mut Draws, least: i32, most: i32) -> i32 {
    let size = (most - least) as f32;
    least + ((draws.next() + 1.0) / 2.0 * size).round() as i32
}

fn bytes(draws: &mut Draws, count: usize) -> Vec<u8> {
    (0..count).map(|_| integer(draws, 0, 255) as u8).collect()
}

/// Without a zero point of their own, or with more than eight bits.
fn weights(draws: &mut Draws, count: usize, is_wide: bool) -> Vec<i16> {
    let most = if is_wide { 255 } else { 127 };
    (0..count)
        .map(|_| integer(draws, -most - 1, most) as i16)
        .collect()
}

fn same<T: PartialEq + std::fmt::Debug>(
    got: &[T],
    expected: &[T],
    what: &str,
) -> Result<(), String> {
    let differs = got
        .iter()
        .zip(expected)
        .position(|(got, expected)| got != expected);
    match differs {
        Some(at) => Err(format!(
            "{what}: {:?}, not {:?} at {at}",
            got[at], expected[at]
        )),
        None => Ok(()),
    }
}

fn lines(draws: &mut Draws, sizes: [usize; 3], is_wide: bool) -> Result<(), String> {
    let [rows, depth, cols] = sizes;
    let factors = weights(draws, rows * depth, is_wide);
    let columns = Bytes::Unsigned(&bytes(draws, cols * depth)).less(131);
    let mut expected = vec![0; rows * cols];
    for (at, sum) in expected.iter_mut().enumerate() {
        let (col, row) = (at / rows, at % rows);
        for k in 0..depth {
            *sum += i32::from(factors[row * depth + k]) * i32::from(columns[col * depth + k]);
        }
    }
    let what = format!("{sizes:?}, wide: {is_wide}");
    let packed = Weights::new(rows, depth, |row, k| factors[row * depth + k]);
    let mut got = vec![-1; rows * cols];
    // A column after the other.
    let strides = [1, rows];
    let mut output = Output {
        to: To::Sums(&mut got),
        strides,
    };
    product(&packed, Columns::Lines(&columns), &mut output);
    same(&got, &expected, &what)?;

    let multipliers: Vec<f32> = (0..rows).map(|_| draws.next() / 1000.0).collect();
    let mut got = vec![-1.0; rows * cols];
    let mut output = Output {
        to: To::Values(&mut got, &multipliers),
        strides,
    };
    product(&packed, Columns::Lines(&columns), &mut output);
    let of = |at: usize| multipliers[at % rows];
    let values: Vec<f32> = expected
        .iter()
        .enumerate()
        .map(|(at, sum)| *sum as f32 * of(at))
        .collect();
    same(&got, &values, &what)?;

    let bias: Vec<f32> = (0..rows)
        .map(|_| integer(draws, -1000, 1000) as f32)
        .collect();
    let steps = Steps {
        zero: 3,
        limits: [-100, 90],
    };
    let levels = Levels::new(&bias, &multipliers, &steps);
    let mut got = vec![0; rows * cols];
    let mut output = Output {
        to: To::Levels(&mut got, levels),
        strides,
    };
    product(&packed, Columns::Lines(&columns), &mut output);
    let levels: Vec<u8> = expected
        .iter()
        .enumerate()
        .map(|(at, sum)| level(*sum as f32 + bias[at % rows], of(at), 3, [-100, 90]))
        .collect();
    same(&got, &levels, &what)
}

fn level(sum: f32, multiplier: f32, zero: i32, [least, most]: [i32; 2]) -> u8 {
    let rounded = (sum * multiplier).round_ties_even() as i32;
    (rounded + zero).clamp(least, most) as u8
}

/// One with a few filters that look at all channels, and one with two for each channel.
fn convolution(draws: &mut Draws, windows: &Windows) -> Result<(), String> {
    const ZERO: i16 = 5;
    let channels = windows.channels;
    let taps = windows.window[0] * windows.window[1];
    let places = windows.outputs[0] * windows.outputs[1];
    let image = bytes(draws, channels * windows.image[0] * windows.image[1]);
    let values = Bytes::Unsigned(&image).less(ZERO);
    let at = |channel: usize, place: usize, tap: usize| -> i32 {
        let of = |axis: usize, index: [usize; 2]| {
            let place = index[0] * windows.steps[axis] + index[1] * windows.dilations[axis];
            let place = place.checked_sub(windows.before[axis])?;
            (place < windows.image[axis]).then_some(place)
        };
        let [cols, across] = [windows.outputs[1], windows.window[1]];
        match (
            of(0, [place / cols, tap / across]),
            of(1, [place % cols, tap % across]),
        ) {
            (Some(row), Some(col)) => {
                i32::from(values[(channel * windows.image[0] + row) * windows.image[1] + col])
            }
            _ => 0,
        }
    };
    let depth = channels * taps;
    let (filters, strides) = (5, [places, 1]);
    let factors = weights(draws, filters * depth, false);
    let mut expected = vec![0; filters * places];
    for (index, sum) in expected.iter_mut().enumerate() {
        let (filter, place) = (index / places, index % places);
        for k in 0..depth {
            *sum += i32::from(factors[filter * depth + k]) * at(k / taps, place, k % taps);
        }
    }
    let mut got = vec![-1; filters * places];
    let packed = Weights::new(filters, depth, |row, k| factors[row * depth + k]);
    let mut prepared = Image::new(windows.clone());
    prepared.set(Bytes::Unsigned(&image), ZERO);
    let mut output = Output {
        to: To::Sums(&mut got),
        strides,
    };
    product(&packed, Columns::Windows(&prepared), &mut output);
    same(&got, &expected, &format!("{windows:?}"))?;

    let filters = 2 * channels;
    let factors = weights(draws, filters * taps, true);
    let depthwise = Taps::new(taps, factors.clone());
    let mut got = vec![-1; filters * places];
    let of_one = Windows {
        channels: 1,
        ..windows.clone()
    };
    let mut of_channel = Image::new(of_one);
    for channel in 0..channels {
        let size = windows.image[0] * windows.image[1];
        of_channel.set(Bytes::Unsigned(&image).part(channel * size, size), ZERO);
        let to = &mut got[2 * channel * places..];
        let mut output = Output {
            to: To::Sums(to),
            strides,
        };
        depthwise.run(2 * channel..2 * (channel + 1), &of_channel, &mut output);
    }
    let mut expected = vec![0; filters * places];
    for (index, sum) in expected.iter_mut().enumerate() {
        let (filter, place) = (index / places, index % places);
        for tap in 0..taps {
            *sum += i32::from(factors[filter * taps + tap]) * at(filter / 2, place, tap);
        }
    }
    same(&got, &expected, &format!("depthwise, {windows:?}"))
}

/// Values as levels, and sums of levels.
fn levels(draws: &mut Draws, count: usize) -> Result<(), String> {
    let (zero, limits) = (-7, [-128, 127]);
    let steps = Steps { zero, limits };
    let of = |values: &[f32]| -> Vec<u8> {
        let rounded = values.iter().map(|value| value.round_ties_even() as i32);
        rounded
            .map(|value| (value + zero).clamp(limits[0], limits[1]) as u8)
            .collect()
    };
    let mut values = draws.many(count);
    values[0] = f32::NAN;
    let scaled: Vec<f32> = values.iter().map(|value| value / 0.0061).collect();
    let mut got = vec![0; count];
    quantize(&values, 0.0061, &steps, &mut got);
    same(&got, &of(&scaled), &format!("{count} values as levels"))?;
    let least = values
        .iter()
        .fold(0.0, |least: f32, value| least.min(*value));
    let most = values.iter().fold(0.0, |most: f32, value| most.max(*value));
    same(&range(&values), &[least, most], "a range")?;

    let left = bytes(draws, count);
    let right: Vec<i8> = bytes(draws, count)
        .into_iter()
        .map(|byte| byte as i8)
        .collect();
    let pairs = left.iter().zip(&right);
    let sums: Vec<f32> = pairs
        .map(|(left, right)| (f32::from(*left) - 99.0) * 0.4 + (f32::from(*right) + 3.0) * 0.3)
        .collect();
    let operands = [
        (Bytes::Unsigned(&left), 99, 0.4),
        (Bytes::Signed(&right), -3, 0.3),
    ];
    add(operands, &steps, &mut got);
    same(&got, &of(&sums), &format!("{count} sums"))
}
