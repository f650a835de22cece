//! Depthwise convolutions of whole images: windows with and without a quick way, and borders of each width.

use modelet_kernels::{Depthwise, DepthwiseValues};

use crate::draws::{Draws, agree};

pub fn check() -> Result<String, String> {
    let mut draws = Draws(11);
    let mut cases = 0;
    for channels in [1, 4, 7, 16, 20] {
        for window in [[1, 3], [2, 3], [3, 3], [4, 3], [3, 1], [5, 5]] {
            for (steps, dilations) in [([1, 1], [1, 1]), ([2, 1], [2, 1]), ([2, 2], [1, 2])] {
                for (image, borders) in [([1, 1], 3), ([3, 4], 1), ([5, 6], 0), ([7, 11], 2)] {
                    for limits in [None, Some([-0.5, f32::INFINITY]), Some([-0.25, 0.5])] {
                        let reach = |axis: usize| (window[axis] - 1) * dilations[axis];
                        let fits = |axis: usize| image[axis] + 2 * borders > reach(axis);
                        if !fits(0) || !fits(1) {
                            continue;
                        }
                        // One border less behind the image than before it.
                        let outputs = [0, 1].map(|axis| {
                            let places: usize = image[axis] + (2usize * borders).saturating_sub(1);
                            places.saturating_sub(reach(axis) + 1) / steps[axis] + 1
                        });
                        for channels_last in [true, false] {
                            let sizes = Depthwise {
                                channels,
                                channels_last,
                                image,
                                before: [borders; 2],
                                window,
                                steps,
                                dilations,
                                outputs,
                            };
                            one(&mut draws, &sizes, limits)?;
                            cases += 1;
                        }
                    }
                }
            }
        }
    }
    Ok(format!("{cases} images"))
}

fn one(draws: &mut Draws, sizes: &Depthwise, limits: Option<[f32; 2]>) -> Result<(), String> {
    let channels = sizes.channels;
    let count = |[down, across]: [usize; 2]| down * across * channels;
    let image = draws.many(count(sizes.image));
    let weights = draws.many(count(sizes.window));
    let bias = draws.many(channels);
    let mut output = vec![f32::NAN; count(sizes.outputs)];
    let values = DepthwiseValues {
        image: image.as_ptr(),
        weights: weights.as_ptr(),
        bias: bias.as_ptr(),
        output: output.as_mut_ptr(),
        limits,
    };
    // SAFETY: all are as large as the sizes say.
    unsafe { sizes.run(&values) };
    let index = |place: usize, of: [usize; 2], channel: usize| match sizes.channels_last {
        true => place * channels + channel,
        false => channel * of[0] * of[1] + place,
    };
    let places = (0..sizes.outputs[0] * sizes.outputs[1])
        .flat_map(|place| (0..channels).map(move |channel| (place, channel)));
    for (place, channel) in places {
        let got = output[index(place, sizes.outputs, channel)];
        let at = [place / sizes.outputs[1], place % sizes.outputs[1]];
        let mut expected = bias[channel];
        for tap in 0..sizes.window[0] * sizes.window[1] {
            let taps = [tap / sizes.window[1], tap % sizes.window[1]];
            let from = |axis: usize| {
                let place = at[axis] * sizes.steps[axis] + taps[axis] * sizes.dilations[axis];
                let place = place.checked_sub(sizes.before[axis])?;
                (place < sizes.image[axis]).then_some(place)
            };
            if let (Some(row), Some(col)) = (from(0), from(1)) {
                let value = image[index(row * sizes.image[1] + col, sizes.image, channel)];
                expected += value * weights[index(tap, sizes.window, channel)];
            }
        }
        if let Some([least, most]) = limits {
            expected = expected.clamp(least, most);
        }
        if !agree(got, expected) {
            return Err(format!(
                "{sizes:?}, {limits:?}: place {at:?}, channel {channel}: {got}, not {expected}"
            ));
        }
    }
    Ok(())
}
