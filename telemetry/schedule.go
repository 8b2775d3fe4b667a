package telemetry

// Schedule says when a collector is asked, beyond a plain interval. With Cron there is no interval.
type Schedule struct {
	Cron     string `json:"cron,omitzero"`     // five fields, or six with seconds first, or a word such as @daily
	Timezone string `json:"timezone,omitzero"` // IANA name of the clock that Cron means; empty: the machine's
	Align    bool   `json:"align,omitzero"`    // ticks at multiples of the interval on the wall clock: 10:00:00, 10:00:10 ...
	SplayMS  int64  `json:"splay_ms,omitzero"` // each host ticks later by a part of this, the same each time
	From     int64  `json:"from,omitzero"`     // no tick before, Unix ns; 0: at once
	Until    int64  `json:"until,omitzero"`    // no tick at or after, Unix ns; 0: for ever
	Count    int64  `json:"count,omitzero"`    // no tick after so many; 0: for ever
}
