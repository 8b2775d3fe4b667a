package nagios

import (
	"math"
	"strings"
)

// seconds are the units of time.
var seconds = map[string]float64{"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}

// prefixes are those of bytes and bits, each a kilo times the one before it.
const prefixes = "KMGTPE"

// Base returns the unit that a unit is a multiple of, and the factor between them; kilo is what the check means by a k, 1000 or
// 1024. A unit that is a multiple of none comes back with a factor of 1.
func Base(unit string, kilo int) (base string, factor float64) {
	if f, ok := seconds[unit]; ok {
		return "s", f
	}
	multiple, binary := strings.CutSuffix(strings.TrimRight(unit, "Bb"), "i")
	power := strings.Index(prefixes, strings.Replace(multiple, "k", "K", 1)) + 1
	base = strings.TrimPrefix(unit[len(multiple):], "i")
	if len(multiple) != 1 || len(base) != 1 || power == 0 {
		return unit, 1
	}
	if binary {
		kilo = 1024
	}
	return base, math.Pow(float64(kilo), float64(power))
}
