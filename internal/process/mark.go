package process

import (
	"crypto/rand"
	"os"
	"slices"
	"strings"
)

// Mark is the environment variable by which the descendants of a process are
// known even after they have left its group. A process that is itself marked
// marks its own processes below its mark, so that ending it ends theirs too.
const Mark = "PACEWIRE_RUN"

// newMark is an environment entry that no other process has.
func newMark() string {
	own := os.Getenv(Mark)
	if own != "" {
		own += "."
	}
	return Mark + "=" + own + rand.Text()
}

// marked reports whether an environment, as in /proc/PID/environ, carries the
// mark or one below it.
func marked(environ, mark string) bool {
	for entry := range strings.SplitSeq(environ, "\x00") {
		if rest, ok := strings.CutPrefix(entry, mark); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

func withoutMark(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		return strings.HasPrefix(entry, Mark+"=")
	})
}
