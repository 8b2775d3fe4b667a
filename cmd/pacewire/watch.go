package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	gather    = 300 * time.Millisecond // editors write in several steps
	lookAgain = 5 * time.Second        // for file systems that tell nothing
)

// watchFiles tells when a file of the config has changed, until ctx ends.
func watchFiles(ctx context.Context, c *configured, log *slog.Logger) <-chan struct{} {
	changed := make(chan struct{}, 1) // one change is as good as several
	events := fileEvents(ctx, c.Files, log)
	go func() {
		last := stamp(c)
		for pause(ctx, events) {
			now := stamp(c)
			if now == last {
				continue
			}
			last = now
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	return changed
}

// pause waits for an event, or a while, and reports whether ctx goes on.
func pause(ctx context.Context, events <-chan fsnotify.Event) bool {
	again := time.NewTimer(lookAgain)
	defer again.Stop()
	select {
	case <-ctx.Done():
	case <-again.C:
	case <-events:
		select {
		case <-ctx.Done():
		case <-time.After(gather):
		}
	}
	return ctx.Err() == nil
}

// fileEvents tells what happens to files and in their folders: editors put new files in the place of old ones. Where nobody
// tells, nothing comes.
func fileEvents(ctx context.Context, names []string, log *slog.Logger) <-chan fsnotify.Event {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("files of the config are looked at each 5s only", "error", err)
		return nil
	}
	for _, name := range names {
		for _, path := range []string{name, filepath.Dir(name)} {
			if err := w.Add(path); err != nil {
				log.Debug("file is looked at each 5s only", "path", path, "error", err)
			}
		}
	}
	go func() { // its errors are events that were missed: the next look finds what they were about
		defer w.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case err := <-w.Errors:
				log.Debug("events of files were missed", "error", err)
			}
		}
	}()
	return w.Events
}

// stamp tells the files of the config as they are now: their names and texts.
func stamp(c *configured) string {
	files, _, err := c.read()
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	for _, f := range files {
		text.WriteString(f.Name + "\x00" + string(f.Text) + "\x00")
	}
	return text.String()
}
