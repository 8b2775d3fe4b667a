package telemetry

import "time"

// Time returns the time of a point that Add would add now: what At has set, else the clock's in whole microseconds. It is
// for collectors that add rows to a group.
func (b *Batch) Time() time.Time { return time.Unix(0, b.now()) }
