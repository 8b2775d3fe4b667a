package pulse

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns how long ago the machine booted, and how much of that it slept.
func sinceBoot() (up, asleep time.Duration) {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0, 0
	}
	up = time.Duration(boot.Nano())
	return up, up - time.Duration(mono.Nano())
}

// Boot returns the id of this boot of the machine, "" where the system has none.
func Boot() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
