package liveness

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Rules are the limits by which a Watch judges. Defaults are those of DefaultRules.
type Rules struct {
	Overdue, Down           float64       // multiples of the interval of the watched: 2.5, 4
	OverdueLeast, DownLeast time.Duration // floors of both limits: 5 s, 15 s
	Spread                  time.Duration // over which the watched come back after the bus was away: 20 s; Down is twice that at least
	WarmUp                  time.Duration // after a restart, besides the Down limit of each: 20 s
	Stall                   time.Duration // gap between two sweeps above which the watcher blames itself: 2.5 s
	MassShare               float64       // of those that are UP, overdue within one interval: one incident, 0.2; 0: never
	MassLeast               int           // and so many: 3
	MassHold                time.Duration // for which their DOWN is held back: 30 s
	Upgrade                 time.Duration // after the goodbye "upgrade", until DOWN: 120 s
	Stable                  int           // beats after DOWN until UP counts as stable: 3

	ForgetLeft time.Duration // LEFT or ephemeral: 1 h; 0: never
	ForgetDown time.Duration // DOWN: 7 d; 0: never

	Most     int     // watched at most: 100,000
	NewBurst int     // unknown ones admitted at once: 5,000
	NewRate  float64 // and per second: 50
}

// DefaultRules are those of liveness in the operator's documentation (docs/liveness.md).
func DefaultRules() Rules {
	return Rules{
		Overdue: 2.5, Down: 4, OverdueLeast: 5 * time.Second, DownLeast: 15 * time.Second, Spread: 20 * time.Second,
		WarmUp: 20 * time.Second, Stall: 2500 * time.Millisecond, MassShare: 0.2, MassLeast: 3, MassHold: 30 * time.Second,
		Upgrade: 120 * time.Second, Stable: 3, ForgetLeft: time.Hour, ForgetDown: 7 * 24 * time.Hour,
		Most: 100_000, NewBurst: 5_000, NewRate: 50,
	}
}

// What is no setting, because nobody would know what else to set it to.
const (
	halfLife   = 15 * time.Minute // of the penalty of flapping
	perDown    = 1000.0           // added to it by each DOWN
	suppressAt = 2000.0           // from there on nobody is told
	reuseAt    = 750.0            // until it has sunk to this
	ceiling    = 12000.0          // four half-lives above reuseAt: damped for an hour at most after the last DOWN

	probePause  = time.Second      // between two tries, and until one that could not be asked is asked again
	probeLost   = 10 * time.Second // after which an outcome is not waited for any more
	probeSilent = 2                // tries without an answer that make it silent

	stepLeast = 500 * time.Millisecond // of two clocks against each other between two looks: one was set
	skewLeast = time.Second            // of clocks apart
	skewFor   = 10 * time.Minute

	aliasFor    = 30 * 24 * time.Hour // after the last rename
	renameEvery = time.Minute
	alarmEvery  = time.Minute // of refused unknown hosts

	mostRetired = 8
	mostRivals  = 8
	mostAliases = 8
)

// Limits returns after how long a silence one that beats each interval is OVERDUE, and may be DOWN.
func (r Rules) Limits(interval time.Duration) (overdue, down time.Duration) {
	interval = min(max(interval, time.Millisecond), telemetry.MaxIntervalMS*time.Millisecond)
	overdue = max(times(interval, r.Overdue), r.OverdueLeast)
	return overdue, max(times(interval, r.Down), r.DownLeast, 2*r.Spread)
}

// times multiplies without overflow, whatever a config says.
func times(d time.Duration, by float64) time.Duration {
	return time.Duration(min(max(float64(d)*by, 0), 1<<61))
}
