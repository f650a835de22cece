/// Repeats a loop's step: 16 are enough that what its head costs does not show.
macro_rules! sixteen_times {
    ($step:block) => {
        four_times!({
            four_times!($step);
        });
    };
}

macro_rules! four_times {
    ($step:block) => {
        $step $step $step $step
    };
}
