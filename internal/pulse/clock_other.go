//go:build !linux

package pulse

import "time"

// sinceBoot is not told here: a sleep shows as a step of the wall clock.
func sinceBoot() (up, asleep time.Duration) { return 0, 0 }

// Boot returns the id of this boot of the machine, "" where the system has none.
func Boot() string { return "" }
