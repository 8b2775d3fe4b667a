package host

import (
	"strings"
	"testing"
	"time"
)

// What is given again is for a plugin as a whole, and one that is disabled is told from one that is not there.
func TestErrandOfNobody(t *testing.T) {
	r := rigged(t, "collect: { numbers: }\nprocess: { hot: { use: pass, from: numbers, replicas: 2 }, off: { use: pass, from: numbers, enabled: false } }\n")
	f := func(name, want string) {
		t.Helper()
		if _, err := r.h.Replay(t.Context(), name, time.Now().Add(-time.Hour), time.Time{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	f("hot.2", "hot.2 is one process of hot, and what is given again is for the whole plugin: say hot")
	f("hot.9", "hot.9 is one process of hot")
	f("hott", `has no plugin "hott": did you mean hot?`)
	f("hott.2", `has no plugin "hott.2"`)
	f("off", "is disabled in the config: take out enabled: false")
}
