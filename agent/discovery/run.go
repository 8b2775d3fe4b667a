package discovery

import (
	"context"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"
)

// gather is how long after the first sign of a change others may follow: copying a file gives many.
const gather = 100 * time.Millisecond

// Run scans at once, after a change in one of the directories, and at each interval, until ctx ends. It returns nil.
func (f *Finder) Run(ctx context.Context) error {
	w := f.watcher()
	defer w.close()
	for ctx.Err() == nil {
		w.watch(f.o.Dirs) // before the scan: what changes meanwhile is seen by the next
		f.Scan(ctx)
		w.wait(ctx, f.o.Every)
	}
	return nil
}

// A watcher tells of changes in directories. Without help of the system it has only the clock.
type watcher struct {
	notify *fsnotify.Watcher // nil: none
	events <-chan fsnotify.Event
	errors <-chan error
	log    *slog.Logger
}

func (f *Finder) watcher() watcher {
	if len(f.o.Dirs) == 0 {
		return watcher{}
	}
	n, err := fsnotify.NewWatcher()
	if err != nil {
		f.log.Warn("plugin directories are not watched, only scanned", "every", f.o.Every, "error", err)
		return watcher{}
	}
	return watcher{n, n.Events, n.Errors, f.log}
}

func (w watcher) close() {
	if w.notify != nil {
		w.notify.Close()
	}
}

// watch begins to watch the directories that were not there before; for the others it is nothing.
func (w watcher) watch(dirs []string) {
	if w.notify == nil {
		return
	}
	for _, dir := range dirs {
		_ = w.notify.Add(dir) // it is not there, or cannot be watched: the scans see to it
	}
}

// wait returns when it is time for the next scan.
func (w watcher) wait(ctx context.Context, every time.Duration) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-w.events:
		w.rest(ctx)
	case err := <-w.errors: // such as that there were too many events to tell
		w.log.Debug("plugin directories are watched with gaps", "error", err)
		w.rest(ctx)
	}
}

// rest takes what else there is, for a while.
func (w watcher) rest(ctx context.Context) {
	timer := time.NewTimer(gather)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-w.events:
		case err := <-w.errors:
			w.log.Debug("plugin directories are watched with gaps", "error", err)
		}
	}
}
