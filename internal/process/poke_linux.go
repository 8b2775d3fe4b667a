package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// heeds reports whether a process catches, ignores or blocks a signal.
func heeds(pid int, sig syscall.Signal) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	var mask uint64
	for line := range strings.Lines(string(text)) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "SigBlk", "SigIgn", "SigCgt":
			bits, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64) // written by the kernel
			mask |= bits
		}
	}
	return mask>>(sig-1)&1 == 1
}
