package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/pacewire/pacewire/agent/host"
	"github.com/pacewire/pacewire/telemetry"
)

// followConfig reads the config again at a hang-up and, with watch, when a file of it has changed. A terminal that was closed
// hangs up too: that ends the context returned. calm is called at the end; more hang-ups, as terminals send, change nothing
// until then, and where they are ignored (nohup) they remain so.
func (a *app) followConfig(ctx context.Context, h *host.Host, c *configured, watch bool, log *slog.Logger) (_ context.Context, calm context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	hangUps := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangUps, syscall.SIGHUP)
	}
	terminal := isTerminal(a.out)
	changes := make(<-chan struct{})
	if watch {
		changes = watchFiles(ctx, c, log)
	}
	var wg sync.WaitGroup
	wg.Go(func() { a.found.run(ctx) })
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-a.found.news:
				act(ctx, h, log, h.Rescan)
				continue
			case <-hangUps:
				if terminal && !isTerminal(a.out) {
					log.Warn("the terminal was closed: the agent ends")
					end()
					return
				}
			case <-changes:
			}
			act(ctx, h, log, func(ctx context.Context) (telemetry.ChangeList, error) { return h.Reload(ctx, false) })
		}
	})
	return ctx, func() {
		end()
		wg.Wait()
		signal.Stop(hangUps)
	}
}

// act changes what h runs, and logs what came of it.
func act(ctx context.Context, h *host.Host, log *slog.Logger, change func(context.Context) (telemetry.ChangeList, error)) {
	select {
	case <-h.Ready(): // before, there is nothing to compare with
	case <-ctx.Done():
		return
	}
	list, err := change(ctx)
	for _, w := range list.Warnings {
		log.Warn("config", "says", w)
	}
	for _, c := range list.Changes {
		switch {
		case c.Error != "":
			log.Error("plugin not changed", "plugin", c.Plugin, "action", c.Action, "error", c.Error)
		case c.Action != telemetry.ChangeNone:
			log.Info("plugin changed", "plugin", c.Plugin, "action", c.Action, "reason", c.Reason)
		}
	}
	if err != nil {
		log.Error("config not taken, everything goes on as before", "error", err)
		return
	}
	log.Info("config in force")
}

const (
	gather    = 300 * time.Millisecond // editors write in several steps
	lookAgain = 5 * time.Second        // for file systems that tell nothing
)

// watchFiles tells when a file of the config has changed, until ctx ends. Folders are watched, as editors put new files in the
// place of old ones.
func watchFiles(ctx context.Context, c *configured, log *slog.Logger) <-chan struct{} {
	changed := make(chan struct{}, 1) // one change is as good as several
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("files of the config are looked at each 5s only", "error", err)
		w = &fsnotify.Watcher{}
	}
	for _, name := range c.Files {
		if err == nil {
			_ = w.Add(filepath.Dir(name)) // a folder that is not there is looked for each 5 s
			_ = w.Add(name)
		}
	}
	go func() {
		if err == nil {
			defer w.Close()
		}
		last := stamp(c)
		t := time.NewTicker(lookAgain)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.Events:
			case <-w.Errors:
			case <-t.C:
			}
			select {
			case <-time.After(gather):
			case <-ctx.Done():
				return
			}
			if now := stamp(c); now != last {
				last = now
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		}
	}()
	return changed
}

// stamp tells the files of the config as they are now: their names and texts.
func stamp(c *configured) string {
	files, err := c.read()
	if err != nil {
		return err.Error()
	}
	text := ""
	for _, f := range files {
		text += f.Name + "\x00" + string(f.Text) + "\x00"
	}
	return text
}
