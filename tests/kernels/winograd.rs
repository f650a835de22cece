//! Convolutions by fewer multiplications beside those by all of them: windows, sizes around those of a group of
//! outputs and of a tile, images within zeros, and more than is transformed at one time.

use modelet_kernels::{Convolution, Window};
use tract_linalg::mmm::{FusedKerSpec, OutputStoreKer};

use crate::draws::Draws;
use crate::packed::packed;

pub fn check() -> Result<String, String> {
    let mut draws = Draws(11);
    let mut count = 0;
    let mut both_orders = |window, image, filters, padding| {
        count += 2;
        one(&mut draws, window, image, filters, padding, false)?;
        one(&mut draws, window, image, filters, padding, true)
    };
    for (window, heights) in [
        (Window::Three, [1, 3]),
        (Window::Five, [1, 2]),
        (Window::ThreeByThree, [3, 6]),
    ] {
        let widths = [5, 8, 9, 18];
        for (height, width) in heights
            .iter()
            .flat_map(|height| widths.map(|width| (*height, width)))
        {
            for (channels, filters) in [(1, 1), (3, 8), (5, 17)] {
                for padding in [0, 1, 2] {
                    both_orders(window, [channels, height, width], filters, padding)?;
                }
            }
        }
    }
    // Each more than one block.
    both_orders(Window::ThreeByThree, [70, 30, 30], 9, 1)?;
    both_orders(Window::Five, [70, 1, 700], 9, 0)?;
    Ok(format!("{count} convolutions"))
}

fn one(
    draws: &mut Draws,
    window: Window,
    [channels, height, width]: [usize; 3],
    filters: usize,
    padding: usize,
    channels_last: bool,
) -> Result<(), String> {
    let (down, across) = match window {
        Window::Three => (1, 3),
        Window::Five => (1, 5),
        Window::ThreeByThree => (3, 3),
    };
    let above = if down == 1 { 0 } else { padding };
    let (out_height, out_width) = (
        height + 2 * above + 1 - down,
        width + 2 * padding + 1 - across,
    );
    let convolution = Convolution {
        window,
        channels,
        channels_last,
        height,
        width,
        above,
        before: padding,
        filters,
        out_height,
        out_width,
    };
    let image = draws.many(channels * height * width);
    let depth = channels * down * across;
    let weights = draws.many(filters * depth);
    let bias = draws.many(filters);
    let packed = packed(&weights, filters, depth, 8)?;
    let mut stored = vec![f32::NAN; filters * out_height * out_width];
    let outputs = out_height * out_width;
    // From one filter, channel or place to the next.
    let [by_filter, by_output, by_channel, by_place] = match channels_last {
        true => [1, filters, 1, channels],
        false => [outputs, 1, height * width, 1],
    };
    let store = FusedKerSpec::Store(OutputStoreKer {
        ptr: stored.as_mut_ptr().cast(),
        row_byte_stride: (size_of::<f32>() * by_filter) as isize,
        col_byte_stride: (size_of::<f32>() * by_output) as isize,
        item_size: size_of::<f32>(),
    });
    let limits = [FusedKerSpec::ScalarMax(-2.0), FusedKerSpec::ScalarMin(2.0)];
    let following = [
        FusedKerSpec::PerRowAdd(bias.as_ptr()),
        limits[0],
        limits[1],
        store,
    ];
    // Everything, and nothing else than to store.
    for following in [&following[..], &following[3..]] {
        // SAFETY: everything is as large as the sizes say.
        unsafe { convolution.run(image.as_ptr(), &packed, following) }
            .ok_or("something else follows")?;
        for (filter, output) in
            (0..filters).flat_map(|filter| (0..outputs).map(move |output| (filter, output)))
        {
            let got = stored[filter * by_filter + output * by_output];
            let (row, col) = (output / out_width, output % out_width);
            let mut sum = 0f64;
            for tap in 0..depth {
                let channel = tap / (down * across);
                let from_row = (row + tap / across % down).checked_sub(above);
                let from_col = (col + tap % across).checked_sub(padding);
                let (Some(from_row), Some(from_col)) = (from_row, from_col) else {
                    continue;
                };
                if from_row < height && from_col < width {
                    let value =
                        image[channel * by_channel + (from_row * width + from_col) * by_place];
                    sum += f64::from(value) * f64::from(weights[filter * depth + tap]);
                }
            }
            let expected = match following {
                [_] => sum,
                _ => (sum + f64::from(bias[filter])).clamp(-2.0, 2.0),
            };
            if (f64::from(got) - expected).abs() > 2e-5 * (1.0 + expected.abs()) {
                return Err(format!(
                    "{convolution:?}: filter {filter}, row {row}, column {col}: {got}, not {expected}"
                ));
            }
        }
    }
    Ok(())
}
