package conform

// source is what the batches that readers get come from.
const source = "source"
