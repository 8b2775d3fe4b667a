package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// hanging are plugins whose processes do not end by themselves: deaf to TERM; with one in the background that holds the output
// open; with one in another session; a pipeline of a shell; and one that is halted.
const hanging = `
collect:
  deaf: { run: [sh, -c, "trap '' TERM HUP INT; while :; do sleep 1; done"] }
  holds: { run: [sh, -c, "trap '' TERM; sleep 1000 & exec sleep 1000"] }
  away: { run: [sh, -c, "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' & exec sleep 1000"] }
  pipes: { run: [sh, -c, "yes | (trap '' TERM PIPE; while read -r x; do sleep 1; done) | cat"] }
  halted: { run: [sh, -c, "kill -STOP $$; exec sleep 1000"] }
publish: { file: { use: lines, from: [send], path: points.lp } }
`

var hangingNames = []string{"deaf", "holds", "away", "pipes", "halted"}

// What hangs is gone when its deadline is over, with all it has started.
func TestHangingChildren(t *testing.T) {
	t.Parallel()
	s := up(t, hanging, hangingNames...)
	mark, _, _ := strings.Cut(markOf(s.pidsOf()["file"]), ".")
	const others = 2 // the publisher and the guard
	var pids []int
	s.await(readyWithin, "all processes are there", func() bool {
		pids = marked(t, mark)
		_, state := statOf(s.plugins()["halted"].PID)
		return len(pids) >= others+1+2+2+4+1 && state == "T"
	})
	before := s.now()["file"].PID
	begin := time.Now()
	ends := map[string]func() result{}
	for _, name := range hangingNames[:4] {
		ends[name] = s.begin("", "plugin", "stop", name)
	}
	ends["halted"] = s.begin("", "plugin", "unload", "halted")
	for _, name := range hangingNames {
		r := ends[name]()
		t.Logf("%s was gone within %v", name, time.Since(begin).Round(time.Millisecond)) // after TERM it has 5 s
		if r.code != 0 {
			t.Errorf("%s: exit code %d: %s", name, r.code, r.err)
		}
	}
	await(t, readyWithin, "no other process is left", func() bool { return len(marked(t, mark)) == others })
	await(t, readyWithin, "none is left without its mark", func() bool {
		left := marked(t, mark)
		return !slices.ContainsFunc(pids, func(pid int) bool { return alive(pid) && !slices.Contains(left, pid) })
	})
	s.do("plugin", "unload", "deaf", "holds", "away", "pipes")
	if list := s.now(); len(list) != 1 || list["file"].PID != before {
		t.Errorf("plugins %+v, and file was process %d", list, before)
	}
	s.drain()
}
