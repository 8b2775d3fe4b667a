package process

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// confine sets what the process inherits on to all it starts. It runs already, for a moment: whom it has started before it
// is confined is known after it, and confined as well.
func confine(pid int, l Limits) {
	none := unix.Rlimit{}
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &none, nil) // it may have ended
	var files unix.Rlimit
	if l.Files > 0 && unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &files) == nil {
		files.Max = min(files.Max, uint64(l.Files)) // no more than we have ourselves
		files.Cur = files.Max
		_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &files, nil)
	}
	for _, child := range childrenNow(pid) {
		confine(child, l)
	}
}

// childrenNow are the children of a process at this moment.
func childrenNow(pid int) (pids []int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is a good one
	for _, path := range threads {
		text, _ := os.ReadFile(path) // it has ended
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// watchLimits begins to watch the limits that no cgroup holds.
func (p *Process) watchLimits() (stop func()) {
	watched := p.limits
	if p.group.holds("memory") {
		watched.Memory = 0
	}
	if p.group.holds("pids") {
		watched.Processes = 0
	}
	if watched.Memory <= 0 && watched.Processes <= 0 {
		return func() {}
	}
	limitWatch.add(p, watched)
	return func() { limitWatch.remove(p) }
}

// limitWatch is one look through /proc for all: for each process of its own it would cost as much as many of them do.
var limitWatch watcher

type watcher struct {
	mu   sync.Mutex
	on   map[*Process]Limits
	stop chan struct{} // ends run; nil when it does not run
}

func (w *watcher) add(p *Process, l Limits) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.on) == 0 {
		w.on, w.stop = map[*Process]Limits{}, make(chan struct{})
		go w.run(w.stop)
	}
	w.on[p] = l
}

func (w *watcher) remove(p *Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.on, p)
	if len(w.on) == 0 {
		close(w.stop)
	}
}

func (w *watcher) run(stop <-chan struct{}) {
	const pause = time.Second
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			w.look()
		}
	}
}

func (w *watcher) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := maps.Collect(processes())
	families := map[int][]int{}
	for p := range w.on {
		families[p.pid] = p.group.pids()
	}
	for pid, s := range all {
		if head := headOf(pid, all, families); head != 0 && !s.dead {
			families[head] = append(families[head], pid)
		}
	}
	for p, l := range w.on {
		if limit := over(families[p.pid], all, l, p.limits); limit != "" {
			p.exceed(limit)
		}
	}
}

// headOf finds whose family a process belongs to: by its group, or by its parents; 0 if nobody's.
func headOf[T any](pid int, all map[int]stat, heads map[int]T) int {
	const deepest = 100 // a process that ends while we look may close a ring
	for range deepest {
		s, ok := all[pid]
		if !ok {
			return 0
		}
		if _, ok := heads[pid]; ok {
			return pid
		}
		if _, ok := heads[s.group]; ok {
			return s.group
		}
		pid = s.parent
	}
	return 0
}

// over names the limit that a family does not keep, "" if it keeps all.
func over(family []int, all map[int]stat, watched, limits Limits) string {
	var memory int64
	threads := 0
	seen := map[int]bool{}
	for _, pid := range family {
		if !seen[pid] {
			seen[pid] = true
			memory += anonymous(pid)
			threads += all[pid].threads
		}
	}
	switch {
	case watched.Memory > 0 && memory > watched.Memory && shared(seen) > watched.Memory:
		return memoryLimit(limits)
	case watched.Processes > 0 && threads > watched.Processes:
		return processLimit(limits)
	}
	return ""
}

// anonymous is the memory of a process that no file backs, in bytes: what a cgroup would hold against it, but for its share
// of the page cache. Pages that it shares with its parent count in both.
func anonymous(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text) + " 0 0 0")
	resident, _ := strconv.ParseInt(f[1], 10, 64)
	fromFiles, _ := strconv.ParseInt(f[2], 10, 64)
	return (resident - fromFiles) * int64(os.Getpagesize())
}

// shared is the same of several, with each page once. It is dear, and for those only that seem to be above their limit.
func shared(pids map[int]bool) (total int64) {
	for pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // gone, or not ours to look into
		total += cmp.Or(parseRollup(string(text)), anonymous(pid))
	}
	return total
}

// parseRollup finds Pss_Anon, in bytes.
func parseRollup(text string) int64 {
	_, rest, _ := strings.Cut(text, "\nPss_Anon:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	return kib << 10
}
