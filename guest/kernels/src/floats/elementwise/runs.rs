//! How the values of a smaller shape lie beside those of a larger one.

/// The larger one's values in their order, as runs that the smaller one has neighbours for, or one value.
pub struct Runs {
    /// Of the larger one.
    pub len: usize,
    /// A run has one value of the smaller one.
    pub is_of_one: bool,
    /// The axes before a run: how long, and how far apart in the smaller one.
    outer: Vec<(usize, usize)>,
}

impl Runs {
    /// # Panics
    /// Unless `small` has as many axes, each as long or one.
    pub fn new(shape: &[usize], small: &[usize]) -> Runs {
        assert_eq!(shape.len(), small.len(), "shapes of as many axes");
        let mut axes: Vec<(usize, usize)> = Vec::with_capacity(shape.len());
        let mut stride = 1;
        for (&size, &own) in shape.iter().zip(small).rev() {
            assert!(own == size || own == 1, "an axis that is as long, or one");
            if size != 1 {
                axes.push((size, if own == 1 { 0 } else { stride }));
            }
            stride *= own;
        }
        let is_of_one = axes.first().is_none_or(|(_, stride)| *stride == 0);
        let alike = axes
            .iter()
            .take_while(|(_, stride)| (*stride == 0) == is_of_one);
        let (inner, len) = alike.fold((0, 1), |(count, len), (size, _)| (count + 1, len * size));
        Runs {
            len,
            is_of_one,
            outer: axes.split_off(inner),
        }
    }

    /// Where each run's values begin in the smaller one.
    pub fn for_each(&self, mut what: impl FnMut(usize)) {
        let mut index = vec![0; self.outer.len()];
        let mut place = 0;
        'runs: loop {
            what(place);
            for (index, (size, stride)) in index.iter_mut().zip(&self.outer) {
                *index += 1;
                place += stride;
                if *index < *size {
                    continue 'runs;
                }
                place -= stride * size;
                *index = 0;
            }
            return;
        }
    }
}
