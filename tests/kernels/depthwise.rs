//! Depthwise convolution along rows: each number of taps and each length up to where all is repeated.

use crate::draws::{Draws, agree};

pub fn check() -> Result<String, String> {
    let mut draws = Draws(2);
    let mut cases = 0;
    for stride in 1..=3 {
        for taps in 0..=10 {
            for len in 0..=21 {
                one(&mut draws, stride, taps, len)?;
                cases += 1;
            }
        }
    }
    Ok(format!("{cases} rows"))
}

fn one(draws: &mut Draws, stride: usize, taps: usize, len: usize) -> Result<(), String> {
    let factors = draws.many(taps);
    // Rows of three, as windows have, each longer than what is read of it.
    let row = stride * len + 5;
    let offsets: Vec<isize> = (0..taps)
        .map(|tap| (tap / 3 * row + tap % 3) as isize)
        .collect();
    // What is behind the last value that may be read is not there.
    let last = offsets.last().copied().unwrap_or(0) as usize;
    let input = draws.many(last + (len.max(1) - 1) * stride + 1);
    let bias = draws.next();
    let mut output = vec![7.0; len + 8];
    // SAFETY: what the taps reach ends with the input, and the output is longer than `len`.
    unsafe {
        modelet_kernels::depthwise(
            input.as_ptr(),
            output.as_mut_ptr(),
            &factors,
            &offsets,
            bias,
            len,
            stride as isize,
        );
    }
    for (index, got) in output.iter().enumerate() {
        let products = factors
            .iter()
            .zip(&offsets)
            .take(if index < len { taps } else { 0 });
        let sum = products.fold(bias, |sum, (factor, offset)| {
            sum + factor * input[*offset as usize + index * stride]
        });
        let expected = if index < len { sum } else { 7.0 };
        if !agree(*got, expected) {
            return Err(format!(
                "value {index} of {len}, {taps} taps, stride {stride}: {got}, not {expected}"
            ));
        }
    }
    Ok(())
}

/// The sizes of one case where channels are neighbours.
#[derive(Debug)]
struct Places {
    channels: usize,
    taps: usize,
    len: usize,
    in_stride: usize,
    out_stride: usize,
    k_stride: usize,
}

pub fn check_by_channel() -> Result<String, String> {
    let mut draws = Draws(3);
    let mut cases = 0;
    for channels in (0..=35).chain([64]) {
        for taps in [0, 1, 4, 6, 9, 15, 16, 17, 25, 33] {
            for len in [0, 1, 3, 4, 5, 8, 11] {
                let places = Places {
                    channels,
                    taps,
                    len,
                    in_stride: 2 * channels,
                    out_stride: channels + 3,
                    k_stride: channels + 1,
                };
                one_by_channel(&mut draws, &places)?;
                cases += 1;
            }
        }
    }
    Ok(format!("{cases} rows of places"))
}

fn one_by_channel(draws: &mut Draws, places: &Places) -> Result<(), String> {
    let Places {
        channels,
        taps,
        len,
        ..
    } = *places;
    let bias = draws.many(channels);
    // Taken from the last tap to the first, with one in between that is not taken.
    let indices: Vec<usize> = (0..taps).map(|tap| 2 * (taps - 1 - tap)).collect();
    let kernel = draws.many(2 * taps * places.k_stride);
    let offsets: Vec<isize> = (0..taps).map(|tap| (tap * channels) as isize).collect();
    let input = draws.many(len * places.in_stride + taps * channels);
    let mut output = vec![7.0; len * places.out_stride];
    // SAFETY: what the taps reach ends with the input, and there is a place for each value.
    unsafe {
        modelet_kernels::depthwise_by_channel(
            input.as_ptr(),
            output.as_mut_ptr(),
            kernel.as_ptr(),
            &indices,
            &offsets,
            bias.as_ptr(),
            channels,
            places.k_stride,
            len,
            places.in_stride as isize,
            places.out_stride as isize,
        );
    }
    for (index, got) in output.iter().enumerate() {
        let (place, channel) = (index / places.out_stride, index % places.out_stride);
        let expected = if channel < channels {
            let products = indices.iter().zip(&offsets).map(|(tap, offset)| {
                let value = input[place * places.in_stride + *offset as usize + channel];
                kernel[tap * places.k_stride + channel] * value
            });
            bias[channel] + products.sum::<f32>()
        } else {
            7.0
        };
        if !agree(*got, expected) {
            return Err(format!(
                "place {place}, channel {channel} of {places:?}: {got}, not {expected}"
            ));
        }
    }
    Ok(())
}
